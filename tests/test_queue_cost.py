"""What a page of the queue, or a look of the clock, costs does not grow with the handoffs ever made."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import pytest
from sqlalchemy import Executable, insert, text

from db import queue, system
from db.enums import HandoffIntent, HandoffPriority, HandoffState, SessionStatus
from db.models import handoffs as handoffs_table
from db.models import sessions as sessions_table
from db.pages import Page
from db.queue import QueueFilter, QueueOrder
from db.session import Database, Transaction, new_id
from tests.cast import Cast
from tests.plans import Explain

R = TypeVar("R")

CLOSED, OPEN = 20_000, 300
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
AFTER = {
    QueueOrder.NEWEST_FIRST: (NOON, UUID(int=1)),
    QueueOrder.OLDEST_FIRST: (NOON, UUID(int=1)),
    QueueOrder.PRIORITY_FIRST: (HandoffPriority.HIGH, NOON, UUID(int=1)),
}


class Planning(Transaction):
    """A transaction that asks for the plan of what it is to fetch, instead of fetching it."""

    plan = ""

    async def fetch_all(self, statement: Executable, row: type[R]) -> list[R]:
        """Keep the plan; return no rows."""
        self.plan = "\n".join((await self.connection.execute(Explain(statement))).scalars())
        return []


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_pages_are_read_from_the_index_of_the_waiting_in_its_order(
    database: Database, cast: Cast
) -> None:
    await _remember_many(database, cast)

    plans = {
        (order, after): await _plan(database, cast, order, after)
        for order, key in AFTER.items()
        for after in (None, key)
    }

    for (order, _), plan in plans.items():
        index = "ix_handoffs_queue_by_priority" if order == QueueOrder.PRIORITY_FIRST else "ix_handoffs_queue"
        assert f"using {index} on handoffs" in plan
        assert "Sort" not in plan
        assert "Seq Scan" not in plan


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_what_the_clock_looks_for_is_read_from_an_index(database: Database, cast: Cast) -> None:
    await _remember_many(database, cast)
    looks = {
        "ix_handoffs_to_remind": system.due_reminders,
        "ix_handoffs_to_check": system.due_reach_checks,
        "ix_handoffs_to_expire": system.expired_claims,
    }

    for index, look in looks.items():
        async with database.system_reading() as tx:
            planning = Planning(tx.connection, cast.account_id)
            await look(planning, now=NOON, limit=100)

        assert index in planning.plan
        assert "Seq Scan" not in planning.plan


async def _plan(database: Database, cast: Cast, order: QueueOrder, after: tuple[object, ...] | None) -> str:
    async with database.reading(cast.account_id) as tx:
        planning = Planning(tx.connection, cast.account_id)
        await queue.page(planning, QueueFilter(), order, Page(20, after))
        return planning.plan


async def _remember_many(database: Database, cast: Cast) -> None:
    """Store many closed handoffs and a few open ones, and let the database count them."""
    session_ids = [new_id() for _ in range(OPEN)]
    shared = {"account_id": cast.account_id, "created_at": NOON}
    session = {"owner_id": cast.alice.id, "status": SessionStatus.PAUSED}
    handoff = {
        "intent": HandoffIntent.PARK,
        "snapshot": {},
        "reach_online": 0,
        "reach_email": 0,
        "handed_off_by_id": cast.alice.id,
        "opened_at": NOON,
    }
    async with database.transaction(cast.account_id) as tx:
        await tx.execute(insert(sessions_table), [{"id": id_, **shared, **session} for id_ in session_ids])
        for number, state in ((CLOSED, HandoffState.CLOSED), (OPEN, HandoffState.OPEN)):
            rows = [
                {
                    **shared,
                    **handoff,
                    "id": new_id(),
                    "session_id": session_ids[place % OPEN],
                    "priority": HandoffPriority(place % len(HandoffPriority)),
                    "state": state,
                    "created_at": NOON + timedelta(seconds=place),
                    "closed_at": NOON if state == HandoffState.CLOSED else None,
                }
                for place in range(number)
            ]
            await tx.execute(insert(handoffs_table), rows)
        await tx.connection.execute(text("ANALYZE"))
