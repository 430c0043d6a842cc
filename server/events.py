"""GraphQL over events, for networks that block WebSockets: graphql-sse in its distinct connections mode.

Source: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from server import sockets

log = logging.getLogger(__name__)

#: Proxies end a connection on which nothing is said for a minute.
BEAT_SECONDS = 15.0
_BEAT = b": still here\r\n\r\n"
_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class EventStream(StreamingResponse):
    """The events of one operation, until it or the server ends, or the client leaves or reads nothing.

    Starlette's own response would leave the operation to the garbage collector when the client leaves
    (1.10), and with it that the client's user counts as online.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str, None], ending: asyncio.Event) -> None:
        """Take the events, and what is set when the server begins to stop.

        A stream that ends then does so without `complete`, so that its client connects again.
        """
        super().__init__(events, headers=_HEADERS)
        self._events = events
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        await _send(send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        jobs = [
            asyncio.create_task(job)
            for job in (self._tell(send), _beat(send), _until_left(receive), self._until_ending())
        ]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        try:
            for job in done:
                job.result()
            await _send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.warning("client cut off: it reads nothing")

    async def _tell(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            async for event in events:
                await _send_more(send, event.encode())

    async def _until_ending(self) -> None:
        await self._ending.wait()


async def _beat(send: Send) -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        await _send_more(send, _BEAT)


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_more(send: Send, body: bytes) -> None:
    await _send(send, {"type": "http.response.body", "body": body, "more_body": True})


async def _send(send: Send, message: Message) -> None:
    async with asyncio.timeout(sockets.SEND_SECONDS):
        await send(message)
