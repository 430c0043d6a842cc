"""Where turns are run: one PostgreSQL, one process that makes the load, and a list of what came of it."""

import asyncio
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import click

from bench.peers import filling, load
from bench.peers.asking import Ask
from bench.peers.cores import LOAD_CORE, pin
from bench.peers.load import Load, Sample
from bench.peers.rows import Rows
from bench.peers.servers import Server, Way
from tests.servers.postgres import PostgresServer


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    turns: int  #: of each way in each scenario
    seconds: float  #: that count, in each turn
    warm_seconds: float  #: before
    connections: int  #: each with one request at a time


@dataclass(slots=True)
class Result:
    """What came of one way in one scenario."""

    scenario: str
    way: str
    samples: dict[int, Sample] = field(default_factory=dict)  #: by turn, without those that failed


@dataclass(slots=True)
class Laboratory:
    """What turns need."""

    effort: Effort
    postgres: PostgresServer
    loader: ProcessPoolExecutor
    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  #: what could not be measured, and why

    def note(self, text: str) -> None:
        """Say, and keep for the report, what else a reader should know."""
        self.notes.append(text)
        click.echo(f"  {text}")

    def remark(self, text: str) -> None:
        """Say, and keep for the report, that something is missing."""
        self.remarks.append(text)
        click.echo(f"! {text}", err=True)

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """Make a database with tables and no rows; return its address."""
        self.postgres.drop_database(name)
        self.postgres.create_database(name)
        url = self.postgres.url(name)
        filling.make_tables_now(url)
        try:
            yield url
        finally:
            self.postgres.drop_database(name)

    def start(self, ways: Iterable[Way], url: str, stack: ExitStack) -> list[Server]:
        """Start servers that last as long as the stack; a peer that does not start is remarked upon."""
        servers = []
        for way in ways:
            try:
                servers.append(stack.enter_context(way.serving(url)))
            except (RuntimeError, OSError, TimeoutError) as error:
                self.remark(f"{way.name}: {error}")
        return servers

    def take_turns(self, scenario: str, asked: Sequence[tuple[Server, Ask]]) -> None:
        """Ask each server the same again and again, in turns, each turn beginning with another."""
        results = {server.name: Result(scenario, server.name) for server, _ in asked}
        for turn in range(self.effort.turns):
            first = turn % max(1, len(asked))
            for server, ask in [*asked[first:], *asked[:first]]:
                if (sample := self.ask(scenario, server, ask, is_repeated=True)) is not None:
                    results[server.name].samples[turn] = sample
        self.add(results.values())

    def ask(self, scenario: str, server: Server, ask: Ask, *, is_repeated: bool) -> Sample | None:
        """Run one turn; None, with a remark, where the server failed in it."""
        effort = self.effort
        turn = Load(
            port=server.port,
            pid=server.pid,
            requests=ask.requests,
            is_repeated=is_repeated,
            mark=ask.mark,
            connections=effort.connections,
            warm_seconds=effort.warm_seconds,
            seconds=effort.seconds,
        )
        try:
            sample = self.loader.submit(load.run, turn).result()
        except OSError as error:
            self.remark(f"{scenario}, {server.name}: {error}")
            return None
        if sample.refused:
            self.remark(f"{scenario}, {server.name}: {sample.refused} of {sample.used} were refused")
            return None
        click.echo(f"  {scenario:48} {server.name:32} {sample.rate:8,.0f}/s  {sample.cpu_ms:7.3f} ms CPU")
        return sample

    def add(self, results: Iterable[Result]) -> None:
        """Keep what came of a scenario."""
        self.results += [result for result in results if result.samples]


@contextmanager
def laboratory(effort: Effort) -> Iterator[Laboratory]:
    """Set one up."""
    context = multiprocessing.get_context("spawn")
    with (
        PostgresServer() as postgres,
        ProcessPoolExecutor(1, mp_context=context, initializer=pin, initargs=(LOAD_CORE,)) as loader,
    ):
        yield Laboratory(effort, postgres, loader)


def fill(url: str, *parts: Rows) -> None:
    """Store rows and let the database settle."""
    asyncio.run(_fill(url, parts))


async def _fill(url: str, parts: Sequence[Rows]) -> None:
    await filling.fill(url, *parts)
    await filling.settle(url)
