"""`queue(first: 100)` and `queue(first: 20)`: of a quiet account, and of one that changes all the time."""

import time
from contextlib import ExitStack

from bench.peers.answers import equal_ones
from bench.peers.laboratory import Laboratory, fill
from bench.peers.rows import Account, Escalation, tenants, waiting
from bench.peers.ways import HANDOFF, LIMIT, READING_PEERS, handoff_without
from bench.peers.writer import Changes, changing

PAGES = (100, 20)
_WAITING = 150


def measure(lab: Laboratory, *, changes: float) -> None:
    """Measure all ways, without and with that many changes a second in the account."""
    account = Account()
    queue = [Escalation(account) for _ in range(_WAITING)]
    with lab.database("bench_reads") as url, ExitStack() as stack:
        fill(url, tenants([account]), waiting(queue, told=True))
        servers = lab.start([HANDOFF, *handoff_without(), *READING_PEERS], url, stack)
        servers = equal_ones(lab, servers, account, first=PAGES[0])
        steps = Changes(
            url=url,
            account_id=account.id,
            sessions=[each.session_id for each in queue[: PAGES[0]]],
            each_second=changes,
        )
        limit = lab.start([LIMIT], url, stack)
        for first in PAGES:
            asked = [(server, server.dialect.queue(account, first)) for server in servers]
            ceiling = [(server, server.dialect.queue(account, first)) for server in limit]
            lab.take_turns(f"queue(first: {first}), quiet", [*asked, *ceiling])
            with changing(steps) as made:
                began = time.monotonic()
                lab.take_turns(f"queue(first: {first}), {changes:.0f} changes/s", asked)
                lab.note(
                    f"queue(first: {first}): {made.value / (time.monotonic() - began):.0f} changes/s made"
                )
        equal_ones(lab, servers, account, first=PAGES[0])
