"""An account's events are numbered 1, 2, 3 … without gaps, in the order of the commits."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db import events
from db.enums import EventKind, HandoffIntent, ReminderAudience
from db.events import EventRow, append_about
from db.session import Transaction
from db.users import UserRow
from resolvers import handing_off, handoffs
from resolvers.errors import HandoffAlreadyClaimed
from resolvers.handing_off import Created
from resolvers.new_handoffs import NewHandoff
from tests.cast import Cast, deactivate
from tests.patience import PATIENCE

GRACE = timedelta(seconds=30)


async def test_the_first_event_of_an_account_is_number_one(cast: Cast) -> None:
    for account_id in (cast.account_id, cast.other_account_id):
        async with cast.database.reading(account_id) as tx:
            found = await events.after(tx, 0, limit=1000)

        assert [event.sequence for event in found] == list(range(1, len(found) + 1))
        assert found[0].kind == "ACCOUNT_CREATED"


async def test_concurrent_writers_number_their_events_without_gaps_in_commit_order(cast: Cast) -> None:
    sessions = [await cast.start_session() for _ in range(12)]
    before = await cast.last_event()
    finished = asyncio.Event()
    watcher = asyncio.create_task(_watch(cast, before, finished))

    async def escalate_and_claim(session_id: UUID) -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            made = await _escalate(tx, cast.alice, session_id)
        await asyncio.gather(*(_claim(cast, user, made.handoff.id) for user in (cast.bob, cast.olivia)))

    await asyncio.gather(*(escalate_and_claim(session.id) for session in sessions))
    finished.set()

    # A number that became visible after a higher one would have been passed over by the watcher.
    seen = await watcher
    assert [event.sequence for event in seen] == list(range(before + 1, before + 25))
    assert Counter(event.kind for event in seen) == {"HANDOFF_CREATED": 12, "HANDOFF_CLAIMED": 12}
    for session in sessions:
        assert [e.kind for e in seen if e.session_id == session.id] == ["HANDOFF_CREATED", "HANDOFF_CLAIMED"]


async def test_each_commit_is_heard_once_with_its_events(cast: Cast) -> None:
    heard: list[tuple[UUID, list[int]]] = []
    session = await cast.start_session()
    before = await cast.last_event()
    cast.database.on_commit.append(
        lambda stored: heard.append((stored[0].account_id, [event.sequence for event in stored]))
    )

    async with cast.database.transaction(cast.account_id) as tx:
        made = await _escalate(tx, cast.alice, session.id)
        await handoffs.claim(tx, cast.bob, made.handoff.id, now=datetime.now(UTC))
        assert heard == []

    assert heard == [(cast.account_id, [before + 1, before + 2])]


async def test_what_is_heard_of_a_commit_is_what_it_has_stored(cast: Cast) -> None:
    heard: list[EventRow] = []
    session = await cast.start_session(in_team=True)
    before = await cast.last_event()
    cast.database.on_commit.append(heard.extend)
    now = datetime.now(UTC)

    async with cast.database.transaction(cast.account_id) as tx:
        made = (await _escalate(tx, cast.alice, session.id)).handoff
        await handoffs.acknowledge(tx, cast.bob, made.id, now=now)
    async with cast.database.transaction(cast.account_id) as tx:
        audience = ReminderAudience.OWNERS_AND_ADMINS
        await append_about(
            tx, EventKind.ESCALATION_REMINDED, made, None, "reminded", at=now, audience=audience
        )
    await _claim(cast, cast.bob, made.id)
    async with cast.database.transaction(cast.account_id) as tx:
        await handoffs.release(tx, cast.bob, made.id, "it is late", now=now, grace=GRACE)
        await deactivate(tx, cast.bob)
    await _claim(cast, cast.alice, made.id)
    async with cast.database.transaction(cast.account_id) as tx:
        await handoffs.close_resolved(tx, cast.alice, session.id, now=now)

    async with cast.database.reading(cast.account_id) as tx:
        stored = await events.after(tx, before, limit=100)
    assert heard == stored
    assert [event.kind for event in heard] == [
        EventKind.HANDOFF_CREATED,
        EventKind.HANDOFF_ACKNOWLEDGED,
        EventKind.ESCALATION_REMINDED,
        EventKind.HANDOFF_CLAIMED,
        EventKind.HANDOFF_RELEASED,
        EventKind.USER_DEACTIVATED,
        EventKind.HANDOFF_CLAIMED,
        EventKind.HANDOFF_CLOSED,
    ]


async def test_a_rollback_leaves_no_row_no_event_no_delivery_and_uses_no_number(cast: Cast) -> None:
    heard: list[int] = []
    session = await cast.start_session()
    before, rows = await cast.last_event(), await cast.all_rows()
    cast.database.on_commit.append(lambda stored: heard.append(stored[-1].sequence))

    async def escalate_and_fail() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            await _escalate(tx, cast.alice, session.id, key="k1")
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await escalate_and_fail()

    assert await cast.all_rows() == rows
    assert heard == []
    async with cast.database.transaction(cast.account_id) as tx:
        await _escalate(tx, cast.alice, session.id, key="k1")
    assert await cast.last_event() == before + 1
    assert heard == [before + 1]


async def test_numbers_of_rolled_back_writers_are_used_by_those_who_commit(cast: Cast) -> None:
    sessions = [await cast.start_session() for _ in range(10)]
    before = await cast.last_event()

    async def escalate(number: int, session_id: UUID) -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            await _escalate(tx, cast.alice, session_id)
            if number % 2:
                raise ConnectionAbortedError

    ends = await asyncio.gather(
        *(escalate(number, session.id) for number, session in enumerate(sessions)), return_exceptions=True
    )

    assert Counter(type(end) for end in ends) == {type(None): 5, ConnectionAbortedError: 5}
    async with cast.database.reading(cast.account_id) as tx:
        seen = await events.after(tx, before, limit=1000)
    assert [event.sequence for event in seen] == list(range(before + 1, before + 6))
    assert {event.session_id for event in seen} == {session.id for session in sessions[::2]}


async def test_two_accounts_number_their_events_by_themselves(cast: Cast) -> None:
    before = await cast.last_event(), await cast.last_event(cast.other_account_id)

    await asyncio.gather(
        *(cast.start_session() for _ in range(6)), *(cast.start_session(owner=cast.charlie) for _ in range(3))
    )

    after = await cast.last_event(), await cast.last_event(cast.other_account_id)
    assert after == (before[0] + 6, before[1] + 3)


# SQLite has one writer at a time, whatever the account.
@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_writer_of_one_account_does_not_wait_for_one_of_another(cast: Cast) -> None:
    session = await cast.start_session()
    foreign = await cast.start_session(owner=cast.charlie)
    before = await cast.last_event(cast.other_account_id)

    async with cast.database.transaction(cast.account_id) as tx:
        await _escalate(tx, cast.alice, session.id)
        async with asyncio.timeout(PATIENCE), cast.database.transaction(cast.other_account_id) as other:
            await _escalate(other, cast.charlie, foreign.id)

        # The handoff, and that there is nobody to tell of it.
        assert await cast.last_event(cast.other_account_id) == before + 2


async def _watch(cast: Cast, after: int, finished: asyncio.Event) -> Sequence[EventRow]:
    """Follow the log like a subscriber does, by the number of the last event seen, until all is written."""
    seen: list[EventRow] = []
    done = False
    while not done:
        done = finished.is_set()
        async with cast.database.reading(cast.account_id) as tx:
            seen += await events.after(tx, seen[-1].sequence if seen else after, limit=1000)
    return seen


async def _escalate(tx: Transaction, user: UserRow, session_id: UUID, key: str | None = None) -> Created:
    new = NewHandoff(session_id=session_id, intent=HandoffIntent.ESCALATE, idempotency_key=key)
    return await handing_off.create(tx, user, new, now=datetime.now(UTC), grace=GRACE)


async def _claim(cast: Cast, user: UserRow, handoff_id: UUID) -> None:
    with suppress(HandoffAlreadyClaimed):
        async with cast.database.transaction(cast.account_id) as tx:
            await handoffs.claim(tx, user, handoff_id, now=datetime.now(UTC))
