"""The ASGI application: its routes, and the life of the process behind them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from schema.build import build_schema
from server import health
from server.answers import Answers
from server.endpoint import EXPLORER, Endpoint
from server.link_pages import LinkPages, show_broken_link
from server.login_pages import LoginPages, show_no_login
from server.metrics import Metrics
from server.process import Node, make_links
from server.web_pages import show_page
from server.worker import working

_GRAPHQL = "/graphql"


class App(Starlette):
    """Starlette, without its layers round GraphQL, which answers its own exceptions.

    Round a socket each layer would stay as long as the socket is open. Requests need them where pages of
    other origins may ask.
    """

    def __init__(self, endpoint: Endpoint, **kwargs: Any) -> None:  # noqa: ANN401 (Starlette's own arguments)
        super().__init__(**kwargs)
        self._endpoint = endpoint
        self._direct = ("websocket",) if self.user_middleware else ("websocket", "http")

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Answer a request, or serve a socket."""
        if scope["type"] in self._direct and scope["path"] == _GRAPHQL:
            return self._endpoint(scope, receive, send)
        return super().__call__(scope, receive, send)


def make_app(node: Node) -> Starlette:
    """Make the application of a node, which it starts and stops."""
    settings = node.settings
    graphql = Endpoint(
        build_schema(node.services.documents),
        node.services,
        is_open=settings.demo,
        allowed_origins=settings.allowed_origins,
        ending=node.ending,
        most_sockets=settings.sockets_per_user,
        answers=Answers() if settings.reused_answers else None,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(node.running())
            if settings.worker == "on":
                await stack.enter_async_context(working(settings, node.database, node.wakeups))
            yield

    explorer = [Mount("/explorer", StaticFiles(directory=EXPLORER))] if settings.demo else []
    routes = [
        *explorer,
        Route("/", _to_graphql if settings.demo else _to_login),
        Route(_GRAPHQL, graphql),
        WebSocketRoute(_GRAPHQL, graphql),
        Route("/handoffs/{handoff_id:uuid}", _handoff_page(by_mail=node.login_mails is not None)),
        Route("/handoffs/{part_of_an_id}", show_broken_link),
        *LinkPages(node.database, make_links(settings)).routes(),
        *_login_routes(node),
        Route("/metrics", Metrics(node).respond),
        Route("/healthz", health.alive),
        Route("/readyz", health.ready(node.database, node.wakeups)),
    ]
    return App(graphql, routes=routes, lifespan=lifespan, middleware=_cross_origin(settings.allowed_origins))


def _cross_origin(origins: list[str]) -> list[Middleware]:
    """Let pages of these origins ask with a token; cookies are never used. None: nobody's but our own."""
    if not origins:
        return []
    headers = ["authorization", "content-type", "graphql-require-preflight"]
    methods = ["GET", "POST"]
    return [Middleware(CORSMiddleware, allow_origins=origins, allow_methods=methods, allow_headers=headers)]


def _login_routes(node: Node) -> list[Route]:
    """Return the routes of the login by mail; where an identity provider signs people in, a page says so."""
    if node.login_mails is None:
        return [Route("/login", show_no_login, methods=["GET"])]
    valid_for = timedelta(hours=node.settings.login_hours)
    pages = LoginPages(node.database, node.login_mails, node.tokens, node.rate_limits, valid_for=valid_for)
    return pages.routes()


async def _to_graphql(_: Request) -> Response:
    return RedirectResponse(_GRAPHQL)


async def _to_login(_: Request) -> Response:
    return RedirectResponse("/login")


def _handoff_page(*, by_mail: bool) -> Callable[[Request], Awaitable[Response]]:
    """Make the page that mails link to. It is the same for every id: it asks the API once signed in."""

    async def answer(_: Request) -> Response:
        return show_page("handoff", title="A handoff", by_mail=by_mail, script="handoff.js")

    return answer
