"""The servers that are compared, each a process of its own on one core."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from sqlalchemy.engine import make_url

from bench.peers.asking import Dialect, GraphQL
from bench.peers.cores import SERVER_CORE, pin
from bench.peers.packages import Package
from tests.client import SECRET
from tests.servers import children
from tests.servers.processes import HandoffProcess, free_port

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_PYTHON = Path(__file__).parents[2]
#: What a run of Handoff is given; everything else is as by default. Mails are another matter: nobody sends
#: them here. No peer makes assessments, so none is asked for.
_HANDOFF = {
    "HANDOFF_SECRET": SECRET,
    "HANDOFF_WORKER": "off",
    "HANDOFF_ASSESSOR": "off",
    "HANDOFF_MUTATION_LIMIT": "1000000/second",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    pid: int
    port: int  #: of 127.0.0.1
    dialect: Dialect


class Way(Protocol):
    """A way to serve the same rows."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    @contextmanager
    def serving(self, url: str) -> Iterator[Server]:
        """Serve a database for as long as the block lasts.

        Raises:
            RuntimeError, OSError: it does not start; the message says why.
        """


@dataclass(frozen=True, slots=True)
class Handoff:
    """Handoff itself, as `handoff serve` starts."""

    name: str = "Handoff"
    settings: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def serving(self, url: str) -> Iterator[Server]:
        """Start it with the settings."""
        port = free_port()
        env = {**_HANDOFF, "HANDOFF_DATABASE_URL": url, "HANDOFF_PORT": str(port), **self.settings}
        with HandoffProcess("serve", env=env, ready_url=f"http://127.0.0.1:{port}/readyz") as process:
            pin(SERVER_CORE, process.pid)
            yield Server(self.name, process.pid, port, GraphQL())


@dataclass(frozen=True, slots=True)
class PythonPeer:
    """A module of `bench.peers.python`."""

    name: str
    module: str
    dialect: Dialect = field(default_factory=GraphQL)

    @contextmanager
    def serving(self, url: str) -> Iterator[Server]:
        """Start it with the Python that runs this."""
        command = [sys.executable, "-m", f"bench.peers.python.{self.module}"]
        with _running(self, command, _PYTHON, url) as server:
            yield server


@dataclass(frozen=True, slots=True)
class NodePeer:
    """A program in JavaScript, with what it needs from npm."""

    name: str
    package: Package
    program: str
    dialect: Dialect = field(default_factory=GraphQL)
    settings: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def serving(self, url: str) -> Iterator[Server]:
        """Install what it needs, if it is not there, and start it."""
        self.package.install()
        command = ["node", self.program]
        with _running(self, command, self.package.folder, url, self.settings) as server:
            yield server


class _Peer(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def dialect(self) -> Dialect: ...


@contextmanager
def _running(
    peer: _Peer,
    command: list[str],
    folder: Path,
    url: str,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Server]:
    port = free_port()
    env = {"PATH": os.environ["PATH"], "NODE_ENV": "production", "PORT": str(port), **_libpq(url), **settings}
    scratch = children.make_folder("handoff-peer-")
    log = scratch / "log"
    with log.open("wb") as output:
        process = children.spawn(command, cwd=folder, env=env, stdout=output)
    try:
        _wait_until_open(process, port, log)
        pin(SERVER_CORE, process.pid)
        yield Server(peer.name, process.pid, port, peer.dialect)
    finally:
        if process.poll() is None:
            children.end(process, signal.SIGTERM, _STOP_SECONDS)
        shutil.rmtree(scratch, ignore_errors=True)


def _libpq(url: str) -> dict[str, str]:
    """Return where the database is, as libpq and those who imitate it read it."""
    address = make_url(url)
    host = address.host or address.query.get("host") or "127.0.0.1"
    given = {"PGHOST": host, "PGPORT": address.port or 5432, "PGUSER": address.username or "postgres"}
    named = {**given, "PGDATABASE": address.database, "PGPASSWORD": address.password or ""}
    return {name: str(value) for name, value in named.items()}


def _wait_until_open(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"it did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")
        time.sleep(0.02)
