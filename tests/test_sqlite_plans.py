"""SQLite plans what is built once a single time, and finds by an index whatever is asked often."""

import sqlite3
from collections.abc import Awaitable
from datetime import UTC, datetime
from itertools import count

import pytest

from db import deliveries, letters, sessions
from db import handoffs as stored
from db.pages import Page
from db.session import Transaction
from db.sqlite_connections import WritingConnection
from resolvers import handoffs
from tests.cast import Cast
from tests.escalating import claim, create, escalate

pytestmark = pytest.mark.parametrize("engine", ["sqlite"])


async def test_no_statement_of_a_move_is_planned_anew(cast: Cast) -> None:
    planned: list[str | None] = []

    def allow(action: int, table: str | None, *_: object) -> int:
        planned.append(table)
        return sqlite3.SQLITE_OK

    async with cast.database.transaction(cast.account_id) as tx:
        writer_of(tx).set_authorizer(allow)  # is asked when a statement is planned
    for _ in range(2):
        planned.clear()
        await claim(cast, await escalate(cast))

    assert planned == []


async def test_a_claim_and_what_is_found_by_ids_cost_the_same_however_many_there_are(cast: Cast) -> None:
    few = await instructions(cast)
    for _ in range(60):
        await escalate(cast)
    many = await instructions(cast)

    assert {name: many[name] < few[name] * 1.1 for name in few} == dict.fromkeys(few, True)


async def instructions(cast: Cast) -> dict[str, int]:
    """Return how many instructions SQLite carries out to claim and to find by ids."""
    session_id = (await cast.start_session()).id
    handoff_id = await create(cast, session_id)
    async with cast.database.transaction(cast.account_id) as tx:
        (mail, *_) = (await deliveries.of_handoffs(tx, [handoff_id], Page(1)))[handoff_id]
        return {
            "handoff": await counted(tx, stored.by_ids(tx, [handoff_id])),
            "session": await counted(tx, sessions.by_ids(tx, [session_id])),
            "mail": await counted(tx, letters.addressed(tx, [mail.id])),
            "matter of a mail": await counted(tx, letters.matters(tx, [handoff_id])),
            "claim": await counted(tx, handoffs.claim(tx, cast.bob, handoff_id, now=datetime.now(UTC))),
        }


async def counted(tx: Transaction, work: Awaitable[object]) -> int:
    steps = count()
    writer_of(tx).set_progress_handler(lambda: next(steps) < 0, 1)
    await work
    writer_of(tx).set_progress_handler(None, 1)
    return next(steps)


def writer_of(tx: Transaction) -> WritingConnection:
    assert tx.writer is not None
    return tx.writer
