"""Writes an event, once executed, to all subscriptions that are shown the same of it.

Each subscription begins by itself: its own task authorises its viewer, reads its past, notes its presence.
Once it has nothing to catch up with, that task sleeps, and the subscription follows with the others of its
audience (account, operation, variables on which the answer depends). For an event one task executes,
encodes, and writes the same bytes to each. What is each one's own stays so: the filter, the queue whose
length bounds how far it may lag, the gap before an event, the receipt, the rights.

Whoever cannot go on like that goes on alone, by waking its task, until it has caught up: whose client has yet
to take what was written before, who is to see an error or what depends on the viewer, whose rights may have
changed. So there is one way to refuse, and one way to be slow.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from db import system
from db.deliveries import Push
from db.events import EventRow
from db.users import UserRow
from notify.feed import Heard, Subscriber
from resolvers.identity import Caller
from schema.outlets import Outlet
from schema.streams import SharingExecutor, Streams

log = logging.getLogger(__name__)

#: How many are written to, or looked at, before others have their turn in the process.
_AT_ONCE = 500
#: After so long a follower's own task looks whether its token is still good. That an identity provider has
#: withdrawn a key is noticed by that; a token's end, and what is stored of its user, are noticed before.
_ALONE_AFTER_SECONDS = 60.0

First = tuple[int, int]


@dataclass(slots=True, eq=False)
class Follower:
    """A subscription that follows with others."""

    subscriber: Subscriber
    outlet: Outlet
    caller: Caller  #: as they were when it began to
    push_of: Callable[[EventRow, UserRow | None], Push | None]  #: what to ask a receipt of
    until: float = 0.0  #: when it is to look by itself, on the loop's clock

    @property
    def is_following(self) -> bool:
        """Whether it has not been let go."""
        return self.subscriber.on_news is not None

    def let_go(self) -> None:
        """Go on alone: its first event is still to be told."""
        self.subscriber.on_news = None
        self.subscriber.wake()

    def tell(self, heard: Heard, payload: bytes) -> None:
        """Write its first event, or let it go."""
        if self.outlet.write(payload, self.push_of(heard.event, self.caller.user)):
            self.subscriber.drop()
        else:
            self.let_go()


class Fanout:
    """The followers of one audience on this node. Its task lives as long as there is one."""

    def __init__(self, streams: Streams, executor: SharingExecutor, make: Callable[[Heard], Any]) -> None:
        self._streams = streams
        self._executor = executor
        self._make = make
        self._services = executor.context_value.services
        self._followers: dict[Follower, None] = {}
        self._ready: dict[Follower, None] = {}  #: those with news
        self._to_look_at: list[Follower] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def follow(self, follower: Follower) -> None:
        """Follow until it has to go on alone."""
        loop = asyncio.get_running_loop()
        follower.until = loop.time() + _ALONE_AFTER_SECONDS
        follower.subscriber.on_news = partial(self._hear, follower)
        self._followers[follower] = None
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        try:
            await follower.subscriber.until_woken()
        finally:
            follower.subscriber.on_news = None
            del self._followers[follower]
            self._ready.pop(follower, None)
            if not self._followers:
                self._task.cancel()
                self._task = None

    @property
    def is_followed(self) -> bool:
        """Whether anybody follows."""
        return bool(self._followers)

    def _hear(self, follower: Follower) -> None:
        self._ready[follower] = None
        self._news.set()

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
            while self._ready:
                await self._safely_tell()

    async def _safely_tell(self) -> None:
        try:
            await self._round()
        except Exception:
            log.exception("event not written to all")
            for follower in list(self._followers):
                follower.let_go()

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
        """Tell each that has news its first event."""
        ready, self._ready = list(self._ready), {}
        doubted = [follower for follower in ready if follower.subscriber.is_doubted]
        for start in range(0, len(doubted), _AT_ONCE):
            await self._look_at(doubted[start : start + _AT_ONCE])
        firsts: dict[First, tuple[Heard, list[Follower]]] = {}
        for follower in ready:
            subscriber = follower.subscriber
            first = subscriber.first
            if first is None or subscriber.is_doubted or not follower.is_following:
                continue  # who was doubted anew is ready again
            if first not in firsts:
                firsts[first] = subscriber.peek(), []
            firsts[first][1].append(follower)
        for first in sorted(firsts):
            await self._tell(*firsts[first])

    async def _tell(self, heard: Heard, followers: list[Follower]) -> None:
        payload = await self._payload(heard)
        for number, follower in enumerate(followers, 1):
            subscriber = follower.subscriber
            if not follower.is_following:
                continue  # it left, or was let go, meanwhile
            if payload is None:
                follower.let_go()
                continue
            if subscriber.begins_with(heard):  # else it lost the event meanwhile
                follower.tell(heard, payload)
            if subscriber.has_news:
                self._ready[follower] = None
            if number % _AT_ONCE == 0:
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
        except Exception:
            log.exception("event not shared")
            return None

    async def _look_at(self, followers: list[Follower]) -> None:
        """Let those go of whom something has changed since they began, or cannot be known here."""
        for follower in followers:
            follower.subscriber.is_doubted = False
        ids = {follower.caller.user.id for follower in followers}
        try:
            known = await system.find_users(self._services.database, ids)
        except Exception:  # noqa: BLE001 (each one's own task meets it again, answers, and logs it)
            log.warning("viewers not looked at")
            known = {}
        now = asyncio.get_running_loop().time()
        for follower in followers:
            user, by_key = follower.caller.user, follower.caller.key is not None
            found = known.get(user.id)
            if by_key or follower.until < now or found is None or found.user != user:
                follower.let_go()


async def follow_with_others(
    streams: Streams, executor: SharingExecutor, make: Callable[[Heard], Any], follower: Follower
) -> None:
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
        fanout = streams.fanouts[audience] = Fanout(streams, executor.for_account(), make)
    try:
        await fanout.follow(follower)
    finally:
        if not fanout.is_followed and streams.fanouts.get(audience) is fanout:
            del streams.fanouts[audience]
