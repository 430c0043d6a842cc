// PostGraphile with its preset "amber": a schema made from the tables, each query planned into SQL.
import { createServer } from "node:http";
import { grafserv } from "postgraphile/grafserv/node";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

// PostGraphile 5.1.5 wants this of Node 22; with it, it runs on Node 20 as well.
Promise.withResolvers ??= function withResolvers() {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const { PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE } = process.env;
const preset = {
  extends: [PostGraphileAmberPreset],
  disablePlugins: ["PgIndexBehaviorsPlugin"], // a column may be asked for though no index begins with it
  pgServices: [
    makePgService({
      poolConfig: { host: PGHOST, port: Number(PGPORT), user: PGUSER, password: PGPASSWORD, database: PGDATABASE, max: 20 },
      schemas: ["public"],
    }),
  ],
  grafserv: { graphqlPath: "/graphql", graphiql: false, websockets: false },
  grafast: { explain: false },
};

const server = createServer();
server.on("error", (error) => {
  throw error;
});
await postgraphile(preset).createServ(grafserv).addTo(server);
server.listen(Number(process.env.PORT), "127.0.0.1");
