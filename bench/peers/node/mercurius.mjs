// mercurius on Fastify, each document compiled at its first use.
import Fastify from "fastify";
import mercurius from "mercurius";
import { resolvers, typeDefs } from "./schema.mjs";

const app = Fastify();
app.register(mercurius, {
  schema: typeDefs,
  resolvers,
  jit: 1,
  context: ({ headers }) => ({ account: headers["x-account"], user: headers["x-user"] }),
});
await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
