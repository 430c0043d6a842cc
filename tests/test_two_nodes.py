"""Two nodes on one PostgreSQL are one service, whatever wakes them, and when nothing does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

import pytest

from db.enums import HandoffIntent
from resolvers import handing_off
from resolvers.new_handoffs import NewHandoff
from schema.context import utc_now
from server.process import Node
from tests.cast import Cast
from tests.client import SECRET, make_settings
from tests.http_clients import http_client
from tests.live import Live
from tests.servers.postgres import PostgresServer
from tests.servers.processes import HandoffProcess, free_port
from tests.servers.valkey import ValkeyServer
from tests.sockets import ESCALATIONS, QUEUE_CHANGES
from tests.template import Template


@dataclass(frozen=True)
class Cluster:
    """Two processes, and what they share."""

    database_url: str
    cast: Cast
    processes: tuple[HandoffProcess, HandoffProcess]
    addresses: tuple[str, str]
    broker: ValkeyServer | None  #: None: the database wakes them


@dataclass(frozen=True)
class Nodes:
    """The two nodes, as clients reach them."""

    a: Live
    b: Live
    cluster: Cluster

    async def kill_a(self) -> None:
        """End the first node by SIGKILL."""
        await asyncio.to_thread(self.cluster.processes[0].kill)


@pytest.fixture(scope="module", params=["postgresql", "redis"])
def cluster(
    request: pytest.FixtureRequest, postgres: PostgresServer, postgresql_template: Template
) -> Iterator[Cluster]:
    """Two nodes that wake each other over PostgreSQL or Redis; neither sends mails."""
    name = f"nodes_{uuid4().hex}"
    postgres.create_database(name, template=postgresql_template.with_cast)
    url = postgres.url(name)
    with ExitStack() as stack:
        stack.callback(postgres.drop_database, name)
        broker = stack.enter_context(ValkeyServer()) if request.param == "redis" else None
        addresses = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
        broadcast_url = url if broker is None else broker.url
        processes = [_describe(address, url, broadcast_url) for address in addresses]
        with ThreadPoolExecutor(max_workers=2) as starters:
            for process, started in [(p, starters.submit(p.start)) for p in processes]:
                stack.callback(process.close)
                started.result()
        yield Cluster(url, postgresql_template.cast, (processes[0], processes[1]), addresses, broker)


@pytest.fixture
async def nodes(cluster: Cluster) -> AsyncIterator[Nodes]:
    """The two nodes, both running."""
    await asyncio.to_thread(cluster.processes[0].start)  # unless a test before this one killed it
    reader = Node(make_settings(cluster.database_url))
    cast = replace(cluster.cast, database=reader.database)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(reader.database.dispose)
        lives = []
        for address in cluster.addresses:
            http = await stack.enter_async_context(http_client(base_url=f"http://{address}"))
            lives.append(Live(reader, http, cast, f"ws://{address}/graphql"))
        yield Nodes(lives[0], lives[1], cluster)


async def test_an_escalation_on_one_node_is_pushed_by_the_other(nodes: Nodes) -> None:
    cast = nodes.a.cast
    async with nodes.b.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await nodes.b.cursor())

        handoff_id = await nodes.a.escalate_new()

        event = await pushed.next_event()
        assert (event["handoff"]["id"], event["round"], event["missedBefore"]) == (handoff_id, 0, 0)


async def test_a_claim_on_one_node_is_told_to_the_queue_on_the_other(nodes: Nodes) -> None:
    cast = nodes.a.cast
    handoff_id = await nodes.a.escalate_new()
    async with nodes.b.dashboard(cast.vera) as socket:
        changes = await socket.subscribe(QUEUE_CHANGES, after=await nodes.b.cursor())

        await nodes.a.claim(cast.bob, handoff_id)

        change = await changes.next_event()
        assert (change["kind"], change["handoff"]["id"]) == ("CLAIMED", handoff_id)


async def test_who_is_online_at_one_node_counts_at_the_other(nodes: Nodes) -> None:
    cast = nodes.a.cast
    async with nodes.b.dashboard(cast.bob) as socket:
        await socket.subscribe(ESCALATIONS)
        await nodes.b.until_online(cast.bob)

        there = await nodes.a.create(cast.alice, (await cast.start_session()).id)

    await nodes.a.until_online()
    gone = await nodes.a.create(cast.alice, (await cast.start_session()).id)
    assert there["reach"] == {"online": 1, "email": 2, "unreachable": False}
    assert gone["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def test_a_dashboard_that_moves_to_the_other_node_misses_nothing(nodes: Nodes) -> None:
    cast = nodes.a.cast
    async with nodes.b.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await nodes.b.cursor())
        await nodes.a.escalate_new()
        seen = await pushed.next_event()
    missed = [await nodes.b.escalate_new() for _ in range(3)]

    async with nodes.a.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=seen["cursor"])

        assert [event["handoff"]["id"] for event in await pushed.next_events(3)] == missed


async def test_an_escalation_survives_the_node_that_took_it_and_could_tell_nobody(nodes: Nodes) -> None:
    cast, broker = nodes.a.cast, nodes.cluster.broker
    async with nodes.b.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await nodes.b.cursor())
        with ExitStack() as frozen:
            if broker is not None:
                broker.pause()
                frozen.callback(broker.resume)

            handoff_id = await nodes.a.escalate_new()
            await nodes.kill_a()

            assert (await pushed.next_event())["handoff"]["id"] == handoff_id


async def test_an_escalation_that_was_never_announced_is_pushed_by_both_nodes(nodes: Nodes) -> None:
    cast = nodes.a.cast
    session = await cast.start_session()
    new = NewHandoff(session_id=session.id, intent=HandoffIntent.ESCALATE)
    async with nodes.a.dashboard(cast.bob) as bobs, nodes.b.dashboard(cast.adam) as adams:
        after = await nodes.b.cursor()
        pushed = [await socket.subscribe(ESCALATIONS, after=after) for socket in (bobs, adams)]

        async with cast.database.transaction(cast.account_id) as tx:
            created = await handing_off.create(tx, cast.alice, new, now=utc_now(), grace=timedelta(0))

        events = [await operation.next_event() for operation in pushed]
    assert [event["handoff"]["id"] for event in events] == [str(created.handoff.id)] * 2


def _describe(address: str, database_url: str, broadcast_url: str) -> HandoffProcess:
    host, _, port = address.partition(":")
    env = {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": database_url,
        "HANDOFF_BROADCAST_URL": broadcast_url,
        "HANDOFF_HOST": host,
        "HANDOFF_PORT": port,
        "HANDOFF_WORKER": "off",
    }
    return HandoffProcess("serve", env=env, ready_url=f"http://{address}/readyz")
