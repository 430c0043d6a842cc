"""/graphql: GraphQL over HTTP and over WebSocket (graphql-transport-ws)."""

from datetime import timedelta
from typing import Any

import orjson
import strawberry
from cross_web import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.unset import UNSET, UnsetType

from resolvers.errors import Unauthenticated
from schema.context import Context, Services
from server.auth import bearer
from server.sockets import SocketHandler

_INIT_TIMEOUT = timedelta(seconds=10)


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
        without_payload: UnsetType = UNSET
        return without_payload

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
