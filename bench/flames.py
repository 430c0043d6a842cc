"""Where the time of a server goes, as flame graphs. Run it with: python -m bench.flames --help.

Records Handoff with py-spy while it answers queries, while it makes handoffs, and while it pushes each new
one to many dashboards. The drawings name functions and files of packages, and no folder of the machine.
"""

import asyncio
import contextlib
import re
import sysconfig
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import click
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from bench.fanout import QUEUE
from bench.peers import load, mutations
from bench.peers.asking import Ask
from bench.peers.cores import LOAD_CORE, pin
from bench.peers.laboratory import Effort, Laboratory, fill, laboratory
from bench.peers.load import Load
from bench.peers.rows import Account, Escalation, tenants, waiting
from bench.peers.servers import Handoff, Server
from server.auth import Tokens
from tests.client import SECRET

_LARGEST = 300_000  #: bytes that a drawing may have, to be kept in the repository
_SAMPLES = 100  #: a second
_MARGIN = 2.0  #: seconds that the load lasts longer than the recording
_MOST_CREATED = 4000  #: a second
_PY_SPY = Path(sysconfig.get_path("scripts")) / "py-spy"
#: What py-spy writes above its drawing: its command, which names where it was run.
_TITLE = re.compile(r"[^<>]*py-spy record [^<]*")
#: Where a frame's file lies, if that is no name of a package: what precedes the package.
_FOLDERS = re.compile(r"(?<=\()/[^():<]*?/(?:site-packages|python3\.\d+)/")


@click.command()
@click.option("--seconds", default=5, show_default=True, help="Of each recording.")
@click.option("--dashboards", default=500, show_default=True, help="That each new handoff is pushed to.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("docs/performance"),
    show_default=True,
    help="Where the drawings go.",
)
def main(seconds: int, dashboards: int, folder: Path) -> None:
    """Draw where the time goes: of a query, of a mutation, and of the push to dashboards."""
    folder.mkdir(parents=True, exist_ok=True)
    account = Account()
    with laboratory(Effort(1, seconds + _MARGIN, 0.5, 32)) as lab, lab.database("bench_flames") as url:
        fill(url, tenants([account]), waiting([Escalation(account) for _ in range(100)], told=False))
        with Handoff().serving(url) as server:
            pin(LOAD_CORE)
            unused = mutations.sessions(url, [account]).top_up(int(_MOST_CREATED * (seconds + _MARGIN)))
            half = len(unused) // 2
            query = server.dialect.queue(account, 100)
            mutation, push = (server.dialect.create(part) for part in (unused[:half], unused[half:]))
            for name, ask, connections, following in (
                ("query", query, 32, 0),
                ("mutation", mutation, 32, 0),
                ("fan-out", push, 1, dashboards),
            ):
                path = folder / f"{name}.svg"
                asyncio.run(
                    _draw(lab, server, ask, path, connections, _following(account, server, following))
                )
                _clean(path)


async def _draw(
    lab: Laboratory,
    server: Server,
    ask: Ask,
    path: Path,
    connections: int,
    following: AbstractAsyncContextManager[None],
) -> None:
    """Record the server while it is asked, and followed."""
    turn = Load(
        port=server.port,
        pid=server.pid,
        requests=ask.requests,
        is_repeated=len(ask.requests) == 1,
        mark=ask.mark,
        connections=connections,
        warm_seconds=lab.effort.warm_seconds,
        seconds=lab.effort.seconds,
    )
    async with following:
        asked = asyncio.wrap_future(lab.loader.submit(load.run, turn))
        await asyncio.sleep(lab.effort.warm_seconds)
        await _record(server.pid, path, seconds=int(lab.effort.seconds - _MARGIN))
        sample = await asked
    click.echo(f"{path}: {sample.answers} answers, {sample.refused} refused")


def _clean(path: Path) -> None:
    """Take out of a drawing what it says of this machine."""
    drawing = _FOLDERS.sub("", _TITLE.sub(path.stem, path.read_text(encoding="utf-8")))
    path.write_text(drawing, encoding="utf-8")
    size = path.stat().st_size
    remark = "" if size <= _LARGEST else ": too large to be kept, record it for a shorter time"
    click.echo(f"{path}: {size:,} bytes{remark}")


async def _record(pid: int, path: Path, *, seconds: int) -> None:
    options = ["--pid", str(pid), "--duration", str(seconds), "--rate", str(_SAMPLES), "--function"]
    py_spy = await asyncio.create_subprocess_exec(
        _PY_SPY,
        *("record", *options, "--format", "flamegraph", "--output", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await py_spy.communicate()
    if py_spy.returncode:
        raise click.ClickException(f"py-spy failed:\n{said.decode()}")


@asynccontextmanager
async def _following(account: Account, server: Server, count: int) -> AsyncIterator[None]:
    """Open dashboards that read whatever comes."""
    token = Tokens(SECRET).sign(account.actor_id, valid_for=timedelta(hours=1))
    async with AsyncExitStack() as stack:
        for _ in range(count):
            socket = await stack.enter_async_context(
                connect(
                    f"ws://127.0.0.1:{server.port}/graphql",
                    subprotocols=[Subprotocol("graphql-transport-ws")],
                    compression=None,
                    ping_interval=None,
                )
            )
            await _send(socket, "connection_init", payload={"authorization": f"Bearer {token}"})
            await socket.recv()
            await _send(socket, "subscribe", id="1", payload={"query": QUEUE})
            reading = asyncio.create_task(_read(socket))
            stack.callback(reading.cancel)
        yield


async def _send(socket: ClientConnection, kind: str, **more: object) -> None:
    await socket.send(orjson.dumps({"type": kind, **more}).decode())


async def _read(socket: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for _ in socket:
            pass


if __name__ == "__main__":
    main()
