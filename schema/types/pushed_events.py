"""What the subscriptions push."""

from uuid import UUID

import strawberry

from db import queue
from schema.context import Info
from schema.enums import QueueChangeKind
from schema.execution import Completed
from schema.types.handoffs import Handoff, load_handoff
from schema.types.node import present


@strawberry.type(
    description="A session was escalated, or came back to the queue, or nobody has claimed it (a reminder)."
)
class EscalationCreated:
    """An event of `escalationCreated`."""

    cursor: str = strawberry.field(description="Pass it as `after` when reconnecting.")
    missed_before: int = strawberry.field(
        description="Events lost just before this one, the client being too slow. Not 0: refetch the queue."
    )
    round: int = strawberry.field(description="0 for the escalation itself; releases and reminders count up.")
    handoff_id: strawberry.Private[UUID]

    @strawberry.field(description="The handoff as it is now.")
    async def handoff(self, info: Info) -> Handoff:
        """Load the handoff."""
        return await _show_handoff(info, self.handoff_id)


@strawberry.type(description="The queue changed.")
class QueueChange:
    """An event of `queueChanged`."""

    cursor: str = strawberry.field(description="Pass it as `after` when reconnecting.")
    missed_before: int = strawberry.field(
        description="Events lost just before this one, the client being too slow. Not 0: refetch the queue."
    )
    kind: QueueChangeKind = strawberry.field(description="What changed.")
    handoff_id: strawberry.Private[UUID]

    @strawberry.field(description="The handoff as it is now.")
    async def handoff(self, info: Info) -> Handoff:
        """Load the handoff."""
        return await _show_handoff(info, self.handoff_id)


async def _show_handoff(info: Info, handoff_id: UUID) -> Handoff:
    """Load a handoff, in one statement where all that is shown of it are columns."""
    context, asked = info.context, info._raw_info
    selections = context.services.selections
    found = selections and selections.find_one(asked.schema, asked.field_nodes, asked.fragments)
    if not found:
        return await load_handoff(info, handoff_id)
    row = await queue.read_one(context.services.database, context.account_id, found.paths, handoff_id)
    return Completed(found.complete(present(row)))  # type: ignore[return-value]  # for the executor
