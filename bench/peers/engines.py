"""Handoff on SQLite beside Handoff on PostgreSQL."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.peers import mutations
from bench.peers.answers import equal_ones
from bench.peers.filling import make_tables_now
from bench.peers.laboratory import Laboratory, fill
from bench.peers.reads import PAGES
from bench.peers.rows import Account, Escalation, tenants, waiting
from bench.peers.servers import Handoff, Server

POSTGRESQL = "Handoff, PostgreSQL"
_SQLITE = "Handoff, SQLite"
_ACCOUNTS = 50
_MOST_CLAIMED = 4000


def measure(lab: Laboratory) -> None:
    """Measure the queue and claims on both."""
    accounts = [Account() for _ in range(_ACCOUNTS)]
    queue = [Escalation(accounts[0]) for _ in range(PAGES[0])]
    with (
        tempfile.TemporaryDirectory(prefix="handoff-bench-") as folder,
        lab.database("bench_engines") as postgresql,
        ExitStack() as stack,
    ):
        sqlite = f"sqlite:///{Path(folder) / 'handoff.db'}"
        make_tables_now(sqlite)
        pairs = []
        rows = tenants(accounts), waiting(queue, told=True)
        for name, url in ((POSTGRESQL, postgresql), (_SQLITE, sqlite)):
            fill(url, *rows)
            pairs += [(server, url) for server in lab.start([Handoff(name)], url, stack)]
        servers = equal_ones(lab, [server for server, _ in pairs], accounts[0], first=PAGES[0])
        for first in PAGES:
            asked = [(server, server.dialect.queue(accounts[0], first)) for server in servers]
            lab.take_turns(f"queue(first: {first}), both engines", asked)
        _claim(lab, [pair for pair in pairs if pair[0] in servers], accounts[1:])


def _claim(lab: Laboratory, pairs: list[tuple[Server, str]], accounts: list[Account]) -> None:
    stocks = {server.name: mutations.handoffs(url, accounts) for server, url in pairs}
    servers = [server for server, _ in pairs]
    most = _MOST_CLAIMED
    mutations.take_turns(lab, "claimHandoff, both engines", servers, mutations.claim, stocks, most)
