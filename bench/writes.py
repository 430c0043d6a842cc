"""What it takes to hand off and to claim. Run it with: python -m bench.writes --help.

Starts a PostgreSQL. Escalations are made and claimed by many at once, spread over many accounts and all in
one, in turns: each tells ten responders. Prints how many a second, and how much of this process's CPU each
took; then how often each waits for the database, counted on the wire, and what it sends where a thousand are
told. No GraphQL and no HTTP: what those cost is measured elsewhere.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

import click

from db import migrate, users
from db.enums import HandoffIntent, Role
from db.session import Database, new_id
from db.users import UserRow
from resolvers import admin, handing_off, handoffs, sessions
from resolvers.new_handoffs import NewHandoff
from resolvers.sessions import NewSession
from tests.servers.postgres import PostgresServer
from tests.servers.postgres_wire import watching

DATABASE = "bench_writes"
_NO_WAIT = timedelta(0)


@dataclass(frozen=True, slots=True)
class Account:
    """An account with one who escalates, one who claims, and others who are told as well."""

    id: UUID
    escalator: UserRow
    claimer: UserRow


@dataclass(slots=True)
class Way:
    """Where the mutations go, and what they took: one figure for each turn."""

    name: str
    accounts: list[Account]
    created_a_second: list[float] = field(default_factory=list)
    claimed_a_second: list[float] = field(default_factory=list)
    create_cpu_ms: list[float] = field(default_factory=list)
    claim_cpu_ms: list[float] = field(default_factory=list)


@click.command()
@click.option("--accounts", default=50, show_default=True, help="To spread the mutations over.")
@click.option("--mutations", default=500, show_default=True, help="Of each kind in each turn.")
@click.option("--at-once", default=16, show_default=True, help="How many are under way together.")
@click.option("--turns", default=3, show_default=True, help="Of each way.")
def main(accounts: int, mutations: int, at_once: int, turns: int) -> None:
    """Measure what it takes to hand off and to claim."""
    with PostgresServer() as server:
        server.create_database(DATABASE)
        asyncio.run(_measure(server.url(DATABASE), accounts, mutations, at_once, turns))
        server.drop_database(DATABASE)


async def _measure(url: str, accounts: int, mutations: int, at_once: int, turns: int) -> None:
    database = Database(url)
    async with database.owning() as tx:
        await migrate.upgrade(tx)
    ways = [
        Way(f"{accounts} accounts", [await _add_account(database, told=10) for _ in range(accounts)]),
        Way("one account", [await _add_account(database, told=10)]),
    ]
    for turn in range(turns + 1):  # the first one prepares statements and is not counted
        for way in ways:
            await _take_turn(database, way, mutations, at_once, is_counted=turn > 0)
    for way in ways:
        for kind, rates, cpu in (
            ("creates", way.created_a_second, way.create_cpu_ms),
            ("claims", way.claimed_a_second, way.claim_cpu_ms),
        ):
            click.echo(
                f"{way.name}: {statistics.median(rates):.0f} {kind}/s "
                f"({min(rates):.0f} to {max(rates):.0f}), {statistics.median(cpu):.2f} ms of CPU each"
            )
    await database.dispose()
    for told in (10, 1000):
        await _count(url, told)


async def _take_turn(database: Database, way: Way, mutations: int, at_once: int, *, is_counted: bool) -> None:
    waiting = []
    for number in range(mutations):
        account = way.accounts[number % len(way.accounts)]
        waiting.append((account, await _start_session(database, account)))
    made: list[tuple[Account, UUID]] = []

    async def create(account: Account, session_id: UUID) -> None:
        made.append((account, await _create(database, account, session_id)))

    async def claim(account: Account, handoff_id: UUID) -> None:
        await _claim(database, account, handoff_id)

    creates = await _time(create, waiting, at_once)
    claims = await _time(claim, made, at_once)
    if is_counted:
        way.created_a_second.append(creates[0])
        way.create_cpu_ms.append(creates[1])
        way.claimed_a_second.append(claims[0])
        way.claim_cpu_ms.append(claims[1])


async def _time(
    act: Callable[[Account, UUID], Awaitable[None]], work: Iterable[tuple[Account, UUID]], at_once: int
) -> tuple[float, float]:
    """Do the work with several at once; return how much was done a second, and the CPU of each in ms."""
    work = list(work)
    rest = iter(work)

    async def do_some() -> None:
        for account, id_ in rest:
            await act(account, id_)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(do_some() for _ in range(at_once)))
    return len(work) / (time.perf_counter() - began), (time.process_time() - cpu) / len(work) * 1000


async def _count(url: str, told: int) -> None:
    """Print how often an escalation and its claim wait for the database, and what they send."""
    async with watching(url) as (watched_url, traffic):
        database = Database(watched_url)
        account = await _add_account(database, told=told)
        for is_prepared in (False, True):
            session_id = await _start_session(database, account)
            traffic.clear()
            handoff_id = await _create(database, account, session_id)
            create = traffic.round_trips, len(traffic.statements)
            inserts = sum(text.count("INSERT INTO deliveries") for text in traffic.statements)
            traffic.clear()
            await _claim(database, account, handoff_id)
            if is_prepared:
                click.echo(
                    f"{told} are told: create {create[0]} round trips, {create[1]} statements, {inserts} "
                    f"insert of deliveries; claim {traffic.round_trips} round trips, "
                    f"{len(traffic.statements)} statements"
                )
        await database.dispose()


async def _add_account(database: Database, *, told: int) -> Account:
    now = datetime.now(UTC)
    async with database.transaction(new_id()) as tx:
        account_id = await admin.create_account(tx, f"Account {new_id()}", now=now)
        for _ in range(told + 1):
            email = f"{new_id()}@bench.example"
            await admin.add_user(tx, email=email, name="Engineer", role=Role.ENGINEER, now=now)
        escalator, claimer = islice(await users.responders(tx), 2)
    return Account(account_id, escalator, claimer)


async def _start_session(database: Database, account: Account) -> UUID:
    new = NewSession(problem_summary="The VPN drops after an hour")
    async with database.transaction(account.id) as tx:
        return (await sessions.start(tx, account.escalator, new, now=datetime.now(UTC))).id


async def _create(database: Database, account: Account, session_id: UUID) -> UUID:
    new, now = (
        NewHandoff(session_id=session_id, intent=HandoffIntent.ESCALATE, notes="MTU?"),
        datetime.now(UTC),
    )
    foreseen = await handing_off.foresee(database, account.escalator, new, now=now)
    async with database.transaction(account.id) as tx:
        made = await handing_off.create(
            tx,
            account.escalator,
            new,
            now=now,
            grace=_NO_WAIT,
            assessment_wait=_NO_WAIT,
            foreseen=foreseen,
        )
    return made.handoff.id


async def _claim(database: Database, account: Account, handoff_id: UUID) -> None:
    async with database.transaction(account.id) as tx:
        await handoffs.claim(tx, account.claimer, handoff_id, now=datetime.now(UTC), is_all=True)


if __name__ == "__main__":
    main()
