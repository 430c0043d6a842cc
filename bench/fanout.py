"""How soon dashboards see an escalation. Run it with: python -m bench.fanout --help.

Starts a PostgreSQL, and two nodes on it: one that executes an event once for all equal subscriptions, and one
that executes it for each. The same dashboards follow one after the other, in turns. Prints how many
milliseconds after the answer to `createHandoff` the middle and the last dashboard had the event.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import click
import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from db import migrate
from db.session import Database
from server.auth import Tokens
from tests.cast import Cast, make_cast
from tests.client import CREATE, SECRET
from tests.servers.postgres import PostgresServer
from tests.servers.processes import HandoffProcess, free_port
from tests.workers import closing, start

DATABASE = "bench_fanout"
#: What a live queue shows of each entry.
QUEUE = """
subscription { queueChanged { cursor missedBefore kind handoff {
  id intent priority state notes createdAt claimedAt claimedBy { id name } handedOffBy { id name }
  session { id status problemSummary problemDomain stepCount owner { id name } }
} } }
"""


@dataclass(slots=True)
class Way:
    """One way to serve the dashboards, and what it took."""

    name: str
    is_shared: bool
    middle: list[float] = field(default_factory=list)  #: milliseconds, one for each escalation
    last: list[float] = field(default_factory=list)


@click.command()
@click.option("--dashboards", default=1000, show_default=True, help="Of one account.")
@click.option("--escalations", default=5, show_default=True, help="In each turn.")
@click.option("--turns", default=3, show_default=True, help="Of each way.")
def main(dashboards: int, escalations: int, turns: int) -> None:
    """Measure how soon dashboards see an escalation."""
    ways = [Way("once for all", True), Way("for each", False)]
    with PostgresServer() as server:
        server.create_database(DATABASE)
        for _ in range(turns):
            for way in ways:
                asyncio.run(_measure(server.url(DATABASE), way, dashboards, escalations))
        server.drop_database(DATABASE)
    for way in ways:
        click.echo(
            f"{dashboards} dashboards, executed {way.name}: middle {statistics.median(way.middle):.0f} ms, "
            f"last {statistics.median(way.last):.0f} ms ({min(way.last):.0f} to {max(way.last):.0f})"
        )
    ratio = statistics.median(ways[1].last) / statistics.median(ways[0].last)
    click.echo(f"The last dashboard has it {ratio:.1f} times sooner when an event is executed once.")


async def _measure(url: str, way: Way, dashboards: int, escalations: int) -> None:
    database = Database(url)
    async with database.owning() as tx:
        await migrate.downgrade(tx, "base")
        await migrate.upgrade(tx)
    cast = await make_cast(database)
    port = free_port()
    node = HandoffProcess("serve", env=_settings(url, port, way), ready_url=f"http://127.0.0.1:{port}/readyz")
    with closing(node):
        await start(node)
        async with _following(cast, port, dashboards) as sockets:
            for _ in range(escalations):
                seen = await _escalate(cast, port, sockets)
                way.middle.append(statistics.median(seen))
                way.last.append(max(seen))
    await database.dispose()


def _settings(url: str, port: int, way: Way) -> dict[str, str]:
    return {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": url,
        "HANDOFF_PORT": str(port),
        "HANDOFF_WORKER": "off",
        "HANDOFF_SHARED_STREAMS": str(way.is_shared).lower(),
    }


@asynccontextmanager
async def _following(cast: Cast, port: int, count: int) -> AsyncIterator[list[ClientConnection]]:
    """Open the dashboards, and wait until each has answered a ping: it follows by then."""
    token = Tokens(SECRET).sign(cast.vera.id, valid_for=timedelta(hours=1))
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(
                connect(
                    f"ws://127.0.0.1:{port}/graphql",
                    subprotocols=[Subprotocol("graphql-transport-ws")],
                    compression=None,
                    ping_interval=None,
                )
            )
            for _ in range(count)
        ]
        for socket in sockets:
            await socket.send(_frame("connection_init", payload={"authorization": f"Bearer {token}"}))
            await socket.recv()
            await socket.send(_frame("subscribe", id="1", payload={"query": QUEUE}))
        await asyncio.sleep(1 + count / 500)  # a subscription has no acknowledgement
        yield sockets


async def _escalate(cast: Cast, port: int, sockets: list[ClientConnection]) -> list[float]:
    """Escalate, and return after how many milliseconds each dashboard had it."""
    session = await cast.start_session("The VPN drops after an hour")
    token = Tokens(SECRET).sign(cast.alice.id, valid_for=timedelta(hours=1))
    waiting = [asyncio.create_task(_arrival(socket)) for socket in sockets]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        answer = await http.post(
            "/graphql",
            json={
                "query": CREATE,
                "variables": {"input": {"sessionId": str(session.id), "intent": "ESCALATE"}},
            },
            headers={"Authorization": f"Bearer {token}"},
        )
        answered = time.perf_counter()
    assert answer.json()["data"]["createHandoff"]["__typename"] == "CreateHandoffSuccess"  # noqa: S101
    return [(at - answered) * 1000 for at in await asyncio.gather(*waiting)]


async def _arrival(socket: ClientConnection) -> float:
    frame = await socket.recv()
    at = time.perf_counter()
    event = orjson.loads(frame)
    assert event["payload"]["data"]["queueChanged"]["kind"] == "ADDED", event  # noqa: S101
    return at


def _frame(kind: str, **more: object) -> str:
    return orjson.dumps({"type": kind, **more}).decode()


if __name__ == "__main__":
    main()
