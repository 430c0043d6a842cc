"""The servers that bench/fanout.py measures, and the process of their clients."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import httpx
import orjson

from db import migrate
from db.session import Database
from server.auth import Tokens
from tests.cast import Cast, make_cast
from tests.client import CREATE, SECRET
from tests.servers.processes import HandoffProcess, free_port
from tests.sockets import eventually
from tests.workers import closing, start

_PATIENCE = 60.0  #: seconds until an event is given up
_PEER = Path(__file__).parent / "peers" / "node-fanout"


class Clients:
    """The process of the dashboards."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def tell(self, do: str, **told: object) -> Any:  # noqa: ANN401 (as told)
        """Tell the process to do something, and return what it says."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None and pipe_out is not None  # noqa: PT018, S101 (it was started with both)
        pipe_in.write(orjson.dumps({"do": do, **told}) + b"\n")
        return orjson.loads(await pipe_out.readline() or b"null")


@asynccontextmanager
async def running_clients() -> AsyncIterator[Clients]:
    """Run a process of dashboards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.dashboards",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=1 << 26,
    )
    try:
        yield Clients(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Way:
    """A server that is measured: how to make it tell an event."""

    pid: int
    port: int
    token: str  #: of the dashboards
    cast: Cast | None = None  #: of the product
    #: Of the product, to be escalated. Started before the node: it would not hear of what others write.
    sessions: list[UUID] = field(default_factory=list)

    @classmethod
    async def of_product(cls, node: HandoffProcess, port: int, cast: Cast, sessions: list[UUID]) -> Self:
        """Measure a node."""
        token = Tokens(SECRET).sign(cast.vera.id, valid_for=timedelta(hours=1))
        return cls(node.pid, port, token, cast, sessions)

    async def ask(
        self, clients: Clients, count: int, notes: str | None = None, within: float = _PATIENCE
    ) -> Any:  # noqa: ANN401 (as the clients say)
        """Make an event, and wait until so many clients have it."""
        if self.cast is None:
            body: dict[str, object] = {"query": "mutation { tell }"}
            token = ""
        else:
            wanted = {"sessionId": str(self.sessions.pop()), "intent": "ESCALATE", "notes": notes}
            body = {"query": CREATE, "variables": {"input": wanted}}
            token = Tokens(SECRET).sign(self.cast.alice.id, valid_for=timedelta(hours=1))
        return await clients.tell(
            "ask", port=self.port, body=body, token=token, wait_for=count, within=within
        )


@asynccontextmanager
async def running_product(url: str, *, is_shared: bool, escalations: int) -> AsyncIterator[Way]:
    """Run a node on an empty database, with so many sessions to be escalated."""
    database = Database(url)
    async with database.owning() as tx:
        await migrate.downgrade(tx, "base")
        await migrate.upgrade(tx)
    cast, port = await make_cast(database), free_port()
    sessions = [(await cast.start_session("The VPN drops after an hour")).id for _ in range(escalations)]
    settings = {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": url,
        "HANDOFF_PORT": str(port),
        "HANDOFF_WORKER": "off",
        "HANDOFF_SHARED_STREAMS": str(is_shared).lower(),
        "HANDOFF_SOCKETS_PER_USER": "20000",
        "HANDOFF_CONNECT_LIMIT": "100000/minute",
        "HANDOFF_MUTATION_LIMIT": "1000/second",
    }
    node = HandoffProcess("serve", env=settings, ready_url=f"http://127.0.0.1:{port}/readyz")
    with closing(node):
        await start(node)
        yield await Way.of_product(node, port, cast, sessions)
    await database.dispose()


@asynccontextmanager
async def running_peer(name: str, frame: str, folder: Path) -> AsyncIterator[Way]:
    """Run what tells the product's event, given as the frame of a socket. `folder`: for its packages."""
    port = free_port()
    env = {"PATH": os.environ["PATH"], "PORT": str(port), "FRAME": frame, "PYTHONPATH": str(Path.cwd())}
    if name == "mercurius":
        env["EVENT"] = orjson.dumps(orjson.loads(frame)["payload"]["data"]["queueChanged"]).decode()
        process = await asyncio.create_subprocess_exec("node", "server.mjs", cwd=_installed(folder), env=env)
    else:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.broadcast", env=env)
    try:
        await eventually(lambda: _answers(port))
        yield Way(process.pid, port, "")
    finally:
        process.kill()
        await process.wait()


def _installed(folder: Path) -> Path:
    """Return a folder with the peer's program and packages."""
    there = folder / _PEER.name
    if not there.exists():
        shutil.copytree(_PEER, there, ignore=shutil.ignore_patterns("node_modules"))
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=there, check=True, capture_output=True)  # noqa: S603 (our own)
    return there


async def _answers(port: int) -> bool:
    try:
        async with httpx.AsyncClient() as http:
            await http.get(f"http://127.0.0.1:{port}/")
    except httpx.TransportError:
        return False
    return True
