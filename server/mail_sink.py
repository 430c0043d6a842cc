"""A mail server of our own that files every mail in a folder, for a service that was given none."""

import asyncio
import logging
import os
import re
import socket
from collections.abc import Coroutine
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import cast
from uuid import uuid4
from weakref import WeakSet

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

_UNSAFE = re.compile(r"[^A-Za-z0-9@_.-]+")
_START_SECONDS = 30.0  #: until a thread that does not come up is given up; aiosmtpd gives it 5
_NAME_LIMIT = 120  #: characters of a Message-ID in a file's name


class MailSink:
    """Listens on a free port of 127.0.0.1, in a thread; one sink writes to a folder at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._controller: _Listener | None = None

    def start(self) -> str:
        """Listen, and return the URL of this mail server."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # aiosmtpd tells every address at INFO.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        self._controller = _Listener(_Filer(self._folder))
        self._controller.start()
        return f"smtp+plain://127.0.0.1:{self._controller.port}"

    def stop(self) -> None:
        """Cut all connections and stop listening."""
        if self._controller is not None:
            controller, self._controller = self._controller, None
            controller.hang_up()
            controller.stop()


def file_mail(content: bytes, folder: Path, now: datetime) -> Path:
    """Store a mail so that a reader of the folder sees it whole or not at all, a crash included."""
    draft = folder / f".{uuid4()}.tmp"
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    path = _free_path(folder, f"{now:%Y%m%dT%H%M%S}-{_message_name(content)}")
    draft.replace(path)
    _sync_folder(folder)
    return path


def _message_name(content: bytes) -> str:
    message_id = str(BytesHeaderParser().parsebytes(content).get("Message-ID", ""))
    return _UNSAFE.sub("-", message_id).strip("-.")[:_NAME_LIMIT] or str(uuid4())


def _free_path(folder: Path, stem: str) -> Path:
    path, count = folder / f"{stem}.eml", 1
    while path.exists():
        count += 1
        path = folder / f"{stem}-{count}.eml"
    return path


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Filer:
    """What aiosmtpd calls, by name, with each mail."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        try:
            path = file_mail(envelope.original_content or b"", self._folder, datetime.now(UTC))
        except OSError:
            return "452 4.3.1 The mail could not be filed"
        return f"250 Filed as {path.name}"


class _Listener(Controller):
    """Listens on a port that the system chooses, and stops without leaving a connection behind."""

    def __init__(self, filer: _Filer) -> None:
        self._connections: WeakSet[SMTP] = WeakSet()
        self._socket = socket.create_server(("127.0.0.1", 0))
        port = self._socket.getsockname()[1]
        # Without a host name, aiosmtpd would ask the DNS at each connection.
        super().__init__(
            filer, hostname="127.0.0.1", port=port, server_hostname="localhost", ready_timeout=_START_SECONDS
        )

    def _create_server(self) -> Coroutine[None, None, asyncio.AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._socket)

    def factory(self) -> SMTP:
        connection = SMTP(self.handler, **self.SMTP_kwargs)
        self._connections.add(connection)
        return connection

    def hang_up(self) -> None:
        """Cut all connections while the loop still runs; aiosmtpd 1.4.6 stops it and leaves them open."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result()

    async def _hang_up(self) -> None:
        """Let nobody in, and cut connections until none is being made and no task serves one."""
        self.loop.remove_reader(self._socket)
        tasks = 2
        while tasks > 1:  # one of them is this one
            tasks = len(asyncio.all_tasks())
            for connection in self._connections:
                if connection.transport is not None:
                    cast("asyncio.WriteTransport", connection.transport).abort()
            await asyncio.sleep(0)
