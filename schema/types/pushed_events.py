"""What the subscriptions push."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import strawberry

from db import queue
from schema.context import Info
from schema.enums import QueueChangeKind
from schema.execution import Completed
from schema.types.handoffs import Handoff, load_handoff
from schema.types.node import present


@strawberry.type(description="What is pushed of a handoff.")
class PushedEvent:
    """An event of a subscription."""

    cursor: str = strawberry.field(description="Pass it as `after` when reconnecting.")
    missed_before: int = strawberry.field(
        description="Events lost just before this one, the client being too slow. Not 0: refetch the queue."
    )
    handoff_id: strawberry.Private[UUID]
    #: Looks at its viewer anew, or raises why they may not see it any more; None: it is nobody's yet.
    look_again: strawberry.Private[Callable[[], Awaitable[object]] | None] = None


async def _show_handoff(root: PushedEvent, info: Info) -> Handoff:
    """Load a handoff, in one statement where all that is shown of it are columns."""
    context, asked = info.context, info._raw_info
    selections = context.services.selections
    found = selections and selections.find_one(asked.schema, asked.field_nodes, asked.fragments)
    if not found:
        return await load_handoff(info, root.handoff_id)
    row = await queue.read_one(context.services.database, context.account_id, found.paths, root.handoff_id)
    return Completed(found.complete(present(row)))  # type: ignore[return-value]  # for the executor


@strawberry.type(
    description="A session was escalated, or came back to the queue, or nobody has claimed it (a reminder)."
)
class EscalationCreated(PushedEvent):
    """An event of `escalationCreated`."""

    round: int = strawberry.field(description="0 for the escalation itself; releases and reminders count up.")
    handoff: Handoff = strawberry.field(resolver=_show_handoff, description="The handoff as it is now.")


@strawberry.type(description="The queue changed.")
class QueueChange(PushedEvent):
    """An event of `queueChanged`."""

    kind: QueueChangeKind = strawberry.field(description="What changed.")
    handoff: Handoff = strawberry.field(resolver=_show_handoff, description="The handoff as it is now.")
