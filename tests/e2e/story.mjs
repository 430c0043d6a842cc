// An escalation from the first click to the claim, as single-page apps and dashboards live it.
//
// HANDOFF_URL: the service, such as http://127.0.0.1:8000. ENGINEER, SENIOR, ADMIN: their tokens.
// Prints one JSON line for each step; exits with 1 and a reason when one goes wrong.

import assert from "node:assert/strict";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const PATIENCE = 30_000; // milliseconds
const { HANDOFF_URL: url, ENGINEER: engineer, SENIOR: senior, ADMIN: admin } = process.env;

const CREATE = `mutation ($input: CreateHandoffInput!) { createHandoff(input: $input) {
  __typename
  ... on Problem { message }
  ... on CreateHandoffSuccess { reach { online email unreachable } handoff { id state } }
} }`;
const CLAIM = `mutation ($id: ID!) { claimHandoff(input: { handoffId: $id }) {
  __typename
  ... on Problem { message }
  ... on HandoffAlreadyClaimed { claimedAt claimedBy { email } }
  ... on ClaimHandoffSuccess { handoff { state claimedAt claimedBy { email } session { status } } }
} }`;
const RELEASE = `mutation ($id: ID!) { releaseHandoff(input: { handoffId: $id, reason: "Not mine" }) {
  __typename
  ... on Problem { message }
  ... on ReleaseHandoffSuccess { handoff { state claimedBy { email } session { status } } }
} }`;
const START = `mutation { startSession(input: { problemSummary: "VPN drops every hour" }) {
  session { id status }
} }`;
const QUEUE = `{ queue(first: 100) { edges { node { id state } } } }`;
const DELIVERIES = `query ($id: ID!) { handoff(id: $id) {
  deliveries(first: 100) { edges { node { round channel status reason recipient { email } } } }
} }`;
const PUSHED = `subscription { escalationCreated { cursor missedBefore round handoff { id state } } }`;
const ONLINE = `{ me { email online } }`;

function tell(step, facts) {
  console.log(JSON.stringify({ step, ...facts }));
}

async function ask(token, query, variables = {}) {
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  assert.deepEqual([response.status, errors], [200, undefined]);
  return Object.values(data)[0];
}

async function until(describe, look) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < deadline, `waited in vain until ${describe}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Resolve once every delivery of the round has the state that is given for "CHANNEL who". */
async function untilDelivered(id, round, wanted) {
  const expected = Object.entries(wanted).sort();
  await until(`round ${round} is ${JSON.stringify(wanted)}`, async () => {
    const { deliveries } = await ask(admin, DELIVERIES, { id });
    const nodes = deliveries.edges.map((edge) => edge.node).filter((node) => node.round === round);
    const seen = nodes.map((node) => [
      `${node.channel} ${node.recipient.email.split("@")[0]}`,
      node.reason ? `${node.status} ${node.reason}` : node.status,
    ]);
    return JSON.stringify(seen.sort()) === JSON.stringify(expected);
  });
  tell("delivered", { round });
}

const client = createClient({
  url: `${url.replace(/^http/, "ws")}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: `Bearer ${senior}` },
  retryAttempts: 0,
});

async function story() {
  const { session } = await ask(engineer, START);
  tell("started", { status: session.status });

  const pushed = client.iterate({ query: PUSHED });
  const nextPush = pushed.next();
  await until("senior is online", async () => (await ask(senior, ONLINE)).online);
  tell("subscribed", {});

  const input = { sessionId: session.id, intent: "ESCALATE", notes: "Out of ideas", priority: "HIGH" };
  const created = await ask(engineer, CREATE, { input });
  assert.equal(created.__typename, "CreateHandoffSuccess", created.message);
  const { id } = created.handoff;
  tell("escalated", { id, reach: created.reach });

  const { value } = await nextPush;
  assert.equal(value.errors, undefined);
  tell("pushed", value.data.escalationCreated);

  const told = {
    "PUSH senior": "DELIVERED",
    "EMAIL senior": "SKIPPED PUSH_DELIVERED",
    "EMAIL owner": "SENT",
    "EMAIL admin": "SENT",
  };
  await untilDelivered(id, 0, told);

  const claimed = await ask(senior, CLAIM, { id });
  assert.equal(claimed.__typename, "ClaimHandoffSuccess", claimed.message);
  tell("claimed", claimed.handoff);
  await untilDelivered(id, 0, { ...told, "EMAIL engineer": "SENT" });

  const refused = await ask(admin, CLAIM, { id });
  tell("refused", refused);
  assert.equal(refused.claimedAt, claimed.handoff.claimedAt);

  const released = await ask(senior, RELEASE, { id });
  assert.equal(released.__typename, "ReleaseHandoffSuccess", released.message);
  tell("released", released.handoff);
  await untilDelivered(id, 1, { "EMAIL engineer": "SENT", "EMAIL owner": "SENT", "EMAIL admin": "SENT" });

  const queue = await ask(admin, QUEUE);
  tell("queued", queue.edges.map((edge) => edge.node).find((node) => node.id === id));
}

try {
  await story();
} catch (error) {
  console.error(error.message ?? error);
  process.exitCode = 1;
} finally {
  await client.dispose();
}
