"""/graphql: GraphQL over HTTP, over WebSocket (graphql-transport-ws), and over events (graphql-sse)."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import cast

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException, StarletteRequestAdapter
from graphql import GraphQLError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.http.streaming import SSETransport
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.execution import ExecutionResult, PreExecutionError, SubscriptionExecutionResult
from strawberry.types.unset import UNSET, UnsetType

from resolvers.errors import TokenUnchecked, Unauthenticated
from schema.context import Context, Services
from schema.documents import find_document, is_subscription, mutations_in
from schema.errors import code_of, public_error
from schema.evented import is_evented
from schema.guard import note
from schema.plans import PlannedSchema, run
from server.admissions import Admissions
from server.answers import Answers
from server.auth import bearer
from server.events import EventStream
from server.http_rules import BoundedRequest, answer, check_request, label, refusal_of_fault, refuse
from server.plain_requests import KINDS, read_plain
from server.sockets import SocketAdapter, SocketHandler

log = logging.getLogger(__name__)

EXPLORER = Path(__file__).parent / "explorer"
EXPLORER_HEADERS = {
    # GraphiQL sets styles on elements and, in its editor, runs workers from blobs.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; worker-src 'self' blob:; connect-src 'self' ws: wss:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_INIT_TIMEOUT = timedelta(seconds=10)


class CheckedRequest(StarletteRequestAdapter):
    """A request whose media type `check_request` has read, which Strawberry reads by the letter (0.341.2)."""

    @property
    def content_type(self) -> str:
        """What every body is."""
        return "application/json"


class Endpoint(GraphQL[Context, None]):
    """The view. Its context carries the token; whom it names is asked when a field needs to know."""

    request_adapter_class = CheckedRequest
    graphql_transport_ws_handler_class = SocketHandler
    websocket_adapter_class = SocketAdapter

    def __init__(
        self,
        schema: PlannedSchema,
        services: Services,
        *,
        is_open: bool,
        allowed_origins: list[str],
        ending: asyncio.Event,
        most_sockets: int,
        answers: Answers | None,
    ) -> None:
        """Make the view.

        Args:
            schema: What is asked.
            services: What the process has one of.
            is_open: Whether who is not signed in may explore.
            allowed_origins: Other origins whose pages may open a socket.
            ending: Set when the server begins to stop.
            most_sockets: How many, and streams of events, one user may hold open on this node.
            answers: Where answers are kept that may be sent again; None: each is made anew.
        """
        super().__init__(
            schema,
            graphql_ide="graphiql" if is_open else None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL],
            connection_init_wait_timeout=_INIT_TIMEOUT,
            max_subscriptions_per_connection=None,  # counted by the handler
            allowed_origins=allowed_origins,
        )
        self._core = schema._schema
        self._planned = schema
        self._services = services
        self._answers = answers
        self._is_open = is_open
        self._ending = ending
        self._admissions = Admissions(most_sockets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what GraphQL cannot answer is JSON as well."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        request = BoundedRequest(scope, receive)
        try:
            response = await self._answer(request)
            if response is not None:
                await response(scope, receive, send)
        finally:
            if request.on_end is not None:
                request.on_end()

    async def _answer(self, request: BoundedRequest) -> Response | None:
        """Answer a request; None where the client has gone."""
        try:
            check_request(request)
            return await self._respond(request)
        except HTTPException as error:
            return label(request, refuse(error))
        except ClientDisconnect:
            return None
        except Exception as fault:  # before the operation has begun: no result could say it
            log.exception("request not answered")
            return label(request, refuse(refusal_of_fault(request, fault)))

    async def _respond(self, request: BoundedRequest) -> Response:
        """Answer a request, with an answer that was made before where that is exact."""
        context = await self.get_context(request, None)

        async def make() -> tuple[Response, bool]:
            made = await self._answer_plain(request, context)
            if made is None:
                made = label(request, await self.run(request, context))
            return made, request.asked is not None and not request.has_errors

        if self._answers is None or request.method != "POST":
            return (await make())[0]
        body = await request.body()
        if self._answers.is_evented(body):
            return await self._answers.answer(context, body, request.header(b"accept"), make)
        response, may_be_kept = await make()
        if may_be_kept and request.asked is not None and is_evented(self._core, *request.asked):
            self._answers.note_evented(body)
        return response

    async def _answer_plain(self, request: BoundedRequest, context: Context) -> Response | None:
        """Answer a plain request for a document without fault; None for any other, and for strangers."""
        services = self._services
        asked = await read_plain(request) if services.has_plans else None
        if asked is None or not (self._is_open or await _is_known(context)):
            return None
        query = find_document(services.documents, asked.query, asked.extensions)
        plan = self._planned.plan(
            query, asked.variables, context, asked.operation_name, KINDS, asked.extensions
        )
        if plan is None:
            return None
        request.asked = query, asked.operation_name
        return answer(request, orjson.dumps(await self.process_result(request, await run(plan))))

    async def render_graphql_ide(self, request: Request) -> Response:
        """Answer the explorer's page, which loads nothing from elsewhere."""
        return FileResponse(EXPLORER / "index.html", headers=EXPLORER_HEADERS)

    async def parse_http_body(
        self, request: AsyncHTTPRequestAdapter
    ) -> GraphQLRequestData | list[GraphQLRequestData]:
        """Read the request; one that is no object is refused."""
        try:
            data = await super().parse_http_body(request)
        except HTTPException:
            if request.method == "POST" and _is_batch(await request.get_body()):
                raise HTTPException(400, "Send one operation at a time.") from None
            raise
        assert isinstance(data, GraphQLRequestData)  # noqa: S101 (`decode_json` lets no list pass)
        if not isinstance(data.operation_name, str | None):
            raise HTTPException(400, "operationName must be a string or null.")
        data.query = find_document(self._services.documents, data.query, data.extensions)
        return data

    async def execute_operation(
        self,
        request: Request,
        request_adapter: AsyncHTTPRequestAdapter,
        request_data: GraphQLRequestData | list[GraphQLRequestData],
        context: Context,
        root_value: None,
        sub_response: Response,
    ) -> ExecutionResult | list[ExecutionResult] | SubscriptionExecutionResult:
        """Execute; outside demo mode only for somebody who is known, introspection included."""
        assert isinstance(request, BoundedRequest)  # noqa: S101 (`__call__` makes no other)
        assert isinstance(request_data, GraphQLRequestData)  # noqa: S101 (`parse_http_body` refuses lists)
        if request_data.protocol == "sse":
            await self._admissions.admit_stream(request, context)
        elif not self._is_open:
            try:
                await context.viewer()
            except Unauthenticated as refusal:
                return await _turn_away(request_data, context, refusal)
        if request_data.protocol == "http" and is_subscription(
            request_data.query or "", request_data.operation_name
        ):
            raise HTTPException(400, "Subscribe over a WebSocket, or with Accept: text/event-stream.")
        result = await super().execute_operation(
            request, request_adapter, request_data, context, root_value, sub_response
        )
        if isinstance(result, SubscriptionExecutionResult):
            request.results = result
        elif request_data.protocol == "http":
            request.asked = request_data.query or "", request_data.operation_name
        return result

    async def create_streaming_response(
        self,
        request: Request | WebSocket,
        stream: Callable[[], AsyncIterator[str]],
        sub_response: Response,
        headers: Mapping[str, str],
    ) -> Response:
        """Answer with the results as events, in place of Strawberry's stream of them."""
        return EventStream(self._events_of(cast("BoundedRequest", request)), self._ending)

    async def _events_of(self, request: BoundedRequest) -> AsyncGenerator[str, None]:
        transport = SSETransport()
        results = cast("AsyncGenerator[ExecutionResult, None]", request.results)
        async with aclosing(results):
            async for result in results:
                yield transport.encode_next(await self.process_result(request, result), self.encode_json)
        yield transport.encode_complete()

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        """Make the body of an answer. A request that was never executed has no `data`."""
        assert isinstance(request, BoundedRequest)  # noqa: S101 (as above)
        body = await super().process_result(request, result)
        request.has_errors = bool(result.errors)
        request.is_unavailable = _is_unavailable(result)
        if result.data is None and not any(error.path for error in result.errors or ()):
            request.is_request_error = True
            del body["data"]
        waits = [(error.extensions or {}).get("retryAfter", 0) for error in result.errors or ()]
        request.retry_after = max(waits, default=0)
        return body

    async def get_context(
        self, request: Request | WebSocket, response: Response | WebSocket | None
    ) -> Context:
        """Make the context of a request or a socket."""
        client = request.client
        address = None if client is None else client.host
        if isinstance(request, BoundedRequest):
            token = bearer(request.header(b"authorization"))
            return Context(self._services, token=token, is_socket=False, address=address)
        return Context(self._services, token=None, is_socket=True, address=address)

    async def on_ws_connect(self, context: Context) -> UnsetType | dict[str, object] | None:
        """Accept a socket whose `connection_init` payload holds a valid token, else close it with 4403.

        Raises:
            RateLimited, TokenUnchecked: as `Admissions.admit`; it is closed with 4429, or with 1013.
        """
        try:
            await self._admissions.admit_socket(context)
        except TokenUnchecked:
            raise
        except Unauthenticated:
            raise ConnectionRejectionError from None
        without_payload: UnsetType = UNSET
        return without_payload

    def decode_json(self, data: str | bytes) -> object:
        """Read a JSON object. Anything else raises a JSONDecodeError, deep nesting and bad UTF-8 as well."""
        value: object = orjson.loads(data)
        if not isinstance(value, dict):
            raise orjson.JSONDecodeError("not an object", "", 0)
        return value

    def encode_json(self, data: object) -> str:
        """Write JSON as text: bytes would become binary frames, which clients refuse."""
        return orjson.dumps(data).decode()


def _is_batch(body: str | bytes) -> bool:
    try:
        return isinstance(orjson.loads(body), list)
    except orjson.JSONDecodeError:
        return False


async def _is_known(context: Context) -> bool:
    try:
        await context.viewer()
    except Unauthenticated:
        return False
    return True


async def _turn_away(
    asked: GraphQLRequestData, context: Context, refusal: Unauthenticated
) -> PreExecutionError:
    """Answer somebody who is not known. The mutations that they tried are recorded."""
    error = public_error(GraphQLError(refusal.message, original_error=refusal), None)
    for name in mutations_in(asked.query or "", asked.operation_name):
        await note(context, name, code_of(refusal))
    return PreExecutionError(data=None, errors=[error])


def _is_unavailable(result: ExecutionResult) -> bool:
    """Tell whether a result says nothing but that the database is away."""
    codes = {(error.extensions or {}).get("code") for error in result.errors or ()}
    return codes == {"UNAVAILABLE"} and not any(value is not None for value in (result.data or {}).values())
