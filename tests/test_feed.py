"""The feed hands every event of an account to all who follow it, once and in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from db import events
from db.enums import EventKind
from db.events import EventRow
from db.models import account_counters
from db.models import events as events_table
from db.session import Database, Transaction
from notify.feed import Feed
from notify.outage import FeedStopped
from tests.cast import Cast
from tests.feeds import anything, append, commit, hear, numbers, rename_table, running_feed, said
from tests.sockets import eventually

QUICKLY = 0.02  #: seconds between two comparisons


class CountingDatabase(Database):
    """Counts the reads of one account."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.reads = 0

    @asynccontextmanager
    async def reading(self, account_id: UUID) -> AsyncIterator[Transaction]:
        """Open a transaction that only reads."""
        self.reads += 1
        async with super().reading(account_id) as tx:
            yield tx


@pytest.fixture
async def feed(database: Database, cast: Cast) -> AsyncIterator[Feed]:
    """A feed that is woken by commits, and by nothing else."""
    async with running_feed(database) as feed:
        yield feed


@pytest.fixture
async def silent(database_url: str) -> AsyncIterator[Database]:
    """The same database from where nobody announces a commit."""
    database = Database(database_url)
    yield database
    await database.dispose()


@pytest.fixture
async def counting(database_url: str) -> AsyncIterator[CountingDatabase]:
    """The database of a node whose reads are counted."""
    database = CountingDatabase(database_url)
    yield database
    await database.dispose()


@pytest.fixture
async def elsewhere(database_url: str) -> AsyncIterator[Database]:
    """The same database on another node, which tells of its commits."""
    database = Database(database_url)
    yield database
    await database.dispose()


async def test_events_of_concurrent_writers_come_in_the_order_of_their_commits(
    feed: Feed, database: Database, cast: Cast
) -> None:
    async with feed.subscribe(cast.account_id, anything) as subscriber:
        begun_at = subscriber.position
        assert begun_at is not None

        await asyncio.gather(*(commit(database, cast.account_id, 2) for _ in range(15)))

        found = await hear(subscriber, 30)
        assert numbers(found) == list(range(begun_at + 1, begun_at + 31))
        assert {heard.missed_before for heard in found} == {0}


async def test_only_what_is_wanted_comes_and_only_of_the_account(
    feed: Feed, database: Database, cast: Cast
) -> None:
    def even(event: EventRow) -> bool:
        return event.sequence % 2 == 0

    async with feed.subscribe(cast.account_id, even) as subscriber:
        await commit(database, cast.other_account_id, 4)
        last = await commit(database, cast.account_id, 4)

        found = await hear(subscriber, 2)

    assert numbers(found) == [number for number in range(last - 3, last + 1) if number % 2 == 0]
    assert {heard.event.account_id for heard in found} == {cast.account_id}


async def test_more_events_than_fit_a_page_come_whole(feed: Feed, database: Database, cast: Cast) -> None:
    async with feed.subscribe(cast.account_id, anything, length=1000) as subscriber:
        last = await commit(database, cast.account_id, 520)

        found = await hear(subscriber, 520)

    assert numbers(found) == list(range(last - 519, last + 1))


class Tomorrow(StrEnum):
    """What a newer version tells of."""

    COFFEE_BREWED = "COFFEE_BREWED"


async def test_what_a_newer_version_tells_of_holds_nothing_up(
    database: Database, silent: Database, cast: Cast
) -> None:
    async with (
        running_feed(database, poll_seconds=QUICKLY) as feed,
        feed.subscribe(cast.account_id, anything) as subscriber,
    ):
        unknown = await brew_coffee(silent, cast.account_id)
        known = await commit(silent, cast.account_id)

        found = await hear(subscriber, 2)

    assert numbers(found) == [unknown, known]
    assert [heard.event.kind for heard in found] == [EventKind.UNKNOWN, EventKind.SESSION_UPDATED]


async def test_a_commit_that_nobody_announced_is_found_by_the_next_comparison(
    database: Database, silent: Database, cast: Cast
) -> None:
    async with (
        running_feed(database, poll_seconds=QUICKLY) as feed,
        feed.subscribe(cast.account_id, anything) as subscriber,
    ):
        last = await commit(silent, cast.account_id, 3)

        assert numbers(await hear(subscriber, 3)) == [last - 2, last - 1, last]


async def test_what_nobody_announced_comes_before_what_is_announced_after_it(
    feed: Feed, database: Database, silent: Database, cast: Cast
) -> None:
    async with feed.subscribe(cast.account_id, anything) as subscriber:
        lost = await commit(silent, cast.account_id)

        announced = await commit(database, cast.account_id)

        assert numbers(await hear(subscriber, 2)) == [lost, announced]


async def test_two_subscribers_of_an_account_cost_one_read(
    counting: CountingDatabase, elsewhere: Database, cast: Cast
) -> None:
    async with (
        running_feed(counting, elsewhere) as feed,
        feed.subscribe(cast.account_id, anything) as first,
        feed.subscribe(cast.account_id, anything) as second,
    ):
        assert counting.reads == 1
        last = await commit(elsewhere, cast.account_id, 3)

        assert numbers(await hear(first, 3)) == numbers(await hear(second, 3)) == [last - 2, last - 1, last]
        assert counting.reads == 2


async def test_an_account_that_nobody_follows_is_not_read(
    counting: CountingDatabase, elsewhere: Database, cast: Cast
) -> None:
    async with running_feed(counting, elsewhere) as feed:
        async with feed.subscribe(cast.other_account_id, anything):
            pass
        async with feed.subscribe(cast.account_id, anything) as subscriber:
            await commit(elsewhere, cast.other_account_id)
            await commit(elsewhere, cast.account_id)
            await hear(subscriber)

    assert counting.reads == 3  # one for each who joined, one for the commit


async def test_what_is_committed_here_is_handed_out_as_it_is_stored_without_being_read(
    counting: CountingDatabase, elsewhere: Database, cast: Cast
) -> None:
    async with running_feed(counting) as feed, feed.subscribe(cast.account_id, anything) as subscriber:
        last = await commit(counting, cast.account_id, 3)
        found = await hear(subscriber, 3)
        assert counting.reads == 1  # for joining

        async with elsewhere.reading(cast.account_id) as tx:
            stored = await events.after(tx, last - 3, limit=10)
        assert [heard.event for heard in found] == stored


async def test_what_is_committed_here_after_something_unheard_is_read_with_it_and_comes_once(
    counting: CountingDatabase, silent: Database, cast: Cast
) -> None:
    async with running_feed(counting) as feed, feed.subscribe(cast.account_id, anything) as subscriber:
        unheard = await commit(silent, cast.account_id, 2)
        here = [await commit(counting, cast.account_id) for _ in range(3)]

        assert numbers(await hear(subscriber, 5)) == [unheard - 1, unheard, *here]
        last = await commit(counting, cast.account_id)
        assert numbers(await hear(subscriber)) == [last]


async def test_events_committed_here_and_elsewhere_at_once_come_in_order_each_once(
    database: Database, elsewhere: Database, cast: Cast
) -> None:
    async with (
        running_feed(database, elsewhere) as feed,
        feed.subscribe(cast.account_id, anything) as subscriber,
    ):
        begun_at = await cast.last_event()

        await asyncio.gather(
            *(commit(each, cast.account_id, 2) for _ in range(20) for each in (database, elsewhere))
        )

        found = await hear(subscriber, 80)
        assert numbers(found) == list(range(begun_at + 1, begun_at + 81))
        last = await commit(database, cast.account_id)
        assert numbers(await hear(subscriber)) == [last]


class Diary:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.entries: list[int | str] = []

    def offer(self, event: EventRow) -> None:
        """Take an event."""
        self.entries.append(event.sequence)

    def doubt(self) -> None:
        """Take notice of changed rights."""
        self.entries.append("doubt")

    def stop(self) -> None:
        """Take notice of the end."""


async def test_what_is_committed_here_while_the_database_seems_away_comes_after_a_look_at_everybody(
    feed: Feed, database: Database, cast: Cast
) -> None:
    diary = Diary()
    async with feed.subscribe(cast.account_id, anything) as subscriber:
        feed.listen(cast.account_id, diary)
        feed.outage.notice(ConnectionRefusedError("of the database"))

        sequence = await commit(database, cast.account_id)
        await hear(subscriber)

    feed.leave(cast.account_id, diary)
    assert diary.entries == ["doubt", sequence]


async def test_what_fails_to_commit_here_is_not_heard(feed: Feed, database: Database, cast: Cast) -> None:
    async def fail() -> None:
        async with database.transaction(cast.account_id) as tx:
            await append(tx)
            raise ConnectionAbortedError

    async with feed.subscribe(cast.account_id, anything) as subscriber:
        with pytest.raises(ConnectionAbortedError):
            await fail()
        last = await commit(database, cast.account_id)

        (heard,) = await hear(subscriber)
        assert (heard.event.sequence, heard.event.summary) == (last, "changed it")


async def test_who_leaves_and_comes_back_begins_anew(feed: Feed, database: Database, cast: Cast) -> None:
    async with feed.subscribe(cast.account_id, anything) as subscriber:
        await commit(database, cast.account_id)
        await hear(subscriber)
    meanwhile = await commit(database, cast.account_id)

    async with feed.subscribe(cast.account_id, anything) as subscriber:
        assert subscriber.position == meanwhile
        later = await commit(database, cast.account_id)

        assert numbers(await hear(subscriber)) == [later]


async def test_who_leaves_takes_nothing_from_who_stays(feed: Feed, database: Database, cast: Cast) -> None:
    async with feed.subscribe(cast.account_id, anything) as stays:
        async with feed.subscribe(cast.account_id, anything):
            pass

        last = await commit(database, cast.account_id)

        assert numbers(await hear(stays)) == [last]


async def test_who_joins_amid_a_stream_of_commits_gets_all_from_its_position_on(
    feed: Feed, database: Database, cast: Cast
) -> None:
    async def join() -> tuple[int, list[int]]:
        async with feed.subscribe(cast.account_id, anything) as subscriber:
            assert subscriber.position is not None
            return subscriber.position, numbers(await hear(subscriber, 3))

    async def write() -> None:
        while not joined.done():
            await commit(database, cast.account_id)

    async def join_again_and_again() -> list[tuple[int, list[int]]]:
        return [await join() for _ in range(10)]

    joined = asyncio.gather(*(join_again_and_again() for _ in range(3)))
    await asyncio.gather(joined, write())

    for position, heard in [found for round_ in joined.result() for found in round_]:
        assert heard == [position + 1, position + 2, position + 3]


async def test_who_is_cancelled_while_joining_leaves_the_account_to_others(
    feed: Feed, database: Database, cast: Cast
) -> None:
    async def join() -> None:
        async with feed.subscribe(cast.account_id, anything):
            raise AssertionError("it was cancelled too late")

    impatient = asyncio.create_task(join())
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient

    async with feed.subscribe(cast.account_id, anything) as subscriber:
        last = await commit(database, cast.account_id)

        assert numbers(await hear(subscriber)) == [last]


async def test_a_comparison_that_fails_is_survived(
    database: Database, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        running_feed(database, poll_seconds=QUICKLY) as feed,
        feed.subscribe(cast.account_id, anything) as subscriber,
    ):
        await rename_table(database, "account_counters", "counters_away")
        await eventually(said(caplog, "feed could not read"))
        await rename_table(database, "counters_away", "account_counters")

        last = await commit(database, cast.account_id)

        assert numbers(await hear(subscriber)) == [last]


async def test_events_that_could_not_be_read_come_with_the_next_wakeup(
    feed: Feed, database: Database, silent: Database, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    async with feed.subscribe(cast.account_id, anything) as subscriber:
        unread = await commit(silent, cast.account_id)
        await rename_table(database, "events", "events_away")
        feed._wakeups.announce(cast.account_id, unread)
        await eventually(said(caplog, "feed could not read"))
        await rename_table(database, "events_away", "events")

        last = await commit(database, cast.account_id)

        assert numbers(await hear(subscriber, 2)) == [unread, last]


async def test_stopping_ends_all_subscriptions_and_refuses_new_ones(feed: Feed, cast: Cast) -> None:
    async with (
        feed.subscribe(cast.account_id, anything) as waiting,
        feed.subscribe(cast.other_account_id, anything) as elsewhere,
    ):
        hearing = [asyncio.create_task(hear(subscriber)) for subscriber in (waiting, elsewhere)]
        await asyncio.sleep(0)

        await feed.stop()

        ends = await asyncio.gather(*hearing, return_exceptions=True)
        assert [type(end) for end in ends] == [FeedStopped, FeedStopped]
    with pytest.raises(FeedStopped):
        async with feed.subscribe(cast.account_id, anything):
            raise AssertionError("a stopped feed let somebody in")


async def test_without_an_event_a_subscriber_hears_none_within_its_patience(feed: Feed, cast: Cast) -> None:
    async with feed.subscribe(cast.account_id, anything) as subscriber:
        assert await subscriber.next(within=0.0) is None


async def brew_coffee(database: Database, account_id: UUID) -> int:
    """Store an event of tomorrow's as tomorrow's version does, and return its number."""
    counter = account_counters.c
    async with database.owning() as tx:
        await tx.execute(
            update(account_counters)
            .where(counter.account_id == account_id)
            .values(event_sequence=counter.event_sequence + 1)
        )
        number = await tx.fetch_value(select(counter.event_sequence).where(counter.account_id == account_id))
        row = {
            "account_id": account_id,
            "sequence": number,
            "at": datetime.now(UTC),
            "summary": "brewed coffee",
        }
        await tx.execute(insert(events_table).values(kind=Tomorrow.COFFEE_BREWED, **row))
    return int(number)
