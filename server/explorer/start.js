"use strict";

const WELCOME = `# Handoff API. Get a token in a terminal:
#
#   .venv/bin/handoff token engineer@demo.test
#
# and put it into "Headers" below. Queries and subscriptions use it.

{
  me { name role }
  queue(first: 10) {
    totalCount
    edges {
      node {
        priority
        notes
        session { problemSummary owner { name } }
      }
    }
  }
}
`;
const HEADERS = JSON.stringify({ Authorization: "Bearer TOKEN" }, null, 2);

const subscriptionUrl = location.href.split(/[?#]/)[0].replace(/^http/, "ws");
const fetcher = GraphiQL.createFetcher({ url: "/graphql", subscriptionUrl });

ReactDOM.createRoot(document.getElementById("explorer")).render(
  React.createElement(GraphiQL, {
    fetcher,
    defaultQuery: WELCOME,
    defaultHeaders: HEADERS,
    defaultEditorToolsVisibility: "headers",
    shouldPersistHeaders: false,
  }),
);
