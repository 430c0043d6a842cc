"""How long statistics take over a long history. Run it with: python -m bench.statistics --help.

Starts a PostgreSQL of its own, as the tests do, and fills it; HANDOFF_TEST_DATABASE_URL names a running one
to use instead. Prints the median and the slowest of several runs, in milliseconds, and what the database did.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import click

from bench.history import History, make, new_history, settle
from db import migrate
from db.session import Database, Transaction
from db.statistics import StatsDimension, Window
from resolvers.statistics import channel_stats, escalation_stats
from tests.plans import explaining
from tests.servers.postgres import PostgresServer

DATABASE = "bench_statistics"


@click.command()
@click.option("--sessions", default=960_000, show_default=True, help="Of the account that is asked about.")
@click.option("--days", default=730, show_default=True, help="Over which they are spread, up to now.")
@click.option("--runs", default=9, show_default=True, help="Of each question.")
@click.option("--plans", is_flag=True, help="Print what the database did, too.")
def main(sessions: int, days: int, runs: int, plans: bool) -> None:
    """Measure how long statistics take over a long history."""
    with PostgresServer() as server:
        server.drop_database(DATABASE)
        server.create_database(DATABASE)
        asyncio.run(_measure(server.url(DATABASE), sessions, days, Runs(runs, plans)))
        server.drop_database(DATABASE)


@dataclass(frozen=True, slots=True)
class Runs:
    """How a question is asked."""

    times: int
    plans: bool  #: print the plan, too


async def _measure(url: str, sessions: int, days: int, runs: Runs) -> None:
    database = Database(url)
    async with database.owning() as tx:
        await migrate.upgrade(tx)
    history = new_history(sessions=sessions, days=days)
    for made in (history, new_history(sessions=sessions // 10, days=days)):
        await make(database, made)
    await settle(url)
    for length in (1, 30, 365):
        until = datetime.now(UTC) - timedelta(days=30)
        window = Window(since=until - timedelta(days=length), until=until)
        click.echo(await _describe(database, history, window))
        for name, ask in _questions(window).items():
            await _time(database, history, f"{length:4} days, {name}", ask, runs)
    await database.dispose()


def _questions(window: Window) -> dict[str, Callable[[Transaction], Awaitable[object]]]:
    asked: dict[str, Callable[[Transaction], Awaitable[object]]] = {
        "total": lambda tx: escalation_stats(tx, window, None)
    }
    for dimension in StatsDimension:
        asked[f"by {dimension.name}"] = lambda tx, dimension=dimension: escalation_stats(  # type: ignore[misc]
            tx, window, dimension
        )
    asked["channels"] = lambda tx: channel_stats(tx, window)
    return asked


async def _time(
    database: Database,
    history: History,
    name: str,
    ask: Callable[[Transaction], Awaitable[object]],
    runs: Runs,
) -> None:
    took = []
    for _ in range(runs.times):
        began = time.perf_counter()
        async with database.reading(history.account_id) as tx:
            await ask(tx)
        took.append((time.perf_counter() - began) * 1000)
    click.echo(f"{name:26} median {statistics.median(took):7.0f} ms   slowest {max(took):7.0f} ms")
    if runs.plans:
        async with database.reading(history.account_id) as tx:
            planning, plans = explaining(tx, "ANALYZE, BUFFERS")
            await ask(planning)
        click.echo("\n".join(plans))


async def _describe(database: Database, history: History, window: Window) -> str:
    async with database.reading(history.account_id) as tx:
        total = (await escalation_stats(tx, window, None)).total
        told = await channel_stats(tx, window)
    deliveries = sum(each.sent + each.delivered + each.failed + each.skipped for each in told)
    return f"\n{total.escalated:,} escalations, {deliveries:,} deliveries: {total}"


if __name__ == "__main__":
    main()
