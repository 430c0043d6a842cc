"""What a subscriber that does not keep up costs: its oldest events, of which it is told, and no memory."""

import gc
from datetime import UTC, datetime
from uuid import uuid4

from db.enums import EventKind
from db.events import EventRow
from db.session import Database
from notify.subscribers import Heard, Subscriber
from tests.cast import Cast
from tests.feeds import anything, commit, hear, numbers, running_feed

ACCOUNT = uuid4()


def make_event(number: int) -> EventRow:
    """Make an event that no database holds."""
    return EventRow(
        account_id=ACCOUNT,
        sequence=number,
        kind=EventKind.SESSION_UPDATED,
        at=datetime.now(UTC),
        actor_id=None,
        session_id=None,
        handoff_id=None,
        team_id=None,
        intent=None,
        round=0,
        except_id=None,
        audience=None,
        summary="changed it",
    )


async def test_a_slow_subscriber_loses_the_oldest_and_is_told_how_many_while_a_quick_one_loses_none(
    database: Database, cast: Cast
) -> None:
    async with (
        running_feed(database) as feed,
        feed.subscribe(cast.account_id, anything, length=3) as slow,
        feed.subscribe(cast.account_id, anything) as quick,
    ):
        last = await commit(database, cast.account_id, 10)
        assert len(await hear(quick, 10)) == 10

        found = await hear(slow, 3)
        await commit(database, cast.account_id)
        found += await hear(slow)

    assert numbers(found) == [last - 2, last - 1, last, last + 1]
    assert [heard.missed_before for heard in found] == [7, 0, 0, 0]


def test_a_flood_costs_a_subscriber_that_reads_nothing_no_more_than_its_queue() -> None:
    subscriber = Subscriber(anything, length=16)
    subscriber.position = 0

    for number in range(1, 5001):
        subscriber.offer(make_event(number))

    alive = [thing for thing in gc.get_objects() if isinstance(thing, EventRow)]
    assert len([event for event in alive if event.account_id == ACCOUNT]) == 16


async def test_the_events_lost_and_the_events_heard_are_all_that_were_offered() -> None:
    subscriber = Subscriber(anything, length=2)
    subscriber.position = 0
    found: list[Heard] = []

    for number in range(1, 101):
        subscriber.offer(make_event(number))
        if number % 7 == 0:
            found += await hear(subscriber)
    found += await hear(subscriber, 2)

    assert sum(1 + heard.missed_before for heard in found) == 100
    before = 0
    for heard in found:
        assert heard.event.sequence == before + heard.missed_before + 1
        before = heard.event.sequence
