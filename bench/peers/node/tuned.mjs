// Both mutations as an author writes them who counts round trips: one statement each, which is its own transaction.
import { pool, PRIORITIES } from "./queries.mjs";

const CREATE = `
WITH session AS MATERIALIZED (
  SELECT * FROM sessions WHERE account_id = $1 AND id = $2 FOR UPDATE
), told AS MATERIALIZED (
  SELECT u.id, EXISTS (SELECT FROM connections c JOIN nodes n ON n.id = c.node_id
                        WHERE c.account_id = u.account_id AND c.user_id = u.id
                          AND n.heartbeat_at > now() - interval '30 seconds') AS online
    FROM users u WHERE account_id = $1 AND active AND deleted_at IS NULL
     AND role IN ('OWNER', 'ADMIN', 'ENGINEER') AND id <> $3
), handoff AS (
  INSERT INTO handoffs (account_id, id, session_id, intent, priority, state, notes, snapshot, reach_online,
                        reach_email, handed_off_by_id, created_at, opened_at, reach_check_at)
  SELECT $1, gen_random_uuid(), id, 'ESCALATE', $4, 'OPEN', $5,
         jsonb_build_object('problem_summary', problem_summary, 'problem_domain', problem_domain, 'status', status,
                            'step_count', step_count, 'confidence_tier', confidence_tier, 'branch_map', '[]'::jsonb,
                            'active_branch_id', NULL),
         (SELECT count(*) FROM told WHERE online), (SELECT count(*) FROM told WHERE NOT online),
         $3, now(), now(), now() + interval '1 minute'
    FROM session WHERE NOT EXISTS (SELECT FROM handoffs h WHERE h.account_id = $1 AND h.session_id = $2
                                    AND h.state <> 'CLOSED')
  RETURNING *
), changed AS (
  UPDATE sessions s SET status = 'ESCALATED', handoff_count = s.handoff_count + 1, escalated_to_id = NULL,
         escalation_package = jsonb_build_object('snapshot', handoff.snapshot, 'intent', 'escalate',
                                                 'engineer_notes', $5::text, 'handoff_id', handoff.id)
    FROM handoff WHERE s.account_id = $1 AND s.id = handoff.session_id RETURNING s.status, s.handoff_count
), telling AS (
  INSERT INTO deliveries (account_id, id, handoff_id, recipient_id, channel, kind, round, status, created_at,
                          first_due_at, due_at)
  SELECT $1, gen_random_uuid(), handoff.id, told.id, by.channel, 'ESCALATION', 0, 'PENDING', now(), by.due_at, by.due_at
    FROM handoff, told, LATERAL (VALUES ('PUSH', now()),
                                        ('EMAIL', now() + CASE WHEN told.online THEN interval '30 seconds'
                                                               ELSE interval '0' END)) AS by (channel, due_at)
   WHERE told.online OR by.channel = 'EMAIL'
), counter AS (
  UPDATE account_counters SET event_sequence = event_sequence + 1 FROM handoff, changed
   WHERE account_counters.account_id = $1 RETURNING event_sequence
), event AS (
  INSERT INTO events (account_id, sequence, kind, at, actor_id, session_id, handoff_id, intent, except_id, summary)
  SELECT $1, event_sequence, 'HANDOFF_CREATED', now(), $3, $2, handoff.id, 'ESCALATE', $3, 'escalated the session'
    FROM counter, handoff
)
SELECT handoff.id, handoff.created_at, handoff.reach_online, handoff.reach_email, changed.status, changed.handoff_count
  FROM handoff, changed`;

export async function createHandoff(account, user, { sessionId, priority, notes }) {
  const values = [account, sessionId, user, PRIORITIES.indexOf(priority), notes];
  const { rows } = await pool.query({ name: "create", text: CREATE, values });
  if (!rows.length) return { __typename: "Problem", message: "It cannot be handed off." };
  const [made] = rows;
  return {
    __typename: "CreateHandoffSuccess",
    reach: { online: made.reach_online, email: made.reach_email, unreachable: false },
    handoff: {
      ...{ id: made.id, intent: "ESCALATE", priority, state: "OPEN", notes, createdAt: made.created_at },
      session: { id: sessionId, status: made.status, handoffCount: made.handoff_count },
    },
  };
}

const CLAIM = `
WITH claimed AS (
  UPDATE handoffs SET state = 'CLAIMED', claimed_by_id = $3, claimed_at = now()
   WHERE account_id = $1 AND id = $2 AND state = 'OPEN' RETURNING *
), taken AS (
  UPDATE sessions s SET status = 'ACTIVE', escalated_to_id = $3 FROM claimed
   WHERE s.account_id = $1 AND s.id = claimed.session_id RETURNING s.id, s.status
), skipped AS (
  UPDATE deliveries d SET status = 'SKIPPED', reason = 'CLAIMED', lease_until = NULL, leased_by = NULL FROM claimed
   WHERE d.account_id = $1 AND d.handoff_id = $2
     AND (d.status = 'PENDING' OR (d.channel = 'PUSH' AND d.status = 'SENT'))
  RETURNING d.id
), counter AS (
  UPDATE account_counters SET event_sequence = event_sequence + 1 FROM claimed, taken,
         (SELECT count(*) FROM skipped) AS all_skipped
   WHERE account_counters.account_id = $1 RETURNING event_sequence
), event AS (
  INSERT INTO events (account_id, sequence, kind, at, actor_id, session_id, handoff_id, intent, summary)
  SELECT $1, event_sequence, 'HANDOFF_CLAIMED', now(), $3, claimed.session_id, $2, claimed.intent, 'claimed it'
    FROM counter, claimed
)
SELECT claimed.claimed_at, taken.id, taken.status FROM claimed, taken`;

export async function claimHandoff(account, user, { handoffId }) {
  const { rows } = await pool.query({ name: "claim", text: CLAIM, values: [account, handoffId, user] });
  if (!rows.length) return { __typename: "Problem", message: "It is not open." };
  const [{ claimed_at: claimedAt, ...session }] = rows;
  return { __typename: "ClaimHandoffSuccess", handoff: { id: handoffId, state: "CLAIMED", claimedAt, session } };
}
