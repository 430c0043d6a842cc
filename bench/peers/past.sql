-- What an account leaves behind with the time, for bench/peers/past.py: resolved sessions, their closed handoffs,
-- a mail, a push and an event of each. :account, :person and :count are replaced before a statement is run.

SET session_replication_role = replica;

-- A UUIDv7 of an instant: ascending in time, and another for each kind and number.
CREATE FUNCTION pg_temp.id_at(at timestamptz, kind text, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(kind || number), 1, 3) || '8' || substr(md5(kind || number), 4, 15))::uuid $$;

CREATE TEMP TABLE past AS
SELECT number, at, pg_temp.id_at(at, 'session', number) AS session_id, pg_temp.id_at(at, 'handoff', number) AS handoff_id
  FROM (SELECT number, now() - make_interval(secs => 3600 + :count - number) AS at
          FROM generate_series(1, :count) AS number) AS numbers;

INSERT INTO sessions (account_id, id, owner_id, status, problem_summary, created_at, resolved_at)
SELECT :account, session_id, :person, 'RESOLVED', 'VPN drops every hour', at, at FROM past;

INSERT INTO handoffs (account_id, id, session_id, intent, priority, state, snapshot, reach_online, reach_email,
                      handed_off_by_id, created_at, opened_at, closed_at)
SELECT :account, handoff_id, session_id, 'ESCALATE', number % 4, 'CLOSED',
       '{"problem_summary": "VPN drops every hour", "branch_map": []}', 10, 0, :person, at, at, at FROM past;

INSERT INTO deliveries (account_id, id, handoff_id, recipient_id, channel, kind, round, status, created_at, first_due_at,
                        due_at, sent_at)
SELECT :account, pg_temp.id_at(at, channel, number), handoff_id, :person, channel, 'ESCALATION', 0, 'SENT', at, at, at, at
  FROM past, (VALUES ('EMAIL'), ('PUSH')) AS by (channel);

INSERT INTO events (account_id, sequence, kind, at, session_id, handoff_id, intent, summary)
SELECT :account, number, 'HANDOFF_CREATED', at, session_id, handoff_id, 'ESCALATE', 'escalated the session' FROM past;

UPDATE account_counters SET event_sequence = :count WHERE account_id = :account;
