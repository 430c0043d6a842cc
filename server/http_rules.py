"""GraphQL over HTTP: which requests are answered, and how an answer is labelled.

Source: https://graphql.github.io/graphql-over-http/draft/, sections 4 to 6.
"""

from collections.abc import Callable
from functools import lru_cache

from cross_web import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope
from strawberry.types.execution import SubscriptionExecutionResult

from schema.errors import AWAY, RETRY_SECONDS, is_unavailable

#: A mutation with 500 messages of ordinary length fits.
LARGEST_BODY = 1024 * 1024
GRAPHQL_JSON = "application/graphql-response+json"
_JSON = "application/json"
_CODES = {
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RATE_LIMITED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
#: RFC 9110 sections 15.5.2 and 15.5.6 demand these.
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 405: {"Allow": "GET, POST"}}
#: What an answer is called, by whether its client prefers the newer media type.
_MEDIA_TYPES = {False: f"{_JSON}; charset=utf-8", True: f"{GRAPHQL_JSON}; charset=utf-8"}
_LABELS = {
    prefers: [
        (b"content-type", media_type.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    for prefers, media_type in _MEDIA_TYPES.items()
}
#: A page of another site cannot make a browser send any of these on a plain GET, so their presence shows
#: that the request was made on purpose (CSRF).
_PREFLIGHTED = ("authorization", "graphql-require-preflight", "apollo-require-preflight", "x-requested-with")


class BoundedRequest(Request):
    """A request whose body is read up to the limit, with what is found out while it is answered."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self.asked: tuple[str, str | None] | None = None  #: the document and the operation that was executed
        self.has_errors = False  #: whether the result holds errors
        self.is_request_error = False  #: whether nothing was executed
        self.is_unavailable = False  #: whether nothing was done, because the database is away
        self.retry_after = 0  #: seconds
        self.results: SubscriptionExecutionResult | None = None  #: of an operation with many
        #: Called once it is answered to its end; None: nothing is.
        self.on_end: Callable[[], None] | None = None
        self._named: dict[bytes, bytes] = dict(reversed(scope["headers"]))  # the first of a name counts

    def header(self, name: bytes) -> str:
        """Return a header by its name in lower case, "" where it is not there."""
        return self._named.get(name, b"").decode("latin-1")

    async def body(self) -> bytes:
        """Read the body, or refuse it with 413 as soon as it is too long."""
        if not hasattr(self, "_body"):
            chunks: list[bytes] = []
            read, has_more = 0, True
            while has_more:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunks.append(message.get("body", b""))
                read += len(chunks[-1])
                if read > LARGEST_BODY:
                    raise HTTPException(413, f"The body is larger than {LARGEST_BODY} bytes.")
                has_more = message.get("more_body", False)
            self._body = b"".join(chunks)
        return self._body


def check_request(request: BoundedRequest) -> None:
    """Refuse a request that can be refused by its headers.

    Raises:
        HTTPException: 405, 413, 415, or 400 for a GET that another site could have made.
    """
    if request.method == "GET":
        _check_get(request)
    elif request.method == "POST":
        _check_post(request)
    else:
        raise HTTPException(405, "GraphQL is asked with GET or POST.")


def refuse(error: HTTPException) -> Response:
    """Answer a refusal as JSON, as every other answer is."""
    code = _CODES.get(error.status_code, "BAD_USER_INPUT")
    body = {"errors": [{"message": error.reason, "extensions": {"code": code}}]}
    return JSONResponse(body, status_code=error.status_code, headers=_HEADERS.get(error.status_code))


def refusal_of_fault(request: BoundedRequest, fault: Exception) -> HTTPException:
    """Return what is answered to a request that met a fault before there was an operation."""
    if not is_unavailable(fault):
        return HTTPException(500, "Something went wrong on the server. It was logged.")
    request.retry_after = RETRY_SECONDS
    return HTTPException(503, AWAY)


def answer(request: BoundedRequest, content: bytes) -> Response:
    """Answer with a result in JSON, labelled as `label` does."""
    prefers = _prefers_graphql_json(request.header(b"accept"))
    response = Response(content, status_code=_status(request, prefers=prefers))
    response.raw_headers += _LABELS[prefers]
    if request.retry_after:
        response.headers["retry-after"] = str(request.retry_after)
    return response


def label(request: BoundedRequest, response: Response) -> Response:
    """Give an answer the media type that the client prefers, and with the newer one its honest status."""
    if response.headers.get("content-type") == _JSON:
        prefers = _prefers_graphql_json(request.header(b"accept"))
        response.headers["content-type"] = _MEDIA_TYPES[prefers]
        if response.status_code == 200:
            response.status_code = _status(request, prefers=prefers)
    response.headers.setdefault("cache-control", "no-store")
    response.headers["x-content-type-options"] = "nosniff"
    if request.retry_after:
        response.headers["retry-after"] = str(request.retry_after)
    return response


def _status(request: BoundedRequest, *, prefers: bool) -> int:
    """Return the status of a result: the newer media type has one for each, the older one 200 where it can.

    That the database is away is for whoever stands between as well: they may ask another node, or later.
    """
    if request.is_unavailable:
        return 503
    return 400 if prefers and request.is_request_error else 200


def _check_get(request: Request) -> None:
    asks_for_page = "query" not in request.query_params
    is_deliberate = any(name in request.headers for name in _PREFLIGHTED)
    if not asks_for_page and not is_deliberate and GRAPHQL_JSON not in request.headers.get("accept", ""):
        raise HTTPException(
            400, f"Send a header with a GET: {', '.join(_PREFLIGHTED)}, or Accept: {GRAPHQL_JSON}."
        )


def _check_post(request: BoundedRequest) -> None:
    media_type = request.header(b"content-type").partition(";")[0].strip().lower()
    if media_type != _JSON:
        raise HTTPException(415, f"Send the request as {_JSON}.")
    length = request.header(b"content-length")
    if length.isdigit() and int(length) > LARGEST_BODY:
        raise HTTPException(413, f"The body is larger than {LARGEST_BODY} bytes.")


@lru_cache(64)
def _prefers_graphql_json(accept: str) -> bool:
    """Tell whether the newer media type is accepted, and not less than the older one."""
    weights = {}
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        weights[media_type] = _weight(parameters)
    return weights.get(GRAPHQL_JSON, 0.0) > 0 and weights[GRAPHQL_JSON] >= weights.get(_JSON, 0.0)


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
