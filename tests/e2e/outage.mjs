// The client of graphql-ws, as a page makes it, while the service's database is away: its operations go on.
//
// HANDOFF_URL: the service, such as http://127.0.0.1:8000. SENIOR: a token. EVENTS: how many to wait for.
// Prints one JSON line for each message of an operation, and for each end of a socket.

import { createClient } from "graphql-ws";
import WebSocket from "ws";

const { HANDOFF_URL: url, SENIOR: senior, EVENTS: events } = process.env;
const FOLLOWED = {
  escalations: "escalationCreated",
  changes: "queueChanged",
};

function tell(seen, facts) {
  console.log(JSON.stringify({ seen, ...facts }));
}

function follow(client, operationName, field) {
  const query = `subscription ${operationName} { event: ${field}(after: "0") { handoff { notes } } }`;
  return new Promise((resolve) => {
    let count = 0;
    const next = () => {
      count += 1;
      if (count === Number(events)) resolve();
    };
    client.subscribe({ query, operationName }, { next, error: resolve, complete: resolve });
  });
}

const client = createClient({
  url: `${url.replace(/^http/, "ws")}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: `Bearer ${senior}` },
  generateID: ({ operationName }) => operationName,
  on: {
    message: ({ type, id, payload }) => id && tell(type, { id, notes: payload?.data?.event.handoff.notes }),
    closed: ({ code }) => tell("closed", { code }),
  },
});
await Promise.all(Object.entries(FOLLOWED).map(([name, field]) => follow(client, name, field)));
process.exit(0);
