"""The root fields that read the queue, and where its events stand."""

from typing import Annotated

import strawberry

from db import events, queue
from db.enums import HandoffPriority
from db.handoffs import HandoffRow
from db.queue import QueueOrder
from resolvers.errors import NotFound
from schema.connections import Connection, connect, read_page
from schema.context import Info
from schema.execution import Completed
from schema.inputs import QueueFilter
from schema.permissions import signed_in
from schema.selections import Selection
from schema.types.handoffs import Handoff
from schema.types.node import TIME_KEY, After, First, created


@strawberry.type
class QueueQueries:
    """A live queue: its page, and the cursor to follow it from."""

    @strawberry.field(
        description="The unclaimed handoffs of your account, parked and escalated.", extensions=signed_in()
    )
    async def queue(
        self,
        info: Info,
        filter: Annotated[  # noqa: A002 (the contract's name)
            QueueFilter | None, strawberry.argument(description="Which part of the queue; null for all.")
        ] = None,
        order_by: Annotated[
            QueueOrder, strawberry.argument(description="In which order. A cursor belongs to its order.")
        ] = QueueOrder.NEWEST_FIRST,
        first: First = 20,
        after: After = None,
    ) -> Connection[Handoff]:
        """Read a page of the queue."""
        page = read_page(first, after, _queue_key(order_by), order=order_by.value)
        wanted = (filter or QueueFilter()).stored()
        context = info.context
        if wanted.team_id is not None and await context.loaders.teams.load(wanted.team_id) is None:
            raise NotFound("No team of your account has this id.")

        async def count() -> int:
            async with context.reading() as tx:
                return await queue.count(tx, wanted)

        if selection := _find_selection(info, order_by):
            database, account_id = context.services.database, context.account_id
            found = await queue.read(database, account_id, selection.paths, wanted, order_by, page)
            total = await count() if selection.is_counted else None
            return Completed(selection.complete(found, page, total))  # type: ignore[return-value]  # for the executor
        async with context.reading() as tx:
            rows = await queue.page(tx, wanted, order_by, page)
        key = _by_priority if order_by == QueueOrder.PRIORITY_FIRST else created
        return connect(rows, page, node=Handoff.from_row, key=key, count=count, order=order_by.value)

    @strawberry.field(
        description=(
            "The cursor of the last event of your account. For a live queue ask for it first, then, in "
            "another request, for `queue`, and subscribe with it as `after`: nothing is missed in between."
        ),
        extensions=signed_in(),
    )
    async def latest_cursor(self, info: Info) -> str:
        """Read where the account's events stand."""
        context = info.context
        async with context.reading() as tx:
            return str(await events.latest_sequence(tx))


def _find_selection(info: Info, order: QueueOrder) -> Selection | None:
    selections = info.context.services.selections
    if selections is None:
        return None
    asked = info._raw_info
    return selections.find(asked.schema, asked.field_nodes, asked.fragments, order)


def _queue_key(order: QueueOrder) -> tuple[type, ...]:
    return (HandoffPriority, *TIME_KEY) if order == QueueOrder.PRIORITY_FIRST else TIME_KEY


def _by_priority(row: HandoffRow) -> tuple[object, ...]:
    return row.priority, row.created_at, row.id
