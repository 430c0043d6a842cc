"""The application on a real server in this process, for tests that need sockets."""

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from db import events, presence
from db.session import new_id
from db.users import UserRow
from notify.presence import Presence
from schema.context import utc_now
from server.app import make_app
from server.endpoint import Endpoint
from server.process import Node
from server.serving import Server
from tests.cast import Cast
from tests.client import Api, make_settings
from tests.http_clients import http_client
from tests.patience import PATIENCE
from tests.sockets import Socket, eventually, open_socket


@dataclass(frozen=True, slots=True)
class Live(Api):
    """The API of one node on a real server, for HTTP and for sockets."""

    socket_url: str

    @asynccontextmanager
    async def dashboard(self, user: UserRow, *, answers_pings: bool = True) -> AsyncIterator[Socket]:
        """Open a socket of the user while the block runs."""
        async with open_socket(self.socket_url, answers_pings=answers_pings) as socket:
            await socket.init(self.token(user))
            yield socket

    async def cursor(self) -> str:
        """Return the cursor of the account's last event.

        A subscription is not acknowledged: one that begins `after` this cursor sees all that follows it.
        """
        async with self.node.database.reading(self.cast.account_id) as tx:
            return str(await events.latest_sequence(tx))

    async def escalate_new(
        self, user: UserRow | None = None, *, in_team: bool = False, intent: str = "ESCALATE"
    ) -> str:
        """Hand off a new session of the user's (Alice's) and return the handoff's id."""
        user = user or self.cast.alice
        session = await self.cast.start_session(owner=user, in_team=in_team)
        return await self.escalate(user, session.id, intent=intent)

    async def until_online(self, *users: UserRow) -> None:
        """Wait until exactly these users of the cast's account follow the escalations of every team."""
        wanted = {user.id for user in users}

        async def are_online() -> bool:
            async with self.node.database.reading(self.cast.account_id) as tx:
                return await presence.online_for(tx, None, now=self.node.services.now()) == wanted

        await eventually(are_online)


@asynccontextmanager
async def running_server(
    database_url: str,
    cast: Cast,
    *,
    recheck_seconds: float = 2.0,
    beat_seconds: float = 10.0,
    init_seconds: float | None = None,
    ahead: timedelta = timedelta(0),
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[Live]:
    """Run the application on a free port of 127.0.0.1, in the test's loop. No worker unless asked for.

    Its clock is `ahead` of the one by which tokens are signed and read.
    """
    node = Node(make_settings(database_url, **settings))
    node.presence = Presence(
        node.database, new_id(), "test", utc_now, node.feed.outage, beat_seconds=beat_seconds
    )
    node.services = replace(
        node.services, presence=node.presence, recheck_seconds=recheck_seconds, now=lambda: utc_now() + ahead
    )
    app = make_app(node)
    if init_seconds is not None:
        _endpoint(app).connection_init_wait_timeout = timedelta(seconds=init_seconds)
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        async with (
            app.router.lifespan_context(app),
            _serving(Server(app, node), listener),
            http_client(base_url=f"http://{address}") as http,
        ):
            yield Live(node, http, cast, f"ws://{address}/graphql")


@asynccontextmanager
async def _serving(server: Server, listener: sockets.socket) -> AsyncIterator[None]:
    """Run uvicorn without its signal handlers and its clock: the test says when it ends."""
    config = server.config
    config.lifespan = "off"
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield
    finally:
        async with asyncio.timeout(PATIENCE):
            await server.shutdown(sockets=[listener])


def _endpoint(app: Starlette) -> Endpoint:
    (endpoint,) = (route.endpoint for route in app.routes if isinstance(route, WebSocketRoute))
    assert isinstance(endpoint, Endpoint)
    return endpoint
