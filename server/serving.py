"""Runs the API under uvicorn; in demo mode, prepares the database before and says what to do next."""

import asyncio
import gc
import socket
import sys
from contextlib import AsyncExitStack

import click
import uvicorn
from starlette.applications import Starlette

from schema.context import utc_now
from server import commands
from server.app import make_app
from server.assessors import check_assessor
from server.demo import create_demo
from server.process import Node, open_database, open_mail_server, read_signer
from server.settings import Settings, SettingsError

_LARGEST_FRAME = 1024 * 1024  # bytes; a mutation with 500 messages fits
_DRAIN_SECONDS = 10


class Server(uvicorn.Server):
    """uvicorn as this service needs it."""

    def __init__(self, app: Starlette, node: Node) -> None:
        """Configure it for the application of a node."""
        super().__init__(
            uvicorn.Config(
                app,
                host=node.settings.host,
                port=node.settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                ws_max_size=_LARGEST_FRAME,
                ws_per_message_deflate=False,  # 40 KB a socket, for messages of 1 KB
                timeout_graceful_shutdown=_DRAIN_SECONDS,
            )
        )
        self._ending = node.ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what would last for ever, then wait for the rest. uvicorn itself closes the WebSockets."""
        self._ending.set()
        await super().shutdown(sockets)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: a setting cannot be used, or the port is taken.
    """
    node = Node(settings)
    server = Server(make_app(node), node)
    await _check(settings)
    if settings.demo:
        await _prepare_demo(settings)
    gc.collect()
    gc.freeze()  # what was loaded until here stays: no collection need look at it again
    await server.serve()
    if not server.started:
        sys.exit(1)


async def _check(settings: Settings) -> None:
    """Try what uvicorn would only find out after the welcome, and tell with a traceback."""
    if settings.worker == "on" or not settings.jwks:
        async with AsyncExitStack() as stack:
            open_mail_server(settings, stack)
            read_signer(settings)
            check_assessor(settings)
    try:
        listener = await asyncio.get_running_loop().create_server(
            asyncio.Protocol, settings.host, settings.port
        )
    except OSError as error:
        reason = str(error.strerror).rpartition("): ")[2]  # asyncio puts the address before it
        raise SettingsError(
            f"cannot listen on {settings.host}, port {settings.port}: {reason}. "
            "Set HANDOFF_HOST and HANDOFF_PORT to an address of this machine and a free port."
        ) from None
    listener.close()
    await listener.wait_closed()


async def _prepare_demo(settings: Settings) -> None:
    await commands.migrate_database(settings)
    database = open_database(settings)
    try:
        await create_demo(database, now=utc_now())
    finally:
        await database.dispose()
    click.echo(_welcome(settings), err=True)


def _welcome(settings: Settings) -> str:
    mails = "a mail server" if settings.smtp_url.get_secret_value() else f"{settings.mail_folder}/*.eml"
    return f"""
Handoff is starting with demo data.

  Open          {settings.link_base}/graphql
  Get a token   .venv/bin/handoff token engineer@demo.test     (in a second terminal)
  Send it as    {{"Authorization": "Bearer TOKEN"}}
  Mails land in {mails}

People: owner@demo.test admin@demo.test engineer@demo.test senior@demo.test viewer@demo.test
Stop with Ctrl-C. The data is kept.
"""
