"""Whoever writes on SQLite waits for nothing amid a move, and leaves all of it behind or nothing."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from db import deliveries as deliveries_of
from db import delivery_steps, sessions, sqlite_connections
from db import handoffs as stored
from db.deliveries import NewDelivery
from db.enums import Channel, DeliveryKind, Role, SkipReason
from db.models import teams
from db.models import users as users_table
from db.moves import move
from db.prepared import run
from db.session import Transaction, new_id
from resolvers import handoffs
from tests.cancelling import CancelledAt
from tests.cast import Cast
from tests.escalating import claim, create, escalate, escalated

pytestmark = pytest.mark.parametrize("engine", ["sqlite"])

ALL_USERS = select(users_table.c.id)


@pytest.fixture
def path(database_url: str) -> Path:
    """The file of the database."""
    return Path(database_url.removeprefix("sqlite:///"))


async def test_who_is_cancelled_wherever_they_wait_leaves_nothing(cast: Cast, path: Path) -> None:
    session_id = (await cast.start_session()).id
    heard: list[object] = []
    cast.database.on_commit.append(heard.append)
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


async def test_a_move_lets_others_have_their_turn_before_it_begins_and_waits_for_nothing(cast: Cast) -> None:
    handoff_id = await escalate(cast)
    session_id = (await cast.start_session()).id

    claiming = CancelledAt(0, claim(cast, handoff_id))
    creating = CancelledAt(0, create(cast, session_id))
    ends = [await claiming.end(), await creating.end()]

    assert ends == [None, None]
    assert (claiming.waits, creating.waits) == (1, 1)


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


@pytest.mark.parametrize("way", ["past SQLAlchemy", "SQLAlchemy's"])
async def test_a_transaction_that_failed_takes_no_further_statement(cast: Cast, way: str) -> None:
    handoff_id = await escalate(cast)
    before = await cast.all_rows()

    async def go_on() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            with pytest.raises(IntegrityError):
                await claim_with_one_delivery_twice(tx, cast, handoff_id)
            await (run(tx, ALL_USERS, {}) if way == "past SQLAlchemy" else tx.execute(ALL_USERS))

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
                await tx.execute(update(teams).values(name="Day shift"))

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


async def test_others_have_their_turn_while_many_are_told(cast: Cast) -> None:
    await add_responders(cast, 150)
    session_id = (await cast.start_session()).id
    before = await cast.all_rows()

    cancelled = CancelledAt(2, create(cast, session_id))
    end = await cancelled.end()
    after = await cast.all_rows()
    whole = CancelledAt(0, create(cast, session_id))
    await whole

    assert isinstance(end, asyncio.CancelledError)
    assert after == before
    assert whole.waits == 2  # before it begins, and between the first hundred and the rest
    assert len((await cast.all_rows())["deliveries"]) - len(before["deliveries"]) == 153


async def test_who_ignores_that_they_were_cancelled_between_rows_stores_none(cast: Cast) -> None:
    await add_responders(cast, 150)
    session_id = (await cast.start_session()).id
    before = await cast.all_rows()

    async def ignore() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            end = await CancelledAt(1, escalated(tx, cast, session_id)).end()
            assert isinstance(end, asyncio.CancelledError)

    with pytest.raises(DBAPIError, match="had failed"):
        await ignore()

    assert await cast.all_rows() == before


async def write_in_both_ways(cast: Cast, session_id: UUID) -> None:
    """Write past SQLAlchemy and by it, in turns."""
    async with cast.database.transaction(cast.account_id) as tx:
        await sessions.change(tx, session_id, {"problem_domain": "Network"})
        handoff_id = await escalated(tx, cast, session_id)
        await sessions.change(tx, session_id, {"problem_domain": "VPN"})
        await handoffs.claim(tx, cast.bob, handoff_id, now=datetime.now(UTC))


async def add_responders(cast: Cast, number: int) -> None:
    now = datetime.now(UTC)
    same = {"account_id": cast.account_id, "role": Role.ENGINEER, "name": "E", "created_at": now}
    rows = [{**same, "id": new_id(), "email": f"e{place}@northwind.example"} for place in range(number)]
    async with cast.database.transaction(cast.account_id) as tx:
        await tx.execute(insert(users_table), rows)


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


@contextmanager
def somebody_writing(path: Path) -> Iterator[None]:
    """Hold the lock of the file, as another process does amid a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
