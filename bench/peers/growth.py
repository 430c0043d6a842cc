"""What the handoffs ever made cost: a small account's database beside a large one's."""

import asyncio
from contextlib import ExitStack

from bench.peers import mutations
from bench.peers.laboratory import Laboratory, fill
from bench.peers.past import remember
from bench.peers.rows import Account, Escalation, tenants, waiting
from bench.peers.servers import Handoff, Server

SMALL = 1_000
_PAGE = 20
_WAITING = 150
_MOST_CREATED = 3000


def measure(lab: Laboratory, *, past: int) -> None:
    """Measure an account with a thousand handoffs, and one with that many."""
    with ExitStack() as stack:
        accounts, servers, stocks = {}, [], {}
        for count in (SMALL, past):
            url = stack.enter_context(lab.database(f"bench_growth_{count}"))
            account, name = Account(), way(count)
            fill(url, tenants([account]), waiting([Escalation(account) for _ in range(_WAITING)], told=True))
            asyncio.run(remember(url, [account], count))
            servers += lab.start([Handoff(name)], url, stack)
            accounts[name], stocks[name] = account, mutations.sessions(url, [account])
        _take_turns(lab, servers, accounts)
        scenario = "createHandoff, by the account's past"
        mutations.take_turns(lab, scenario, servers, mutations.create, stocks, _MOST_CREATED)


def way(count: int) -> str:
    """Return what the report calls an account with so many handoffs."""
    return f"{count:,} handoffs"


def _take_turns(lab: Laboratory, servers: list[Server], accounts: dict[str, Account]) -> None:
    asked = [(server, server.dialect.queue(accounts[server.name], _PAGE)) for server in servers]
    lab.take_turns(f"queue(first: {_PAGE}), by the account's past", asked)
