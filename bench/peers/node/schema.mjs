// The schema of both GraphQL peers, and its resolvers.
import { GraphQLScalarType } from "graphql";
import * as queries from "./queries.mjs";
import * as tuned from "./tuned.mjs";

const { readQueue } = queries;
const { claimHandoff, createHandoff } = process.env.TUNED ? tuned : queries;

export const typeDefs = `
scalar DateTime
enum SessionStatus { ACTIVE PAUSED ESCALATED RESOLVED }
enum ConfidenceTier { LOW MEDIUM HIGH }
enum HandoffIntent { PARK ESCALATE }
enum HandoffPriority { URGENT HIGH NORMAL LOW }
enum HandoffState { OPEN CLAIMED CLOSED }
type Session {
  id: ID!
  status: SessionStatus!
  problemSummary: String
  problemDomain: String
  stepCount: Int!
  confidenceTier: ConfidenceTier
  branching: Boolean!
  handoffCount: Int!
  psaTicketId: String
  psaConnectionId: ID
  actualCause: String
  createdAt: DateTime!
  resolvedAt: DateTime
}
type Handoff {
  id: ID!
  intent: HandoffIntent!
  priority: HandoffPriority!
  state: HandoffState!
  notes: String
  createdAt: DateTime!
  claimedAt: DateTime
  session: Session!
}
type HandoffEdge { node: Handoff! }
type HandoffConnection { edges: [HandoffEdge!]! }
type Reach { online: Int! email: Int! unreachable: Boolean! }
type CreateHandoffSuccess { reach: Reach! handoff: Handoff! }
type ClaimHandoffSuccess { handoff: Handoff! }
type Problem { message: String! }
union CreateHandoffResult = CreateHandoffSuccess | Problem
union ClaimHandoffResult = ClaimHandoffSuccess | Problem
input CreateHandoffInput {
  sessionId: ID!
  intent: HandoffIntent!
  priority: HandoffPriority! = NORMAL
  notes: String
}
input ClaimHandoffInput { handoffId: ID! }
type Query { queue(first: Int! = 20): HandoffConnection! }
type Mutation {
  createHandoff(input: CreateHandoffInput!): CreateHandoffResult!
  claimHandoff(input: ClaimHandoffInput!): ClaimHandoffResult!
}`;

export const resolvers = {
  DateTime: new GraphQLScalarType({
    name: "DateTime",
    serialize: (value) => (value instanceof Date ? value.toISOString() : value),
  }),
  Query: {
    queue: (_, { first }, { account }) => readQueue(account, first),
  },
  Mutation: {
    createHandoff: (_, { input }, { account, user }) => createHandoff(account, user, input),
    claimHandoff: (_, { input }, { account, user }) => claimHandoff(account, user, input),
  },
};
