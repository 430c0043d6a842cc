// What the peers in JavaScript do with the rows: prepared statements of pg, a pooled connection a mutation.
// pg reads PGHOST, PGPORT, PGUSER and PGDATABASE.
import { randomUUID } from "node:crypto";
import pg from "pg";

// An author who counts every microsecond leaves instants as PostgreSQL's text, and makes no Date of them.
if (process.env.TUNED) pg.types.setTypeParser(1184, (text) => `${text.replace(" ", "T")}:00`);

export const pool = new pg.Pool({ max: 20, options: "-c jit=off" });
export const PRIORITIES = ["URGENT", "HIGH", "NORMAL", "LOW"];

const QUEUE = `
SELECT h.id, h.intent, h.priority, h.state, h.notes, h.created_at, h.claimed_at,
       s.id AS s_id, s.status, s.problem_summary, s.problem_domain, s.step_count, s.confidence_tier,
       s.active_branch_id IS NOT NULL AS branching, s.handoff_count, s.psa_ticket_id, s.psa_connection_id,
       s.actual_cause, s.created_at AS s_created_at, s.resolved_at
  FROM handoffs h JOIN sessions s ON s.account_id = h.account_id AND s.id = h.session_id
 WHERE h.account_id = $1 AND h.state = 'OPEN'
 ORDER BY h.created_at DESC, h.id DESC LIMIT $2`;

export async function readQueue(account, first) {
  const { rows } = await pool.query({ name: "queue", text: QUEUE, values: [account, first] });
  return { edges: rows.map((row) => ({ node: shownEntry(row) })) };
}

function shownEntry(row) {
  return {
    id: row.id,
    intent: row.intent,
    priority: PRIORITIES[row.priority],
    state: row.state,
    notes: row.notes,
    createdAt: row.created_at,
    claimedAt: row.claimed_at,
    session: {
      id: row.s_id,
      status: row.status,
      problemSummary: row.problem_summary,
      problemDomain: row.problem_domain,
      stepCount: row.step_count,
      confidenceTier: row.confidence_tier,
      branching: row.branching,
      handoffCount: row.handoff_count,
      psaTicketId: row.psa_ticket_id,
      psaConnectionId: row.psa_connection_id,
      actualCause: row.actual_cause,
      createdAt: row.s_created_at,
      resolvedAt: row.resolved_at,
    },
  };
}

async function inTransaction(work) {
  const client = await pool.connect();
  const run = async (name, text, values) => (await client.query({ name, text, values })).rows;
  try {
    await client.query("BEGIN");
    const made = await work(run);
    await client.query("COMMIT");
    return made;
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
}

const LOCK_SESSION = `
SELECT s.*, EXISTS (SELECT FROM handoffs h WHERE h.account_id = s.account_id AND h.session_id = s.id
                     AND h.state <> 'CLOSED') AS is_handed_off
  FROM sessions s WHERE account_id = $1 AND id = $2 FOR UPDATE`;
const AUDIENCE = `
SELECT u.id, EXISTS (SELECT FROM connections c JOIN nodes n ON n.id = c.node_id
                      WHERE c.account_id = u.account_id AND c.user_id = u.id
                        AND n.heartbeat_at > now() - interval '30 seconds') AS online
  FROM users u WHERE account_id = $1 AND active AND deleted_at IS NULL
   AND role IN ('OWNER', 'ADMIN', 'ENGINEER') AND id <> $2`;
const ADD_HANDOFF = `
INSERT INTO handoffs (account_id, id, session_id, intent, priority, state, notes, snapshot, reach_online,
                      reach_email, handed_off_by_id, created_at, opened_at, reach_check_at)
VALUES ($1, $2, $3, 'ESCALATE', $4, 'OPEN', $5, $6, $7, $8, $9, $10, $10,
        $10::timestamptz + interval '1 minute')`;
const ESCALATE_SESSION = `
UPDATE sessions SET status = 'ESCALATED', handoff_count = handoff_count + 1, escalated_to_id = NULL,
       escalation_package = $3
 WHERE account_id = $1 AND id = $2 RETURNING id, status, handoff_count`;
const ADD_DELIVERIES = `
INSERT INTO deliveries (account_id, id, handoff_id, recipient_id, channel, kind, round, status, created_at,
                        first_due_at, due_at)
SELECT $1, new.id, $2, new.recipient_id, new.channel, 'ESCALATION', 0, 'PENDING', $3, new.due_at, new.due_at
  FROM unnest($4::uuid[], $5::uuid[], $6::text[], $7::timestamptz[]) AS new (id, recipient_id, channel, due_at)`;
const APPEND = `
WITH counter AS (UPDATE account_counters SET event_sequence = event_sequence + 1 WHERE account_id = $1
                 RETURNING event_sequence)
INSERT INTO events (account_id, sequence, kind, at, actor_id, session_id, handoff_id, intent, except_id, summary)
SELECT $1, event_sequence, $2, $3, $4, $5, $6, 'ESCALATE', $7, $8 FROM counter`;

export async function createHandoff(account, user, { sessionId, priority, notes }) {
  return inTransaction(async (run) => {
    const [session] = await run("lock", LOCK_SESSION, [account, sessionId]);
    if (!session || session.is_handed_off) return { __typename: "Problem", message: "It cannot be handed off." };
    const told = await run("audience", AUDIENCE, [account, user]);
    const id = randomUUID();
    const now = new Date();
    const snapshot = takeSnapshot(session);
    const online = told.filter((each) => each.online).length;
    await run("add", ADD_HANDOFF, [
      ...[account, id, sessionId, PRIORITIES.indexOf(priority), notes, snapshot, online, told.length - online],
      ...[user, now],
    ]);
    const escalation = { snapshot, intent: "escalate", engineer_notes: notes, handoff_id: id };
    const [changed] = await run("escalate", ESCALATE_SESSION, [account, sessionId, escalation]);
    await run("tell", ADD_DELIVERIES, [account, id, now, ...planned(told, now)]);
    await run("append", APPEND, [
      ...[account, "HANDOFF_CREATED", now, user, sessionId, id, user, "escalated the session"],
    ]);
    return {
      __typename: "CreateHandoffSuccess",
      reach: { online, email: told.length - online, unreachable: false },
      handoff: {
        ...{ id, intent: "ESCALATE", priority, state: "OPEN", notes, createdAt: now },
        session: { id: changed.id, status: changed.status, handoffCount: changed.handoff_count },
      },
    };
  });
}

function takeSnapshot(session) {
  return {
    problem_summary: session.problem_summary,
    problem_domain: session.problem_domain,
    status: session.status,
    step_count: session.step_count,
    confidence_tier: session.confidence_tier,
    branch_map: [],
    active_branch_id: null,
  };
}

function planned(told, now) {
  const later = new Date(now.getTime() + 30_000);
  const pushed = told.filter((each) => each.online);
  const recipients = [...pushed, ...told].map((each) => each.id);
  const channels = recipients.map((_, index) => (index < pushed.length ? "PUSH" : "EMAIL"));
  const due = [...pushed.map(() => now), ...told.map((each) => (each.online ? later : now))];
  return [recipients.map(() => randomUUID()), recipients, channels, due];
}

const CLAIM = `
UPDATE handoffs SET state = 'CLAIMED', claimed_by_id = $3, claimed_at = $4
 WHERE account_id = $1 AND id = $2 AND state = 'OPEN' RETURNING session_id`;
const TAKE_SESSION = `
UPDATE sessions SET status = 'ACTIVE', escalated_to_id = $3 WHERE account_id = $1 AND id = $2
RETURNING id, status`;
const SKIP = `
UPDATE deliveries SET status = 'SKIPPED', reason = 'CLAIMED', lease_until = NULL, leased_by = NULL
 WHERE account_id = $1 AND handoff_id = $2
   AND (status = 'PENDING' OR (channel = 'PUSH' AND status = 'SENT'))`;

export async function claimHandoff(account, user, { handoffId }) {
  return inTransaction(async (run) => {
    const now = new Date();
    const [claimed] = await run("claim", CLAIM, [account, handoffId, user, now]);
    if (!claimed) return { __typename: "Problem", message: "It is not open." };
    const [session] = await run("take", TAKE_SESSION, [account, claimed.session_id, user]);
    await run("skip", SKIP, [account, handoffId]);
    await run("append", APPEND, [
      ...[account, "HANDOFF_CLAIMED", now, user, claimed.session_id, handoffId, null, "claimed it"],
    ]);
    return {
      __typename: "ClaimHandoffSuccess",
      handoff: { id: handoffId, state: "CLAIMED", claimedAt: now, session },
    };
  });
}
