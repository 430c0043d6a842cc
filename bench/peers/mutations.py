"""`createHandoff` with ten recipients and `claimHandoff`: over fifty accounts, and all in one."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from bench.peers import filling, traces
from bench.peers.answers import exchange
from bench.peers.asking import Ask, Dialect
from bench.peers.laboratory import Laboratory, Result, fill
from bench.peers.past import remember
from bench.peers.rows import Account, Escalation, started, tenants, waiting
from bench.peers.servers import Server
from bench.peers.stock import Stock
from bench.peers.ways import HANDOFF, WRITING_PEERS, handoff_without

#: What each server is asked for in one kind of mutation.
Asking = Callable[[Dialect, Sequence[Escalation]], Ask]

_ACCOUNTS = 50
#: Handoffs of each account beforehand. Of empty tables PostgreSQL would plan to read all rows for each
#: foreign key, and keep to that while the first turn fills them: who has that turn would be measured at half.
_PAST = 40
#: Nobody here does more in a second, on this kind of machine. Where there are fewer, a turn ends early.
_MOST_CREATED, _MOST_CLAIMED = 4000, 7000


def measure(lab: Laboratory) -> None:
    """Measure all ways that can change anything."""
    spread, hot = [Account() for _ in range(_ACCOUNTS)], [Account()]
    with lab.database("bench_mutations") as url, ExitStack() as stack:
        fill(url, tenants([*spread, *hot]))
        asyncio.run(remember(url, [*spread, *hot], _PAST))
        asyncio.run(_leave_alone(url))
        without_any = list(handoff_without())[-1:]
        servers = lab.start([HANDOFF, *without_any, *WRITING_PEERS], url, stack)
        servers = equal_ones(lab, url, servers, spread[0])
        names = [server.name for server in servers]
        for name, accounts in ((f"{_ACCOUNTS} accounts", spread), ("one hot account", hot)):
            to_create = dict.fromkeys(names, sessions(url, accounts))
            take_turns(lab, f"createHandoff, {name}", servers, create, to_create, _MOST_CREATED)
            to_claim = dict.fromkeys(names, handoffs(url, accounts))
            take_turns(lab, f"claimHandoff, {name}", servers, claim, to_claim, _MOST_CLAIMED)


def create(dialect: Dialect, unused: Sequence[Escalation]) -> Ask:
    """Escalate sessions."""
    return dialect.create(unused)


def claim(dialect: Dialect, unused: Sequence[Escalation]) -> Ask:
    """Claim handoffs."""
    return dialect.claim(unused)


def sessions(url: str, accounts: Sequence[Account]) -> Stock:
    """Return a stock of sessions to be escalated."""
    return Stock(url, accounts, started)


def handoffs(url: str, accounts: Sequence[Account]) -> Stock:
    """Return a stock of handoffs to be claimed."""
    return Stock(url, accounts, partial(waiting, told=True))


def take_turns(
    lab: Laboratory,
    scenario: str,
    servers: Sequence[Server],
    asking: Asking,
    stocks: Mapping[str, Stock],
    most: int,
) -> None:
    """Let each server do the same with unused rows, in turns; `most` are there for each second.

    `stocks` are by the names of the servers; those of one database share one.
    """
    results = {server.name: Result(scenario, server.name) for server in servers}
    count = int(most * (lab.effort.seconds + lab.effort.warm_seconds))
    for turn in range(lab.effort.turns):
        first = turn % max(1, len(servers))
        for server in [*servers[first:], *servers[:first]]:
            stock = stocks[server.name]
            ask = asking(server.dialect, stock.top_up(count))
            sample = lab.ask(scenario, server, ask, is_repeated=False)
            stock.use(count if sample is None else sample.used)
            if sample is not None:
                results[server.name].samples[turn] = sample
    lab.add(results.values())


def equal_ones(lab: Laboratory, url: str, servers: list[Server], account: Account) -> list[Server]:
    """Return the servers that write what the first one writes; remark upon the others."""
    equal: list[Server] = []
    wanted: list[str] = []
    for server in servers:
        created = sessions(url, [account])
        claimed = handoffs(url, [account])
        done = [*_do(server, create, created), *_do(server, claim, claimed)]
        written = asyncio.run(traces.read(url, done))
        wanted = wanted or written
        if written == wanted:
            equal.append(server)
        else:
            lab.remark(f"{server.name} is not measured: it writes {written}, not {wanted}")
    return equal


def _do(server: Server, asking: Asking, stock: Stock) -> list[Escalation]:
    (request,) = asking(server.dialect, stock.top_up(1)).requests
    exchange(server.port, request)
    return stock.use(1)


async def _leave_alone(url: str) -> None:
    """Keep autovacuum out of the turns: the stock is vacuumed between them."""
    connection = await filling.connect(url)
    for table in ("sessions", "handoffs", "deliveries", "events", "account_counters"):
        await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    await connection.close()
