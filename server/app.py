"""The ASGI application: its routes, and the life of the process behind them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute

from schema.build import build_schema
from server import health
from server.endpoint import Endpoint
from server.link_pages import LinkPages
from server.metrics import Metrics
from server.process import Node, make_links
from server.worker import working

_PAGE = Path(__file__).parent / "handoff_page.html"
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_app(node: Node) -> Starlette:
    """Make the application of a node, which it starts and stops."""
    settings = node.settings
    graphql = Endpoint(
        build_schema(), node.services, ide=settings.demo, allowed_origins=settings.allowed_origins
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(node.running())
            if settings.worker == "on":
                await stack.enter_async_context(working(settings, node.database, node.wakeups))
            yield

    routes = [
        Route("/", _to_graphql),
        Route("/graphql", graphql),
        WebSocketRoute("/graphql", graphql),
        Route("/handoffs/{handoff_id:uuid}", _handoff_page),
        *LinkPages(node.database, make_links(settings)).routes(),
        Route("/metrics", Metrics(node).respond),
        Route("/healthz", health.alive),
        Route("/readyz", health.ready(node.database, node.wakeups)),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _to_graphql(_: Request) -> Response:
    return RedirectResponse("/graphql")


async def _handoff_page(_: Request) -> Response:
    """Answer the page that mails link to. It is the same for every id: it asks the API once signed in."""
    return FileResponse(_PAGE, headers=_PAGE_HEADERS)
