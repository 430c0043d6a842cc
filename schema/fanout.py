"""Writes an event, once executed, to all subscriptions that are shown the same of it.

Each subscription begins by itself: its own task authorises its viewer, reads its past, notes its presence.
Once it has nothing to catch up with, that task sleeps, and the subscription follows with the others of its
audience (account, operation, variables on which the answer depends). One listener hears the events for all
of them and asks once for all who want the same whether they want one; one task executes, encodes, and writes
the same bytes to each. What is each one's own stays so: the filter, the receipt, the rights, and, once it is
alone, the queue whose length bounds how far it may lag.

Whoever cannot go on like that goes on alone, by waking its task, until it has caught up: whose client has yet
to take what was written before, who is to see an error or what depends on the viewer, whose rights may have
changed, or cannot be known while the database is away. So there is one way to refuse, one way to wait, and
one way to be slow.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any

import orjson

from db import system
from db.events import EventRow
from notify.subscribers import QUEUE_LENGTH, Heard, Wanted
from schema.followers import Follower
from schema.streams import SharingExecutor, Streams

log = logging.getLogger(__name__)

#: How many are looked at before others have their turn in the process.
_AT_ONCE = 500
#: How many are written to before that. The event loop keeps what is written in a turn until its end: so few
#: that the first clients have theirs, and who has made the event its answer, while the rest is being written.
_WRITTEN_AT_ONCE = 50
#: After so long a follower's own task looks whether its token is still good. That an identity provider has
#: withdrawn a key is noticed by that; a token's end, and what is stored of its user, are noticed before.
_ALONE_AFTER_SECONDS = 60.0


class Fanout:
    """The followers of one audience on this node, and what listens for all of them.

    While a subscription follows, its own queue hears nothing. The events that wait here are those that it
    would hold, so whoever is let go takes along what it has not been told.
    """

    def __init__(
        self, streams: Streams, audience: object, executor: SharingExecutor, make: Callable[[Heard], Any]
    ) -> None:
        self._streams = streams
        self._audience = audience
        self._executor = executor
        self._make = make
        self._services = executor.context_value.services
        self._account_id = executor.context_value.account_id
        self._followers: dict[Follower, None] = {}
        self._by_wish: dict[Wanted, dict[Follower, None]] = {}  #: the same, by what they want
        self._to_look_at: list[Follower] = []
        self._waiting: list[EventRow] = []  #: events to be told; the first may be about to be
        self._latest = 0  #: the number of the last event that came
        self._is_doubted = False
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def follow(self, follower: Follower) -> None:
        """Follow until it has to go on alone."""
        self._join(follower)
        try:
            await follower.subscriber.until_woken()
        finally:
            self._part(follower)
            if not self._followers:
                self._end()

    def offer(self, event: EventRow) -> None:
        """Take an event. More than a subscription's own queue would hold go to the own queues."""
        self._latest = event.sequence
        self._waiting.append(event)
        if len(self._waiting) > QUEUE_LENGTH:
            self._let_all_go()
        self._news.set()

    def doubt(self) -> None:
        """Look at all viewers before the next event is told."""
        self._is_doubted = True
        self._news.set()

    def stop(self) -> None:
        """Wake all followers to their end."""
        for follower in self._followers:
            follower.subscriber.stop()

    def _join(self, follower: Follower) -> None:
        """Listen in place of a subscription that has nothing to catch up with."""
        if self._task is None:
            self._services.feed.listen(self._account_id, self)
            self._task = asyncio.create_task(self._run())
        self._services.feed.leave(self._account_id, follower.subscriber)
        follower.until = asyncio.get_running_loop().time() + _ALONE_AFTER_SECONDS
        follower.told = self._latest
        self._followers[follower] = None
        self._by_wish.setdefault(follower.subscriber.wanted, {})[follower] = None

    def _end(self) -> None:
        """End with the last follower; whoever comes next begins another."""
        if self._task is not None:
            self._services.feed.leave(self._account_id, self)
            self._task.cancel()
            self._task = None
        if self._streams.fanouts.get(self._audience) is self:
            del self._streams.fanouts[self._audience]

    def _part(self, follower: Follower) -> None:
        """Let a subscription listen for itself again, from the first event on that it has not been told."""
        if follower not in self._followers:
            return
        del self._followers[follower]
        subscriber = follower.subscriber
        alike = self._by_wish[subscriber.wanted]
        del alike[follower]
        if not alike:
            del self._by_wish[subscriber.wanted]
        self._services.feed.listen(self._account_id, subscriber)
        for event in self._waiting:
            if event.sequence > follower.told:
                subscriber.offer(event)

    def _let_go(self, follower: Follower) -> None:
        self._part(follower)
        follower.subscriber.wake()

    def _let_all_go(self) -> None:
        for follower in list(self._followers):
            self._let_go(follower)
        self._waiting.clear()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + self._pause()
        while True:
            try:
                async with asyncio.timeout_at(look_at):
                    await self._news.wait()
            except TimeoutError:
                pass
            if loop.time() >= look_at:
                await self._look_at(self._next_to_look_at())
                look_at = loop.time() + self._pause()
            self._news.clear()
            while self._waiting or self._is_doubted:
                await self._safely_tell()

    async def _safely_tell(self) -> None:
        try:
            await self._round()
        except Exception:
            log.exception("event not written to all")
            self._let_all_go()

    def _pause(self) -> float:
        """Return how long to wait, so that each is looked at once in `recheck_seconds`."""
        seconds: float = self._services.recheck_seconds
        return seconds / max(1, math.ceil(len(self._followers) / _AT_ONCE))

    def _next_to_look_at(self) -> list[Follower]:
        if not self._to_look_at:
            self._to_look_at = list(self._followers)
        chosen, self._to_look_at = self._to_look_at[:_AT_ONCE], self._to_look_at[_AT_ONCE:]
        return chosen

    async def _round(self) -> None:
        """Tell the next event, after a look at all if anybody's rights may have changed before it."""
        while self._is_doubted:
            self._is_doubted = False
            doubted = list(self._followers)
            for start in range(0, len(doubted), _AT_ONCE):
                await self._look_at(doubted[start : start + _AT_ONCE])
        if self._waiting:
            event = self._waiting[0]
            await self._tell(event)
            if self._waiting and self._waiting[0] is event:
                del self._waiting[0]

    async def _tell(self, event: EventRow) -> None:
        """Write an event to all who want it; let those go to whom it cannot be written."""
        followers: list[Follower] = []
        for wanted, alike in self._by_wish.items():
            if wanted(event):
                followers += alike
        payload = await self._payload(Heard(event, 0)) if followers else None
        for number, follower in enumerate(followers, 1):
            # who is awake has left meanwhile, or was let go
            is_to_be_told = follower.subscriber.is_asleep and follower.told < event.sequence
            if is_to_be_told and (payload is None or not follower.tell(event, payload)):
                self._let_go(follower)
            if number % _WRITTEN_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _payload(self, heard: Heard) -> bytes | None:
        """Return what all are shown of an event; None where each is to be shown it alone.

        An error is one of those: it is masked, and logged, on the way of each one's own task.
        """
        try:
            result = await self._executor.execute_shared(self._streams, self._make(heard))
            if result is None or result.errors:
                return None
            return orjson.dumps({"data": result.data})
        except Exception as fault:
            if not self._services.feed.outage.notice(fault):
                log.exception("event not shared")
            return None

    async def _look_at(self, followers: list[Follower]) -> None:
        """Let those go of whom something has changed since they began, or cannot be known here."""
        ids = {follower.caller.user.id for follower in followers}
        try:
            known = await system.find_users(self._services.database, ids)
        except Exception as fault:  # noqa: BLE001 (each one's own task meets it again, and waits or answers)
            if not self._services.feed.outage.notice(fault):
                log.warning("viewers not looked at")
            known = {}
        now = asyncio.get_running_loop().time()
        for follower in followers:
            user, by_key = follower.caller.user, follower.caller.key is not None
            found = known.get(user.id)
            if by_key or follower.until < now or found is None or found.user != user:
                self._let_go(follower)


def follow_with_others(
    streams: Streams, executor: SharingExecutor, make: Callable[[Heard], Any], follower: Follower
) -> Coroutine[Any, Any, None]:
    """Follow with all who are shown the same, until the subscription has to go on alone.

    Args:
        streams: This node's.
        executor: What executes the subscription's events.
        make: Makes the value of the root field.
        follower: The subscription, which has nothing to catch up with.
    """
    audience = executor.audience(streams)
    fanout = streams.fanouts.get(audience)
    if fanout is None:
        fanout = streams.fanouts[audience] = Fanout(streams, audience, executor.for_account(), make)
    return fanout.follow(follower)
