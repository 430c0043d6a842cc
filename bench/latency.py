"""From an escalation's answer to its event at another node. Run it with: python -m bench.latency --help.

Two nodes on one PostgreSQL, woken by Valkey. Escalations are made at one node at a steady pace, whatever the
answers do, and dashboards follow at the other. Prints the time from the answer, which comes once the
escalation is committed, to the event; less than nothing where the event came first.
"""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import click
import orjson
import uvloop

from bench.dashboards import Room, Target
from bench.fanout import QUEUE
from bench.processes import pin, prepare
from db import migrate
from db.session import Database
from server.auth import Tokens
from tests.cast import Cast, make_cast
from tests.client import CREATE, SECRET
from tests.servers.postgres import PostgresServer
from tests.servers.processes import HandoffProcess, free_port
from tests.servers.valkey import ValkeyServer
from tests.workers import closing, start

DATABASE = "bench_latency"
_CONNECTIONS = 16
_WARM_UP = 50  #: escalations that are not counted
_LAST_SECONDS = 10.0


class Arrivals(Room):
    """Dashboards that note which escalation they have, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: defaultdict[str, list[float]] = defaultdict(list)

    def arrived(self, at: float, frame: bytes) -> None:
        """Note that a dashboard has an event."""
        event = orjson.loads(frame)["payload"]["data"]["queueChanged"]
        if event["kind"] == "ADDED":
            self.seen[event["handoff"]["id"]].append(at)


class Escalators:
    """Connections on which escalations are made."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        #: When each was asked for and answered, by the handoff's id.
        self.made: dict[str, tuple[float, float]] = {}

    async def open(self) -> None:
        """Connect."""
        for _ in range(_CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))

    async def escalate(self, session_id: UUID) -> None:
        """Escalate a session, and note when that was answered."""
        wanted = {"sessionId": str(session_id), "intent": "ESCALATE"}
        content = orjson.dumps({"query": CREATE, "variables": {"input": wanted}})
        reader, writer = await self._free.get()
        asked = time.perf_counter()
        writer.write(
            f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        at = time.perf_counter()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = orjson.loads(await reader.readexactly(length))
        self.made[answer["data"]["createHandoff"]["handoff"]["id"]] = asked, at
        self._free.put_nowait((reader, writer))


@click.command()
@click.option("--rate", default=50, show_default=True, help="Escalations a second.")
@click.option("--seconds", default=10, show_default=True, help="How long, in each turn.")
@click.option("--dashboards", default=20, show_default=True, help="At the other node.")
@click.option("--turns", default=3, show_default=True)
def main(rate: int, seconds: int, dashboards: int, turns: int) -> None:
    """Measure how soon another node's dashboards have an escalation."""
    prepare()
    with PostgresServer() as server, ValkeyServer() as broker:
        for _ in range(turns):
            server.create_database(DATABASE)
            took = uvloop.run(measure(server.url(DATABASE), broker.url, rate, rate * seconds, dashboards))
            server.drop_database(DATABASE)
            for name, values in zip(("request", "answer"), zip(*took, strict=True), strict=True):
                ordered = statistics.quantiles(values, n=100)
                click.echo(f"from the {name}: p50 {ordered[49]:.1f} ms, p99 {ordered[98]:.1f} ms")


async def measure(url: str, broker: str, rate: int, count: int, dashboards: int) -> list[tuple[float, float]]:
    """Return the milliseconds of each escalation and dashboard: from the request, and from the answer."""
    database = Database(url)
    async with database.owning() as tx:
        await migrate.upgrade(tx)
    cast = await make_cast(database)
    sessions = [await cast.start_session("The VPN drops") for _ in range(count + _WARM_UP)]
    async with _nodes(url, broker) as (here, there):
        room, escalators = Arrivals(), Escalators(here, _token(cast))
        await escalators.open()
        await room.open(Target("127.0.0.1", there, _token(cast), QUEUE), dashboards, None)
        waiting: list[asyncio.Task[None]] = []
        began = time.perf_counter()
        for number, session in enumerate(sessions):
            await asyncio.sleep(began + number / rate - time.perf_counter())
            waiting.append(asyncio.create_task(escalators.escalate(session.id)))
        await asyncio.gather(*waiting)
        counted = list(escalators.made)[_WARM_UP:]
        async with asyncio.timeout(_LAST_SECONDS):
            await _until_seen(room, counted, dashboards)
    await database.dispose()
    return [
        ((at - asked) * 1000, (at - answered) * 1000)
        for asked, answered, seen in ((*escalators.made[id_], room.seen[id_]) for id_ in counted)
        for at in seen
    ]


async def _until_seen(room: Arrivals, handoff_ids: list[str], dashboards: int) -> None:
    while any(len(room.seen[id_]) < dashboards for id_ in handoff_ids):  # noqa: ASYNC110 (the time is noted)
        await asyncio.sleep(0.01)


@asynccontextmanager
async def _nodes(url: str, broker: str) -> AsyncIterator[tuple[int, int]]:
    """Run two nodes, and yield their ports."""
    ports = free_port(), free_port()
    settings = {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": url,
        "HANDOFF_BROADCAST_URL": broker,
        "HANDOFF_WORKER": "off",
        "HANDOFF_MUTATION_LIMIT": "10000/second",
    }
    nodes = [
        HandoffProcess(
            "serve",
            env=settings | {"HANDOFF_PORT": str(port)},
            ready_url=f"http://127.0.0.1:{port}/readyz",
        )
        for port in ports
    ]
    with closing(*nodes):
        await start(*nodes)
        for node in nodes:
            pin(node.pid)
        yield ports


def _token(cast: Cast) -> str:
    return Tokens(SECRET).sign(cast.alice.id, valid_for=timedelta(hours=1))


if __name__ == "__main__":
    main()
