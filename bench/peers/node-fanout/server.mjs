// The fan-out of mercurius: one event to all who follow the queue, from memory, without rights or a database.
import Fastify from 'fastify'
import mercurius from 'mercurius'

const event = JSON.parse(process.env.EVENT)
const schema = `
  type Query { ok: Boolean }
  type Mutation { tell: Boolean }
  type Subscription { queueChanged: QueueChange }
  type QueueChange { cursor: String! missedBefore: Int! kind: String! handoff: Handoff! }
  type Handoff {
    id: ID! intent: String! priority: String! state: String! notes: String createdAt: String! claimedAt: String
    claimedBy: User handedOffBy: User session: Session!
  }
  type Session {
    id: ID! status: String! problemSummary: String! problemDomain: String stepCount: Int! owner: User!
  }
  type User { id: ID! name: String! }
`
const resolvers = {
  Mutation: {
    tell: async (_root, _args, { pubsub }) => {
      await pubsub.publish({ topic: 'QUEUE', payload: { queueChanged: event } })
      return true
    }
  },
  Subscription: {
    queueChanged: { subscribe: (_root, _args, { pubsub }) => pubsub.subscribe('QUEUE') }
  }
}

const app = Fastify()
app.register(mercurius, { schema, resolvers, jit: 1, subscription: { queueHighWaterMark: 1 << 20 } })
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT), backlog: 4096 })
