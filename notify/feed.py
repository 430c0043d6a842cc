"""From the event log to the subscribers of this node.

`events` is the truth, wake-ups only say that it grew. For each account that somebody here watches, one
reader reads the events after the last one that it handed out, once per node, and puts them into the
bounded queues of the subscribers. What a transaction of this process has committed is handed out as it
was stored, without being read, where it follows right upon the last one. Every `poll_seconds` the counters
are compared anyway: a lost wake-up, a restarted broker or a dead writer costs that long, and never an event.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from uuid import UUID

from db import events, system
from db.enums import EventKind
from db.events import EventRow
from db.session import Database
from notify.broadcast.wakeups import Wakeups
from notify.outage import FeedStopped, Outage
from notify.subscribers import QUEUE_LENGTH, Listener, Subscriber, Wanted

log = logging.getLogger(__name__)

_PAGE = 500  #: events that are read at a time
#: What ends somebody's rights, or says how they want to be told. What follows is told after a look at them.
_CHANGES_RIGHTS = {
    EventKind.USER_CHANGED,
    EventKind.USER_DEACTIVATED,
    EventKind.USER_DELETED,
    EventKind.USER_SIGNED_OUT,
    EventKind.API_KEY_REVOKED,
    EventKind.PREFERENCES_UPDATED,
}


@dataclass(slots=True)
class _Watch:
    """What this node follows of one account."""

    position: int  #: the last event handed out
    listeners: dict[Listener, None] = field(default_factory=dict)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Subscription(AbstractAsyncContextManager[Subscriber]):
    """A subscriber while it is one. Thousands are open for hours, so it is no generator."""

    __slots__ = ("_account_id", "_feed", "_seen", "_subscriber")

    def __init__(self, feed: "Feed", account_id: UUID, subscriber: Subscriber, seen: int) -> None:
        self._feed = feed
        self._account_id = account_id
        self._subscriber = subscriber
        self._seen = seen

    async def __aenter__(self) -> Subscriber:
        try:
            await self._feed.join(self._account_id, self._subscriber, seen=self._seen)
        except BaseException:
            self._feed.leave(self._account_id, self._subscriber)
            raise
        return self._subscriber

    async def __aexit__(self, *_: object) -> None:
        self._feed.leave(self._account_id, self._subscriber)


class Feed:
    """The one reader of a node. Start it once; stop it once; subscribe any number of times."""

    def __init__(self, database: Database, wakeups: Wakeups, *, poll_seconds: float = 2.0) -> None:
        self._database = database
        self._wakeups = wakeups
        self.outage = Outage()
        self._poll_seconds = poll_seconds
        self._watches: dict[UUID, _Watch] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False

    async def start(self) -> None:
        """Begin to listen and to compare."""
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._poll())]
        self._database.on_commit.append(self._hear_soon)

    async def stop(self) -> None:
        """End every subscription and both tasks."""
        self._stopped = True
        self.outage.stop()
        for watch in self._watches.values():
            for listener in list(watch.listeners):
                listener.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def subscribe(
        self, account_id: UUID, wanted: Wanted, *, length: int = QUEUE_LENGTH, seen: int = 0
    ) -> AbstractAsyncContextManager[Subscriber]:
        """Follow the wanted events of an account from now on.

        The subscriber's `position` is the last event that it will not see: whoever wants older ones reads
        up to there, and misses none between. It is not before `seen`, if the account has so many events.

        Raises:
            FeedStopped: the node is shutting down.
        """
        return _Subscription(self, account_id, Subscriber(wanted, length=length), seen)

    async def join(self, account_id: UUID, subscriber: Subscriber, *, seen: int = 0) -> None:
        """Begin to hand events to a subscriber; `leave` must follow, also where this fails.

        `seen` may be an event of which this node has not heard yet: another has, or the database was asked.
        While the database is away, it is waited for.
        """
        if self._stopped:
            raise FeedStopped
        self.listen(account_id, subscriber)
        watch = self._watches[account_id]
        await self.outage.outlast(lambda: self._begin(account_id, watch))
        await self.outage.outlast(lambda: self._catch_up(account_id, seen))
        subscriber.position = watch.position

    def leave(self, account_id: UUID, listener: Listener) -> None:
        """Hand no more events to a listener."""
        watch = self._watches.get(account_id)
        if watch is not None:
            watch.listeners.pop(listener, None)
            if not watch.listeners:
                del self._watches[account_id]

    def listen(self, account_id: UUID, listener: Listener) -> None:
        """Hand events to a listener from now on; `leave` must follow."""
        self._watches.setdefault(account_id, _Watch(position=-1)).listeners[listener] = None

    async def _begin(self, account_id: UUID, watch: _Watch) -> None:
        """Find out where the watch begins, unless it has begun."""
        if watch.position < 0:
            async with watch.reading:
                if watch.position < 0:
                    async with self._database.reading(account_id) as tx:
                        watch.position = await events.latest_sequence(tx)

    def _hear_soon(self, committed: Sequence[EventRow]) -> None:
        """Hear of a commit once its task waits for something: whoever made it is answered first."""
        asyncio.get_running_loop().call_soon(self._hear, committed)

    def _hear(self, committed: Sequence[EventRow]) -> None:
        """Hand out what was committed here, if it follows upon what was handed out.

        If others' events lie between, or those of a commit that is heard of after this one, the wake-up about
        it has all of them read. So none comes before another that has a lower number. In an outage they
        are read, too: everybody is looked at before they are told anything.
        """
        watch = self._watches.get(committed[0].account_id)
        if watch is not None and not self.outage.is_on and watch.position == committed[0].sequence - 1:
            self._hand_out(watch, committed)

    async def _listen(self) -> None:
        async for wakeup in self._wakeups.listen():
            if wakeup.account_id is None:
                await self._safely(self._compare())
            elif wakeup.account_id in self._watches:
                await self._safely(self._catch_up(wakeup.account_id, wakeup.sequence))

    async def _poll(self) -> None:
        while True:
            await self.outage.pause(self._poll_seconds)
            await self._safely(self._compare())

    async def _safely(self, work: Awaitable[None]) -> None:
        """Do one round of reading; a database that is away is found again by the next round."""
        try:
            await work
        except Exception as fault:
            if not self.outage.notice(fault):
                log.exception("feed could not read")

    async def _compare(self) -> None:
        if not self._watches and not self.outage.is_on:
            return
        async with self._database.system_reading() as tx:
            latest = await system.latest_sequences(tx, list(self._watches))
        self._end_outage()
        for account_id, sequence in latest.items():
            await self._catch_up(account_id, sequence)

    async def _catch_up(self, account_id: UUID, sequence: int) -> None:
        """Hand out every event up to at least `sequence`, in order, to all who watch the account."""
        watch = self._watches.get(account_id)
        if watch is None:
            return
        async with watch.reading:
            while 0 <= watch.position < sequence:
                async with self._database.reading(account_id) as tx:
                    page = await events.after(tx, watch.position, limit=_PAGE)
                self._end_outage()
                if not page:
                    return
                self._hand_out(watch, page)

    def _end_outage(self) -> None:
        """Take notice that the database has answered. Rights may have changed while it was away."""
        if self.outage.is_on:
            self.outage.end()
            for watch in self._watches.values():
                for listener in list(watch.listeners):
                    listener.doubt()

    def _hand_out(self, watch: _Watch, page: Sequence[EventRow]) -> None:
        for event in page:
            if event.sequence <= watch.position:
                continue  # committed here, and handed out while the page was read
            watch.position = event.sequence
            for listener in list(watch.listeners):  # one may hand over to others
                listener.offer(event)
            if event.kind in _CHANGES_RIGHTS:
                for listener in list(watch.listeners):
                    listener.doubt()
