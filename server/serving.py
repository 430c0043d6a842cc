"""Runs the API under uvicorn; in demo mode, prepares the database before and says what to do next."""

import asyncio
import logging
import os
import socket
import sys
from contextlib import AsyncExitStack

import click
import uvicorn
from starlette.applications import Starlette

from schema.context import utc_now
from server import commands, logs
from server.app import make_app
from server.assessors import check_assessor
from server.collector import settle_collector
from server.demo import create_demo
from server.listening import check_address
from server.mailing import open_mail_server, read_signer, warn_of_files
from server.process import Node, check_provider, open_database
from server.settings import Settings, SettingsError
from server.supervisor import Place
from server.wires import SocketProtocol

log = logging.getLogger(__name__)

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
                interface="asgi3",  # uvicorn knows it by a coroutine function, which `App` is none
                http="httptools",
                log_config=None,
                access_log=False,
                server_header=False,
                ws=SocketProtocol,
                ws_max_size=_LARGEST_FRAME,
                ws_per_message_deflate=False,  # 40 KB a socket, for messages of 1 KB
                timeout_graceful_shutdown=_DRAIN_SECONDS,
            )
        )
        self._ending = node.ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say by which event loop and which parsers."""
        await super().startup(sockets)
        log.info(
            "serving",
            extra={
                "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
                "http": self.config.http_protocol_class.__module__,
                "websockets": self.config.ws_protocol_class.__module__,
            },
        )

    def stop(self) -> None:
        """End as after SIGTERM."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what would last for ever, then wait for the rest. uvicorn itself closes the WebSockets."""
        self._ending.set()
        await super().shutdown(sockets)


def check_processes(settings: Settings) -> None:
    """Refuse several processes where they could not work together.

    Raises:
        SettingsError: the sentence says what to set.
    """
    needed = f"HANDOFF_WORKERS: {settings.workers} processes need "
    if not hasattr(os, "fork"):
        raise SettingsError(f"{needed}fork, which this system does not have. Start one process.")
    if not settings.database_url.get_secret_value().startswith("postgres"):
        raise SettingsError(
            f"{needed}PostgreSQL: SQLite lets one write at a time, and several would only wait for each "
            "other. Set HANDOFF_DATABASE_URL to postgresql://, or start one process."
        )
    if settings.broadcast_url.get_secret_value().startswith("memory:"):
        raise SettingsError(
            f"{needed}to wake each other, and memory:// does not reach from one to another. Set "
            "HANDOFF_BROADCAST_URL to redis:// or valkey://, which counts limits for all of them too, or to "
            "postgresql://, or start one process."
        )


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: a setting cannot be used, or the port is taken.
    """
    server = _make_server(settings)
    await _prepare(settings)
    await _run(server, None)


async def prepare(settings: Settings) -> None:
    """Try all that could keep processes from serving, and in demo mode prepare the database.

    Raises:
        SettingsError: a setting cannot be used, or the port is taken.
    """
    _make_server(settings)
    await _prepare(settings)


async def serve_beside(settings: Settings, place: Place, listeners: list[socket.socket]) -> None:
    """Serve as one of several processes, until SIGTERM or SIGINT, or until the parent is gone.

    Each is a node of its own. The first alone works off mails, assessments and notes: any number may, since
    each takes what it does by a lease, but each would look every second and hold connections to the mail
    server.
    """
    logs.name_process(place.number)
    if place.number > 0:
        settings = settings.model_copy(update={"worker": "off"})
    server = _make_server(settings)
    asyncio.get_running_loop().add_reader(place.parent, server.stop)
    _keep_beating(place)
    await _run(server, listeners)


def _keep_beating(place: Place) -> None:
    """Tell the parent for as long as the event loop turns that it does."""
    place.beat()
    asyncio.get_running_loop().call_later(place.beat_seconds, _keep_beating, place)


def _make_server(settings: Settings) -> Server:
    node = Node(settings)
    return Server(make_app(node), node)


async def _prepare(settings: Settings) -> None:
    await _check(settings)
    if settings.demo:
        await _prepare_demo(settings)


async def _run(server: Server, listeners: list[socket.socket] | None) -> None:
    settle_collector()
    await server.serve(listeners)
    if not server.started:
        sys.exit(1)


async def _check(settings: Settings) -> None:
    """Try what uvicorn would only find out after the welcome, and tell with a traceback."""
    sends_mails = settings.worker == "on" or not settings.jwks
    if sends_mails:
        async with AsyncExitStack() as stack:
            open_mail_server(settings, stack)
            read_signer(settings)
            check_assessor(settings)
    check_provider(settings)
    await check_address(settings)
    if sends_mails:
        warn_of_files(settings)


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
