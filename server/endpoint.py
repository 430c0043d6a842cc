"""/graphql: GraphQL over HTTP and over WebSocket (graphql-transport-ws)."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import orjson
import strawberry
from cross_web import HTTPException
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import ConnectionInitMessage
from strawberry.types.unset import UnsetType

from resolvers.errors import Unauthenticated
from schema.context import Context, Services
from server.auth import bearer

_INIT_TIMEOUT = timedelta(seconds=10)


class SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One socket: closes when its token expires, and outlives a mistake in one of its operations."""

    _expiry: asyncio.Task[None] | None = None

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Answer `connection_init`, and watch the token from then on."""
        await super().handle_connection_init(message)
        if self.connection_acknowledged and self._expiry is None:
            self._expiry = asyncio.create_task(self._close_at_expiry())

    async def shutdown(self) -> None:
        """End every operation of the socket."""
        if self._expiry is not None:
            self._expiry.cancel()
        await super().shutdown()

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


class Endpoint(GraphQL[Context, None]):
    """The view. Its context carries the token; whom it names is asked when a field needs to know."""

    graphql_transport_ws_handler_class = SocketHandler

    def __init__(
        self, schema: strawberry.Schema, services: Services, *, ide: bool, allowed_origins: list[str]
    ) -> None:
        super().__init__(
            schema,
            graphql_ide="graphiql" if ide else None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=_INIT_TIMEOUT,
            allowed_origins=allowed_origins,
        )
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what GraphQL cannot answer is JSON as well."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await self.run(request)
        except HTTPException as error:
            body = {"errors": [{"message": error.reason, "extensions": {"code": "BAD_USER_INPUT"}}]}
            response = JSONResponse(body, status_code=error.status_code)
        await response(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        """Make the context of a request or a socket."""
        is_socket = isinstance(request, WebSocket)
        token = None if is_socket else bearer(request.headers.get("authorization"))
        return Context(self._services, token=token, is_socket=is_socket)

    async def on_ws_connect(self, context: Context) -> UnsetType | dict[str, object] | None:
        """Accept a socket whose `connection_init` payload holds a valid token, else close it with 4403."""
        context.token = _token_of(context.connection_params)
        try:
            await context.viewer()
        except Unauthenticated:
            raise ConnectionRejectionError from None
        return None

    def decode_json(self, data: str | bytes) -> object:
        """Read JSON. What is no JSON raises a JSONDecodeError, deep nesting and bad UTF-8 as well."""
        return orjson.loads(data)

    def encode_json(self, data: object) -> str:
        """Write JSON as text: bytes would become binary frames, which clients refuse."""
        return orjson.dumps(data).decode()


def _token_of(params: dict[str, Any] | None) -> str | None:
    for name, value in (params or {}).items():
        if name.lower() == "authorization":
            return bearer(value)
    return None
