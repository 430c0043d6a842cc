// GraphQL Yoga on Node's own server, as its documentation starts it.
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";
import { resolvers, typeDefs } from "./schema.mjs";

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  context: ({ request }) => ({ account: request.headers.get("x-account"), user: request.headers.get("x-user") }),
  logging: "error",
});
createServer(yoga).listen(Number(process.env.PORT), "127.0.0.1");
