"""The backend on Redis or Valkey, by PUBLISH and SUBSCRIBE."""

import asyncio
import re
from typing import Any, ClassVar
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from notify.broadcast.backend import DEFAULT_TIMING, INBOX_LIMIT, ReconnectingBackend, Timing

KEEP_ALIVE_CHANNEL = "handoff-keep-alive"  #: Nothing is ever published there.


class RedisBackend(ReconnectingBackend):
    """One connection that listens, and a pool to publish.

    The connection subscribes, to KEEP_ALIVE_CHANNEL at least, before it is read. The backend of broadcaster
    0.3.1 reads first, and with redis-py 8.1 its first channel then receives nothing.
    """

    faults: ClassVar[tuple[type[Exception], ...]] = (OSError, RedisError)

    def __init__(self, url: str, timing: Timing = DEFAULT_TIMING, inbox_limit: int = INBOX_LIMIT) -> None:
        """Read the address, without connecting.

        Args:
            url: `redis://`, `rediss://` (TLS), `unix://` or `valkey://`; its query holds redis-py's options.
            timing: How long to wait.
            inbox_limit: Messages held for a reader that is late.

        Raises:
            ValueError: The address cannot be read; the message does not repeat it.
        """
        super().__init__(timing, inbox_limit)
        self._client = _client(url, timing)
        self._unconfirmed: set[str] = set()

    async def _send(self, channel: str, message: str) -> None:
        await self._client.publish(channel, message)

    async def _close(self) -> None:
        await self._client.aclose()

    async def _follow(self) -> None:
        pubsub = self._client.pubsub()
        self._unconfirmed = {KEEP_ALIVE_CHANNEL, *self.channels}
        try:
            async with asyncio.timeout(self.timing.connect_seconds):
                await pubsub.subscribe(KEEP_ALIVE_CHANNEL, *self.channels)
            await self._read(pubsub)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # not annotated in redis-py 8.1

    async def _read(self, pubsub: PubSub) -> None:
        """Read until the connection is lost, and ping a silent server.

        Raises:
            TimeoutError: The server was silent for too long, pings included.
        """
        clock = asyncio.get_running_loop().time
        heard_at = clock()
        while True:
            message = await pubsub.get_message(timeout=self.timing.idle_seconds / 2)
            if message is not None:
                heard_at = clock()
                self._handle(message)
            elif clock() - heard_at < self.timing.idle_seconds:
                await pubsub.ping()
            else:
                raise TimeoutError("the server does not answer a ping")

    def _handle(self, message: dict[str, Any]) -> None:
        """Take one message of any kind; the answer to a ping needs nothing but to be heard."""
        if message["type"] == "message":
            self._receive(_text(message["channel"]), _text(message["data"]))
        elif message["type"] == "subscribe":
            self._unconfirmed.discard(_text(message["channel"]))
            # Up only now: what was published before the server took the subscriptions did not arrive.
            if not self._unconfirmed:
                self._came_up()


def _client(url: str, timing: Timing) -> Redis:
    scheme, separator, rest = url.partition("://")
    known = "redis" if scheme.lower() == "valkey" else scheme.lower()
    try:
        _check_path(known, urlsplit(f"{known}{separator}{rest}").path)
        return Redis.from_url(
            f"{known}{separator}{rest}",
            socket_timeout=timing.answer_seconds,
            socket_connect_timeout=timing.connect_seconds,
            # redis-py would connect anew in silence; the gap must be noticed here.
            retry=Retry(NoBackoff(), 0),
            # RESP2 has all that is needed, and spares the handshakes that redis-py 8 adds with RESP3.
            protocol=2,
        )
    except ValueError:
        # Without its cause, which may hold a part of the password.
        raise ValueError(
            "The Redis broadcast URL cannot be read: check its port, the number of its database or the path "
            "of its socket, its options, and that the password is percent-encoded."
        ) from None


def _check_path(scheme: str, path: str) -> None:
    """Refuse what redis-py (8.1) would pass over: it would connect to database 0, or to no socket.

    Raises:
        ValueError: the path names neither a database nor a socket.
    """
    named = path.strip("/")
    if (not named) if scheme == "unix" else not re.fullmatch("[0-9]*", named):
        raise ValueError


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
