// The audits of graphql-http: what its authors expect of a server of GraphQL over HTTP.
//
// HANDOFF_URL: the service, such as http://127.0.0.1:8000.
// Prints one JSON line for each audit: its id, its name, and "ok" or what is wrong.

import { serverAudits } from "graphql-http";

for (const audit of serverAudits({ url: `${process.env.HANDOFF_URL}/graphql` })) {
  const { id, name, status, reason } = await audit.fn();
  console.log(JSON.stringify({ id, name, found: status === "ok" ? status : `${status}: ${reason}` }));
}
