-- Years of escalations of one account, for bench/history.py. :account, :sessions, :days, :people and :teams
-- are replaced before each statement is run.

SET LOCAL session_replication_role = replica;

-- A UUIDv7 of an instant: ascending in time, and another for each kind and number.
CREATE OR REPLACE FUNCTION pg_temp.id_at(at timestamptz, kind text, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(kind || number), 1, 3) || '8' || substr(md5(kind || number), 4, 15))::uuid $$;

-- From 0 to 1, the same each time.
CREATE OR REPLACE FUNCTION pg_temp.chance(kind text, number bigint) RETURNS float LANGUAGE sql IMMUTABLE AS $$
SELECT (hashtextextended(kind, number) & 1048575) / 1048576.0 $$;

-- Each handoff, with when it was claimed, released, reminded of and resolved; NULL: it was not.
CREATE TEMP TABLE cases AS
SELECT number, attempt, began_at,
       began_at + attempt * interval '90 minutes' AS made_at,
       began_at + attempt * interval '90 minutes' + claim AS claimed_at,
       CASE WHEN pg_temp.chance('release', number + attempt) < 0.08
            THEN began_at + attempt * interval '90 minutes' + claim + interval '5 minutes' END AS released_at,
       CASE WHEN pg_temp.chance('remind', number + attempt) < 0.25
            THEN began_at + attempt * interval '90 minutes' + claim / 2 END AS reminded_at,
       CASE WHEN pg_temp.chance('resolve', number) < 0.9
            THEN began_at + interval '3 hours' + claim * 4 END AS resolved_at,
       attempt < attempts AS bounced
  FROM (SELECT number, attempts,
               now() - make_interval(days => :days) * (1 - number::float / :sessions) AS began_at,
               CASE WHEN pg_temp.chance('claim', number) < 0.95
                    THEN make_interval(secs => 20 + 1200 * pg_temp.chance('wait', number) ^ 3) END AS claim
          FROM (SELECT number, CASE WHEN pg_temp.chance('again', number) < 0.05 THEN 1 ELSE 0 END AS attempts
                  FROM generate_series(1, :sessions) AS number) AS numbers) AS sessions,
       generate_series(0, CASE WHEN claim IS NULL THEN 0 ELSE attempts END) AS attempt;

INSERT INTO accounts (id, name, created_at) VALUES (:account, CAST(:account AS text), now());

INSERT INTO teams (account_id, id, name)
SELECT :account, pg_temp.id_at('epoch', 'team', n), 'Team ' || n FROM generate_series(1, :teams) AS n;

INSERT INTO users (account_id, id, email, name, role, created_at)
SELECT :account, pg_temp.id_at('epoch', CAST(:account AS text), n), n || '@' || CAST(:account AS text),
       'User ' || n, 'ENGINEER', now()
  FROM generate_series(0, :people - 1) AS n;

INSERT INTO sessions (account_id, id, team_id, owner_id, status, problem_summary, problem_domain,
                      created_at, resolved_at)
SELECT :account, pg_temp.id_at(began_at, 'session', number), pg_temp.id_at('epoch', 'team', 1 + number % :teams),
       pg_temp.id_at('epoch', CAST(:account AS text), number % :people),
       CASE WHEN resolved_at IS NULL THEN 'ESCALATED' ELSE 'RESOLVED' END, 'VPN drops every hour',
       'domain ' || number % 12, began_at, resolved_at
  FROM cases WHERE attempt = 0 ORDER BY began_at;

INSERT INTO handoffs (account_id, id, session_id, team_id, intent, priority, state, snapshot, reach_online,
                      reach_email, handed_off_by_id, created_at, opened_at, claimed_by_id, claimed_at, closed_at)
SELECT :account, pg_temp.id_at(made_at, 'handoff', number * 2 + attempt),
       pg_temp.id_at(began_at, 'session', number), pg_temp.id_at('epoch', 'team', 1 + number % :teams),
       'ESCALATE', number % 4,
       CASE WHEN bounced OR resolved_at IS NOT NULL THEN 'CLOSED' WHEN claimed_at IS NULL THEN 'OPEN'
            ELSE 'CLAIMED' END,
       jsonb_build_object('problem_summary', 'VPN drops every hour', 'problem_domain', 'domain ' || number % 12,
                          'status', 'ACTIVE', 'step_count', 7, 'confidence_tier', 'MEDIUM', 'branch_map',
                          jsonb_build_array(jsonb_build_object('label', 'DNS', 'status', 'open'),
                                            jsonb_build_object('label', 'Firmware', 'status', 'open'))),
       2, 1, pg_temp.id_at('epoch', CAST(:account AS text), number % :people), made_at, made_at,
       CASE WHEN claimed_at IS NOT NULL
            THEN pg_temp.id_at('epoch', CAST(:account AS text), (number + 1) % :people) END, claimed_at,
       CASE WHEN bounced THEN made_at + interval '90 minutes' ELSE resolved_at END
  FROM cases ORDER BY made_at;

INSERT INTO events (account_id, sequence, kind, at, actor_id, session_id, handoff_id, intent, round, summary)
SELECT :account, row_number() OVER (ORDER BY at, place), kind, at,
       pg_temp.id_at('epoch', CAST(:account AS text), (number + place) % :people),
       pg_temp.id_at(began_at, 'session', number),
       CASE WHEN place > 0 THEN pg_temp.id_at(made_at, 'handoff', number * 2 + attempt) END, 'ESCALATE', 0, kind
  FROM cases, LATERAL (VALUES
       (0, 'SESSION_STARTED', CASE WHEN attempt = 0 THEN began_at END), (2, 'HANDOFF_CREATED', made_at),
       (3, 'ESCALATION_REMINDED', reminded_at), (1, 'HANDOFF_CLAIMED', claimed_at),
       (4, 'HANDOFF_RELEASED', released_at), (5, 'HANDOFF_CLAIMED', released_at + interval '1 minute'),
       (6, 'HANDOFF_CLOSED', CASE WHEN bounced THEN made_at + interval '90 minutes' ELSE resolved_at END)
       ) AS happened (place, kind, at)
 WHERE at IS NOT NULL ORDER BY at;

INSERT INTO account_counters (account_id, event_sequence)
SELECT :account, max(sequence) FROM events WHERE account_id = :account;

INSERT INTO deliveries (account_id, id, handoff_id, recipient_id, channel, kind, round, status, reason, error,
                        attempts, created_at, first_due_at, due_at, sent_at, delivered_at)
SELECT :account, pg_temp.id_at(made_at, 'delivery' || place, number * 2 + attempt),
       pg_temp.id_at(made_at, 'handoff', number * 2 + attempt),
       pg_temp.id_at('epoch', CAST(:account AS text), (number + place) % :people),
       channel, 'ESCALATION', 0, status, CASE WHEN status = 'SKIPPED' THEN 'PUSH_DELIVERED' END,
       CASE WHEN status = 'FAILED' THEN '550 no such user' END, 1, made_at, made_at, made_at,
       CASE WHEN status <> 'SKIPPED'
            THEN made_at + make_interval(secs => 2 * pg_temp.chance('sent', number * 8 + place)) END,
       CASE WHEN status = 'DELIVERED'
            THEN made_at + make_interval(secs => 3 * pg_temp.chance('sent', number * 8 + place)) END
  FROM cases, LATERAL (VALUES (1, 'PUSH', 'DELIVERED'), (2, 'PUSH', 'DELIVERED'), (3, 'EMAIL', 'SKIPPED'),
       (4, 'EMAIL', 'SENT'), (5, 'EMAIL', CASE WHEN number % 50 = 0 THEN 'FAILED' ELSE 'SENT' END)
       ) AS told (place, channel, status)
 ORDER BY made_at;

DROP TABLE cases;
