// The clients of graphql-ws and graphql-sse against the service: what dashboards see when things go wrong.
//
// HANDOFF_URL: the service, such as http://127.0.0.1:8000. ENGINEER, SENIOR: tokens.
// Prints one JSON line for each thing that was seen; exits with 1 and a reason when one goes wrong.

import { createClient as createEvents } from "graphql-sse";
import { createClient as createSocket } from "graphql-ws";
import WebSocket from "ws";

const { HANDOFF_URL: url, ENGINEER: engineer, SENIOR: senior } = process.env;
const NAME = "{ me { email } }";
const FOLLOW = "subscription ($after: String) { escalationCreated(after: $after) { handoff { notes } } }";
const START = `mutation { startSession(input: { problemSummary: "VPN drops" }) { session { id } } }`;
const CREATE = `mutation ($input: CreateHandoffInput!) { createHandoff(input: $input) {
  __typename ... on Problem { message }
} }`;

function tell(seen, facts) {
  console.log(JSON.stringify({ seen, ...facts }));
}

/** Resolve with every result of an operation, and with what ended it. */
function collect(client, payload) {
  return new Promise((resolve) => {
    const results = [];
    client.subscribe(payload, {
      next: (result) => results.push(result),
      complete: () => resolve({ results }),
      error: (error) => resolve({ results, error }),
    });
  });
}

function socketClient(token, more = {}) {
  return createSocket({
    url: `${url.replace(/^http/, "ws")}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: token ? { Authorization: `Bearer ${token}` } : undefined,
    retryAttempts: 0,
    lazyCloseTimeout: 1_000,
    ...more,
  });
}

function eventClient(token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return createEvents({ url: `${url}/graphql`, headers, retryAttempts: 0 });
}

async function escalate(client, notes) {
  const started = await collect(client, { query: START });
  const { id } = started.results[0].data.startSession.session;
  const input = { sessionId: id, intent: "ESCALATE", notes };
  const created = await collect(client, { query: CREATE, variables: { input } });
  tell("escalated", created.results[0].data.createHandoff);
}

async function overSockets() {
  for (const token of [undefined, "no token"]) {
    const { error } = await collect(socketClient(token), { query: NAME });
    tell("socket refused", { code: error.code, reason: error.reason });
  }

  let pongs = 0;
  const client = socketClient(senior, { keepAlive: 20, on: { pong: () => (pongs += 1) } });
  const pushed = client.iterate({ query: FOLLOW, variables: { after: "0" } });
  const first = pushed.next();
  for (const query of ["{", "{ nothing }", "query a { me { id } } query b { me { id } }"]) {
    const { results, error } = await collect(client, { query });
    tell("operation refused", { results, codes: error.map(({ extensions }) => extensions.code) });
  }
  tell("answered", { results: (await collect(client, { query: NAME })).results });
  await escalate(socketClient(engineer), "over a socket");
  tell("pushed", (await first).value);
  while (pongs < 3) await new Promise((resolve) => setTimeout(resolve, 10));
  await pushed.return();
  await client.dispose();
}

async function overEvents() {
  const { error } = await collect(eventClient("no token"), { query: NAME });
  tell("events refused", { status: error.response.status });

  const client = eventClient(senior);
  tell("events answered", await collect(client, { query: NAME }));
  const wrong = await collect(client, { query: "{ nothing }" });
  tell("events told", { codes: wrong.results[0].errors.map(({ extensions }) => extensions.code) });
  const pushed = client.iterate({ query: FOLLOW, variables: { after: "0" } });
  tell("pushed", (await pushed.next()).value); // the one that went over the socket
  const next = pushed.next();
  await escalate(eventClient(engineer), "over events");
  tell("pushed", (await next).value);
  client.dispose();
}

try {
  await overSockets();
  await overEvents();
  process.exit(0); // sockets that linger for reuse are of no more use
} catch (error) {
  console.error(error);
  process.exit(1);
}
