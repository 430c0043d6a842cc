"""One WebSocket of graphql-transport-ws: receipts, and an end when the token ends.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md allows pings in both directions and
demands an answer to each. After an escalation's `next` frame the server sends a ping with a token: the
pong comes back on the same ordered stream, so one that echoes the token proves that this client received
the event. The protocol allows pongs that nobody asked for, so nothing else is a receipt: a false one
would swallow a mail.
"""

import asyncio
import logging
import secrets
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.websockets import WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import (
    NonJsonMessageReceived,
    NonTextMessageReceived,
    WebSocketDisconnected,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    PingMessage,
    PongMessage,
    SubscribeMessage,
)

from db.pushes import Push
from resolvers.errors import RateLimited, TokenUnchecked
from schema.context import Context
from schema.documents import find_document
from schema.outlets import current_outlet, open_outlet
from server.frames import close_reason, fault_of
from server.outlets import SocketOutlet
from server.wires import SocketProtocol, wire_of

log = logging.getLogger(__name__)

#: A client that does not take a message for so long is cut off.
SEND_SECONDS = 10.0
CLOSE_SECONDS = 1.0
#: Pings that may wait for their pong. A client that never answers costs no more than this.
_MOST_UNANSWERED = 256
#: Seconds; the loop refuses timers of years.
_LONGEST_TIMER = 86_400.0
#: Operations that one socket may have open.
MOST_OPERATIONS = 100


class ClientStuck(WebSocketDisconnected):
    """The client reads nothing, and so would never notice that it is told goodbye."""


class SocketAdapter(ASGIWebSocketAdapter):
    """Sends within a time, so that a client that reads nothing costs nobody else anything."""

    @property
    def wire(self) -> SocketProtocol | None:
        """Where messages can be written at once; None where the server has no such thing."""
        return wire_of(self.ws.scope)

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        """Yield what the client says. Strawberry's own holds the last message's text, too, until the next.

        Raises:
            NonJsonMessageReceived: it is no JSON object.
            NonTextMessageReceived: it is no text.
        """
        try:
            while self.ws.application_state != WebSocketState.DISCONNECTED:
                yield self.view.decode_json(await self.ws.receive_text())
        except orjson.JSONDecodeError as error:
            raise NonJsonMessageReceived from error
        except KeyError as error:
            raise NonTextMessageReceived from error
        except WebSocketDisconnect:
            return

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message.

        Raises:
            WebSocketDisconnected: the client has gone.
            ClientStuck: it has not taken the message in time.
        """
        if self.ws.application_state == WebSocketState.DISCONNECTED:
            raise WebSocketDisconnected  # closed by us, while an operation had more to say
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await super().send_json(message)
        except TimeoutError:
            raise ClientStuck from None

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, with as much of the reason as fits; one that is closed already stays so."""
        with suppress(TimeoutError, RuntimeError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await super().close(code, close_reason(reason))


class SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One socket: closes when its token expires, and outlives a mistake in one of its operations."""

    _expiry: asyncio.TimerHandle | None = None
    _expiring: asyncio.Task[None] | None = None
    _serving: asyncio.Task[Any] | None = None
    _is_cut_off = False
    websocket: SocketAdapter
    _unanswered: dict[str, Push]  #: the oldest first

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (Strawberry's own arguments)
        super().__init__(*args, **kwargs)
        self._unanswered = {}

    async def handle_message(self, message: Message) -> None:
        """Act on a message, or close the socket with 4400 for one that the protocol does not know."""
        fault = fault_of(message)
        if fault is not None:
            await self.handle_invalid_message(fault)
        else:
            await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Answer `connection_init`, and watch the token from then on."""
        try:
            await super().handle_connection_init(message)
        except WebSocketDisconnected:
            raise
        except RateLimited as refusal:
            await self.websocket.close(code=4429, reason=refusal.message)
        except TokenUnchecked as refusal:
            await self.websocket.close(code=1013, reason=refusal.message)
        except Exception as fault:
            if self.context.services.feed.outage.notice(fault):
                # graphql-ws (6.4) connects again after this code, and gives up for good after 4500.
                await self.websocket.close(code=1013, reason="The database is away. Try again later")
            else:
                log.exception("socket not accepted")
                await self.websocket.close(code=4500, reason="Something went wrong on the server")
        if self.connection_acknowledged:
            self.connection_init_timeout_task = None  # ended; with it goes what it was raised through
            if self._expiry is None and self.context.expires_at is not None:
                self._watch_expiry(self.context.expires_at)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Begin an operation, unless the socket has too many."""
        is_new = self.connection_acknowledged and message["id"] not in self.operations
        if is_new and len(self.operations) >= MOST_OPERATIONS:
            said = f"A socket can have {MOST_OPERATIONS} operations open. End one, or open another socket."
            error = GraphQLError(said, extensions={"code": "RATE_LIMITED"})
            await self.send_message({"id": message["id"], "type": "error", "payload": [error.formatted]})
        else:
            payload = message["payload"]
            documents = self.context.services.documents
            text = find_document(documents, payload["query"], payload.get("extensions"))
            payload["query"] = sys.intern(text)  # held as long as the operation runs, by thousands
            await super().handle_subscribe(message)

    async def run_operation(self, operation: Operation[Context, None]) -> None:
        """Run an operation in its task, with an outlet of its own."""
        open_outlet(SocketOutlet(self, operation))
        await super().run_operation(operation)

    async def handle_task_exception(self, error: Exception) -> None:
        """Log a fault of an operation's task; that its client has gone is none."""
        if not isinstance(error, WebSocketDisconnected):
            await super().handle_task_exception(error)

    async def handle(self) -> None:
        """Serve the socket until either side ends it."""
        self._serving = asyncio.current_task()
        try:
            await super().handle()
        except asyncio.CancelledError:
            if not self._is_cut_off:
                raise

    async def send_message(self, message: Message) -> None:
        """Send a message; after an event that is shown, ask for the receipts that came with it."""
        try:
            await super().send_message(message)
        except ClientStuck:
            self._cut_off()
            raise
        if message["type"] == "next":
            await self._ask_receipts(is_shown=message["payload"]["data"] is not None)

    async def handle_ping(self, message: PingMessage) -> None:
        """Answer a ping with its own payload, as the reference server does."""
        pong: PongMessage = {"type": "pong"}
        if "payload" in message:
            pong["payload"] = message["payload"]
        await self.send_message(pong)

    async def handle_pong(self, message: PongMessage) -> None:
        """Take a pong that echoes the token of a ping as a receipt, and nothing else."""
        payload = message.get("payload")
        token = payload.get("receipt") if isinstance(payload, dict) else None
        push = self._unanswered.pop(token, None) if isinstance(token, str) else None
        if push is not None:
            self.context.services.receipts.confirmed(self.context.account_id, push)

    async def shutdown(self) -> None:
        """End every operation of the socket."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._expiring is not None:
            self._expiring.cancel()
        if self.context.on_close is not None:
            self.context.on_close()
        await super().shutdown()

    def _cut_off(self) -> None:
        """End the socket of a stuck client: the loop that waits for its next message would wait for ever."""
        if self._serving is not None and not self._is_cut_off:
            self._is_cut_off = True
            log.warning("client cut off: it reads nothing")
            self._serving.cancel()

    def receipt_ping(self, push: Push) -> PingMessage:
        """Return the ping that goes right after an event, and remember of what its pong is a receipt."""
        self.context.services.receipts.written(self.context.account_id, push)
        token = secrets.token_urlsafe(12)
        self._unanswered[token] = push
        if len(self._unanswered) > _MOST_UNANSWERED:
            del self._unanswered[next(iter(self._unanswered))]
        return {"type": "ping", "payload": {"receipt": token}}

    async def _ask_receipts(self, *, is_shown: bool) -> None:
        outlet = current_outlet()
        if outlet is not None and not is_shown:
            outlet.asked.clear()  # a receipt would swallow the mail
        while outlet is not None and outlet.asked:
            await super().send_message(self.receipt_ping(outlet.asked.pop(0)))

    def _watch_expiry(self, expires_at: datetime) -> None:
        """Close the socket when its token ends. A timer: a task that sleeps is ten times as large."""
        left = (expires_at - self.context.now).total_seconds()
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(min(max(0.0, left), _LONGEST_TIMER), self._expire, expires_at)

    def _expire(self, expires_at: datetime) -> None:
        if expires_at > self.context.now:
            self._watch_expiry(expires_at)
        else:
            self._expiring = asyncio.create_task(self._close_expired())

    async def _close_expired(self) -> None:
        with suppress(Exception):  # the client may have gone at this moment
            await self.websocket.close(code=4403, reason="Your token has expired")

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:
        """Answer an operation that cannot be read with `error`; closing would end its siblings."""
        return None
