"""One WebSocket of graphql-transport-ws: receipts, and an end when the token ends.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md allows pings in both directions and
demands an answer to each. After an escalation's `next` frame the server sends a ping with a token: the
pong comes back on the same ordered stream, so one that echoes the token proves that this client received
the event. The protocol allows pongs that nobody asked for, so nothing else is a receipt: a false one
would swallow a mail.
"""

import asyncio
import secrets
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from graphql import GraphQLError
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    PingMessage,
    PongMessage,
)

from db.deliveries import Push
from schema.context import Context
from schema.receipts import collect_receipts

#: Pings that may wait for their pong. A client that never answers costs no more than this.
_MOST_UNANSWERED = 256


class SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One socket: closes when its token expires, and outlives a mistake in one of its operations."""

    _expiry: asyncio.Task[None] | None = None
    _asked: dict[asyncio.Task[object] | None, list[Push]]
    _unanswered: OrderedDict[str, Push]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (Strawberry's own arguments)
        super().__init__(*args, **kwargs)
        self._asked = {}
        self._unanswered = OrderedDict()

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Answer `connection_init`, and watch the token from then on."""
        await super().handle_connection_init(message)
        if self.connection_acknowledged and self._expiry is None:
            self._expiry = asyncio.create_task(self._close_at_expiry())

    async def run_operation(self, operation: Operation[Context, None]) -> None:
        """Run an operation in its task, and collect the receipts that it asks for."""
        task = asyncio.current_task()
        self._asked[task] = collect_receipts()
        try:
            await super().run_operation(operation)
        finally:
            del self._asked[task]

    async def send_message(self, message: Message) -> None:
        """Send a message; after an event, ask for the receipts that came with it."""
        await super().send_message(message)
        if message["type"] == "next":
            await self._ask_receipts()

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
        await super().shutdown()

    async def _ask_receipts(self) -> None:
        asked = self._asked.get(asyncio.current_task(), [])
        while asked:
            push = asked.pop(0)
            self.context.services.receipts.written(self.context.account_id, push)
            token = secrets.token_urlsafe(12)
            self._unanswered[token] = push
            if len(self._unanswered) > _MOST_UNANSWERED:
                self._unanswered.popitem(last=False)
            await super().send_message({"type": "ping", "payload": {"receipt": token}})

    async def _close_at_expiry(self) -> None:
        context = self.context
        left = context.identity().expires_at - context.now
        await asyncio.sleep(max(0.0, left.total_seconds()))
        with suppress(Exception):  # the client may have gone at this moment
            await self.websocket.close(code=4403, reason="Your token has expired")

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:
        """Answer an operation that cannot be read with `error`; closing would end its siblings."""
        return None
