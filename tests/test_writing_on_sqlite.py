"""Whoever writes on SQLite waits for nothing amid a move, and leaves all of it behind or nothing."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from db import deliveries as deliveries_of
from db import delivery_steps, letters, sessions, sqlite_connections
from db import handoffs as stored
from db.deliveries import NewDelivery
from db.enums import Channel, DeliveryKind, HandoffIntent, SkipReason
from db.models import teams
from db.models import users as users_table
from db.moves import move
from db.pages import Page
from db.prepared import run
from db.session import Transaction
from db.sqlite_connections import WritingConnection
from resolvers import handoffs
from resolvers.new_handoffs import NewHandoff
from tests.cast import Cast

pytestmark = pytest.mark.parametrize("engine", ["sqlite"])

ALL_USERS = select(users_table.c.id)


class CancelledAt:
    """Work that is cancelled where it waits for the nth time; `waits` counts them."""

    def __init__(self, place: int, work: Awaitable[object]) -> None:
        self._place = place
        self._work = work
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, None]:
        """Do the work, as the task that awaits it."""
        steps, error = self._work.__await__(), None
        while True:
            try:
                waited = next(steps) if error is None else steps.throw(error)
            except StopIteration:
                return
            self._count()
            try:
                error = None
                yield waited
            except BaseException as raised:  # noqa: BLE001 (it goes on to the work)
                error = raised

    def _count(self) -> None:
        self.waits += 1
        task = asyncio.current_task()
        if self.waits == self._place and task is not None:
            task.cancel()

    async def end(self) -> BaseException | None:
        """Do the work in a task of its own; return how it ended."""

        async def do() -> None:
            await self

        (end,) = await asyncio.gather(do(), return_exceptions=True)
        return end


@pytest.fixture
def path(cast: Cast) -> Path:
    """The file of the database."""
    return Path(str(cast.database._writer.url.database))


async def test_who_is_cancelled_wherever_they_wait_leaves_nothing(cast: Cast, path: Path) -> None:
    session_id = (await cast.start_session()).id
    heard: list[object] = []
    cast.database.on_commit.append(lambda *event: heard.append(event))
    before = await cast.all_rows()

    for place in count(1):
        work = CancelledAt(place, write_in_both_ways(cast, session_id))
        end = await work.end()
        if work.waits < place:
            break
        assert isinstance(end, asyncio.CancelledError)
        assert (await cast.all_rows(), heard) == (before, [])

    assert end is None
    assert place > 5
    assert len(heard) == 1
    assert await cast.all_rows() != before
    with closing(sqlite3.connect(path, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")  # nobody holds the lock


async def test_a_move_waits_for_nothing(cast: Cast) -> None:
    handoff_id = await escalate(cast)
    session_id = (await cast.start_session()).id

    claiming = CancelledAt(0, claim(cast, handoff_id))
    creating = CancelledAt(0, create(cast, session_id))
    ends = [await claiming.end(), await creating.end()]

    assert ends == [None, None]
    assert (claiming.waits, creating.waits) == (0, 0)


async def test_what_failed_amid_a_move_is_not_stored_by_who_ignores_that(cast: Cast) -> None:
    handoff_id = await escalate(cast)
    before = await cast.all_rows()
    errors: list[IntegrityError] = []

    async def ignore() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            with pytest.raises(IntegrityError) as caught:
                await claim_with_one_delivery_twice(tx, cast, handoff_id)
            errors.append(caught.value)

    with pytest.raises(DBAPIError, match="had failed"):
        await ignore()

    assert "UNIQUE constraint failed: deliveries" in str(errors[0].orig)
    assert await cast.all_rows() == before
    await claim(cast, handoff_id)


async def test_a_transaction_that_failed_takes_no_further_statement(cast: Cast) -> None:
    handoff_id = await escalate(cast)
    before = await cast.all_rows()

    async def go_on() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            with pytest.raises(IntegrityError):
                await claim_with_one_delivery_twice(tx, cast, handoff_id)
            await run(tx, ALL_USERS, {})

    with pytest.raises(DBAPIError, match="had failed"):
        await go_on()

    assert await cast.all_rows() == before


async def test_what_sqlite_has_rolled_back_itself_is_not_said_to_be_stored(cast: Cast) -> None:
    session = await cast.start_session()
    before = await cast.all_rows()

    async def fill_the_disk() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            await tx.execute(update(teams).values(name="Night shift"))
            await tx.connection.execute(text("PRAGMA max_page_count = 1"))  # it takes the present size
            with pytest.raises(DBAPIError, match="full"):
                await sessions.change(tx, session.id, {"problem_summary": "x" * 100_000})

    with pytest.raises(DBAPIError, match="had failed"):
        await fill_the_disk()

    assert await cast.all_rows() == before


async def test_who_swallows_a_cancellation_is_not_told_that_it_is_stored(cast: Cast) -> None:
    before = await cast.all_rows()

    async def write() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            await tx.execute(update(teams).values(name="Night shift"))
            waiting = CancelledAt(1, tx.execute(update(teams).values(name="Day shift")))
            assert isinstance(await waiting.end(), asyncio.CancelledError)

    with pytest.raises(DBAPIError, match="given up"):
        await write()

    assert await cast.all_rows() == before
    await escalate(cast)


async def test_a_process_goes_on_while_another_one_writes(cast: Cast, path: Path) -> None:
    session = await cast.start_session()

    with somebody_writing(path):
        writing = asyncio.create_task(escalate(cast))
        async with cast.database.reading(cast.account_id) as tx:
            found = await sessions.by_ids(tx, [session.id])
        has_waited = not writing.done()
    handoff_id = await writing

    assert (found, has_waited) == ({session.id: session}, True)
    async with cast.database.reading(cast.account_id) as tx:
        assert list(await stored.by_ids(tx, [handoff_id])) == [handoff_id]


async def test_who_is_cancelled_while_another_process_writes_leaves_nothing(cast: Cast, path: Path) -> None:
    await escalate(cast)  # the connection is open: what is waited for is the other process
    before = await cast.all_rows()

    with somebody_writing(path):
        ends = [await CancelledAt(place, escalate(cast)).end() for place in (1, 2, 3)]

    assert [type(end) for end in ends] == [asyncio.CancelledError] * 3
    assert await cast.all_rows() == before
    await escalate(cast)


async def test_who_waited_too_long_for_another_process_is_told_so(
    cast: Cast, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connections, "_PAUSES", (0.001, 0.001))
    before = await cast.all_rows()

    with somebody_writing(path), pytest.raises(DBAPIError, match="locked"):
        await escalate(cast)

    assert await cast.all_rows() == before
    await escalate(cast)


async def test_what_was_written_is_moved_into_the_file_when_it_is_enough(cast: Cast, path: Path) -> None:
    await cast.start_session("needle")
    async with cast.database.transaction(cast.account_id) as tx:
        for _ in range(150):
            await tx.execute(update(users_table).values(name=users_table.c.name))
    was_there = has(path, b"needle")

    await escalate(cast)

    assert not was_there
    assert has(path, b"needle")


async def test_what_another_process_wrote_is_moved_into_the_file_at_the_start(cast: Cast, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE users SET name = 'needle'")
        other.commit()
        was_there = has(path, b"needle")

        ends = [await CancelledAt(place, escalate(cast)).end() for place in (3, 0)]

        assert [type(end) for end in ends] == [asyncio.CancelledError, type(None)]
        assert not was_there
        assert has(path, b"needle")


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
        (mail, *_) = (await deliveries_of.of_handoffs(tx, [handoff_id], Page(1)))[handoff_id]
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


async def write_in_both_ways(cast: Cast, session_id: UUID) -> None:
    """Write past SQLAlchemy and by it, in turns."""
    async with cast.database.transaction(cast.account_id) as tx:
        await sessions.change(tx, session_id, {"problem_domain": "Network"})
        new = NewHandoff(session_id=session_id, intent=HandoffIntent.ESCALATE)
        made = await handoffs.create(tx, cast.alice, new, now=datetime.now(UTC), grace=timedelta(0))
        await sessions.change(tx, session_id, {"problem_domain": "VPN"})
        await handoffs.claim(tx, cast.bob, made.handoff.id, now=datetime.now(UTC))


async def escalate(cast: Cast) -> UUID:
    """Escalate a new session."""
    return await create(cast, (await cast.start_session()).id)


async def create(cast: Cast, session_id: UUID) -> UUID:
    new = NewHandoff(session_id=session_id, intent=HandoffIntent.ESCALATE)
    async with cast.database.transaction(cast.account_id) as tx:
        made = await handoffs.create(tx, cast.alice, new, now=datetime.now(UTC), grace=timedelta(0))
    return made.handoff.id


async def claim(cast: Cast, handoff_id: UUID) -> None:
    async with cast.database.transaction(cast.account_id) as tx:
        await handoffs.claim(tx, cast.bob, handoff_id, now=datetime.now(UTC))


async def claim_with_one_delivery_twice(tx: Transaction, cast: Cast, handoff_id: UUID) -> None:
    now = datetime.now(UTC)
    mail = NewDelivery(recipient_id=cast.alice.id, channel=Channel.EMAIL, due_at=now)
    await move(
        tx,
        stored.claiming(handoff_id, cast.bob.id, at=now),
        sessions.taking_over(),
        delivery_steps.skipping(SkipReason.CLAIMED),
        deliveries_of.adding(handoff_id, DeliveryKind.CLAIMED, 0, [mail, mail], at=now),
    )


def has(path: Path, what: bytes) -> bool:
    """Tell whether something stands in the database file itself."""
    return what in path.read_bytes()


def writer_of(tx: Transaction) -> WritingConnection:
    assert tx.writer is not None
    return tx.writer


@contextmanager
def somebody_writing(path: Path) -> Iterator[None]:
    """Hold the lock of the file, as another process does amid a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
