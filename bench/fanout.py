"""How soon dashboards see an event, and what that costs. Run it with: python -m bench.fanout --help.

The ways, in turns, with the same clients and the same bytes:

product      one node on PostgreSQL: an escalation, to subscriptions that share its execution
for each     the same, with HANDOFF_SHARED_STREAMS=false
mercurius    Node's mercurius with its own emitter: an event from memory, no rights, no database
uvicorn      the bytes of the product's event, sent to each socket by uvicorn, without GraphQL

The server has one core, and the clients with the database the other. Milliseconds are from the request that
makes the event; of the product also from its answer, which is when the escalation is committed.
"""

import asyncio
import statistics
import tempfile
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from bench.fanout_ways import Clients, Way, running_clients, running_peer, running_product
from bench.processes import cpu_seconds, memory, pin, prepare
from tests.servers.postgres import PostgresServer

DATABASE = "bench_fanout"
WAYS = ("product", "for each", "mercurius", "uvicorn")
#: What a live queue shows of each entry.
QUEUE = """
subscription { queueChanged { cursor missedBefore kind handoff {
  id intent priority state notes createdAt claimedAt claimedBy { id name } handedOffBy { id name }
  session { id status problemSummary problemDomain stepCount owner { id name } }
} } }
"""
#: Notes of an escalation that fills what lies between the server and a client that does not read.
_BULK = "The log says nothing. " * 900  # 20,000 characters are allowed
_BULKS = 20
_WINDOW = 4096  #: bytes that a client which will be frozen takes before it reads
#: More dashboards would need so long to be filled that the frozen ones were cut off before the measurement.
_MOST_BESIDE_FROZEN = 1000
_MOST_FOR_EACH = 2000  #: dashboards; 10,000 take a quarter of a minute for each event
_WARM_UPS = 5  #: at most, before either measurement
_CALM_SECONDS = 0.05


@dataclass(slots=True)
class Figures:
    """What one way took, a value for each event, or for each turn."""

    last: list[float] = field(default_factory=list)  #: ms from the request to the last client
    p99: list[float] = field(default_factory=list)
    after_answer: list[float] = field(default_factory=list)  #: ms from the answer to the last client
    cpu: list[float] = field(default_factory=list)  #: of the server, µs a message, without `base`
    base: list[float] = field(default_factory=list)  #: CPU of the server for an event to a few, s
    memory: list[float] = field(default_factory=list)  #: KB an idle subscriber
    connect: list[float] = field(default_factory=list)  #: CPU of the server, ms a subscriber

    def row(self) -> list[str]:
        """Return the medians, with the spread of the first."""
        if not self.last:
            return []
        low, high = min(self.last), max(self.last)
        return [
            f"{statistics.median(self.last):.0f} ({low:.0f}-{high:.0f})",
            *(f"{statistics.median(found):.0f}" for found in (self.after_answer, self.p99)),
            *(f"{statistics.median(found):.1f}" for found in (self.cpu, self.memory)),
            f"{statistics.median(self.connect):.2f}",
        ]


@click.command()
@click.option("--dashboards", default="1000,5000,10000", show_default=True, help="How many, of one account.")
@click.option("--ways", default=",".join(WAYS), show_default=True, help="Which.")
@click.option("--events", default=10, show_default=True, help="In each turn.")
@click.option("--turns", default=3, show_default=True, help="Of each way.")
@click.option("--frozen", default=200, show_default=True, help="Dashboards that read nothing, in a row more.")
def main(dashboards: str, ways: str, events: int, turns: int, frozen: int) -> None:
    """Measure how soon dashboards see an event."""
    prepare()
    with PostgresServer() as server, tempfile.TemporaryDirectory() as folder:
        server.create_database(DATABASE)
        bench = Bench(server.url(DATABASE), Path(folder), events)
        click.echo("way | dashboards | last ms | after answer | p99 | µs/message | KB idle | connect ms")
        for count in map(int, dashboards.split(",")):
            asyncio.run(bench.compare(count, ways.split(","), turns, frozen))
        server.drop_database(DATABASE)


class Bench:
    """Runs the ways."""

    def __init__(self, url: str, folder: Path, events: int) -> None:
        self._url = url
        self._folder = folder
        self._events = events
        self._frame = ""  #: of the product's last event

    async def compare(self, count: int, ways: list[str], turns: int, frozen: int) -> None:
        """Measure in turns, and tell the medians."""
        found: dict[str, Figures] = {}
        for _ in range(turns):
            for way in ways:
                if way != "for each" or count <= _MOST_FOR_EACH:
                    await self.measure(way, count, found.setdefault(way, Figures()))
            if 0 < frozen < count <= _MOST_BESIDE_FROZEN:
                name = f"product, {frozen} frozen"
                await self.measure("product", count, found.setdefault(name, Figures()), frozen)
        for name, figures in found.items():
            click.echo(" | ".join([name, str(count), *figures.row()]))

    async def measure(self, name: str, count: int, figures: Figures, frozen: int = 0) -> None:
        """Measure one turn of a way."""
        async with self._running(name) as way, running_clients() as clients:
            pin(way.pid)
            target = {"host": "127.0.0.1", "port": way.port, "token": way.token, "document": QUEUE}
            first = min(20, count // 2)
            await clients.tell("open", count=first, **target)
            await self._warm_up(way, clients, first)
            for _ in range(self._events):
                spent = cpu_seconds(way.pid)
                await way.ask(clients, first)
                await asyncio.sleep(_CALM_SECONDS)
                figures.base.append(cpu_seconds(way.pid) - spent)
            before, spent = memory(way.pid), cpu_seconds(way.pid)
            await clients.tell("open", count=frozen, window=_WINDOW, **target)
            await clients.tell("open", count=count - first - frozen, **target)
            await self._settle(way)
            figures.memory.append((memory(way.pid) - before) / (count - first))
            figures.connect.append((cpu_seconds(way.pid) - spent) * 1e3 / (count - first))
            await self._warm_up(way, clients, count)
            if frozen:
                await clients.tell("freeze", start=first, count=frozen)
                for _ in range(_BULKS):  # so that nothing more can be written to them
                    self._check(await way.ask(clients, count - frozen, _BULK), count - frozen)
            for _ in range(self._events):
                await self._tell(way, clients, count - frozen, figures)

    def _running(self, name: str) -> AbstractAsyncContextManager[Way]:
        if name in {"product", "for each"}:
            most = 2 * (_WARM_UPS + self._events) + _BULKS
            return running_product(self._url, is_shared=name == "product", escalations=most)
        if not self._frame:
            raise click.UsageError("The first way is the product: the others send its event.")
        return running_peer(name, self._frame, self._folder)

    async def _tell(self, way: Way, clients: Clients, count: int, figures: Figures) -> None:
        spent = cpu_seconds(way.pid)
        told = await way.ask(clients, count)
        self._check(told, count)
        arrived = sorted(told["arrived"])
        await asyncio.sleep(_CALM_SECONDS)
        figures.last.append(arrived[-1])
        figures.after_answer.append(arrived[-1] - told["answered"])
        figures.p99.append(arrived[int(len(arrived) * 0.99) - 1])
        took = cpu_seconds(way.pid) - spent - statistics.median(figures.base)
        figures.cpu.append(took * 1e6 / count)
        if way.cast is not None:
            self._frame = told["frame"]

    def _check(self, told: Any, count: int) -> None:  # noqa: ANN401 (as the clients say)
        arrived = len(told["arrived"])
        if told["status"] != "200" or arrived != count or told["lost"]:
            raise RuntimeError(f"{arrived} of {count} have it, {told['lost']} lost: {told['answer']}")

    async def _warm_up(self, way: Way, clients: Clients, count: int) -> None:
        """Tell events until all have one: a subscription is not acknowledged."""
        for _ in range(_WARM_UPS):
            told = await way.ask(clients, count, within=20.0)
            if len(told["arrived"]) == count:
                if way.cast is not None:
                    self._frame = told["frame"]
                return
        raise RuntimeError(f"{len(told['arrived'])} of {count} follow: {told['answer']}")

    async def _settle(self, way: Way) -> None:
        """Wait until the server has nothing more to do but to look who is still there."""
        spent = cpu_seconds(way.pid)
        for _ in range(60):
            await asyncio.sleep(0.5)
            now = cpu_seconds(way.pid)
            if now - spent < 0.1:
                return
            spent = now


if __name__ == "__main__":
    main()
