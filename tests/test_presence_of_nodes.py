"""A node that is killed takes its people offline, by the age of its last beat and by nobody's cleaning up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from db import system
from db.models import connections, nodes
from db.presence import STALE_AFTER
from db.session import Database
from db.users import UserRow
from schema.context import utc_now
from tests.client import Api
from tests.live import Live, running_server
from tests.mailing import make_due, make_outbox
from tests.patience import PATIENCE
from tests.servers.processes import HandoffProcess
from tests.servers.smtp import SmtpServer
from tests.sockets import ESCALATIONS, Socket, eventually, open_socket
from tests.workers import closing, make_node, start

on_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@on_postgresql
async def test_the_people_of_a_killed_node_are_offline_when_its_last_beat_is_too_old(
    api: Api, database_url: str
) -> None:
    bob = api.cast.bob
    async with (
        running_node(database_url) as (node, address),
        dashboard(api, address, bob),
    ):
        await until_online(api, bob)

        node.kill()

        assert await is_online(api, bob)
        await age_beats(api.cast.database, await nodes_with_people(api.cast.database))
        assert not await is_online(api, bob)
        assert await reach_of_new(api) == {"online": 0, "email": 3, "unreachable": False}


@on_postgresql
async def test_an_escalation_to_a_node_that_is_dead_and_not_yet_missed_ends_in_a_mail(
    api: Api, smtp: SmtpServer, database_url: str
) -> None:
    cast = api.cast
    async with (
        running_node(database_url) as (node, address),
        dashboard(api, address, cast.bob),
    ):
        await until_online(api, cast.bob)
        node.kill()
        created = await api.create(cast.alice, (await cast.start_session()).id)
    assert created["reach"] == {"online": 1, "email": 2, "unreachable": False}

    await make_due(cast.database, cast.account_id)
    await make_outbox(cast.database, smtp).send_batch()

    told = await api.deliveries(created["handoff"]["id"])
    assert told == [
        (0, "Adam", "EMAIL", "SENT", None),
        (0, "Bob", "EMAIL", "SENT", None),
        (0, "Bob", "PUSH", "FAILED", None),
        (0, "Olivia", "EMAIL", "SENT", None),
    ]


@on_postgresql
async def test_who_has_a_dashboard_on_another_node_too_stays_online(api: Api, database_url: str) -> None:
    bob = api.cast.bob
    async with (
        running_node(database_url) as (dying, dying_address),
        running_server(database_url, api.cast) as other,
        dashboard(api, dying_address, bob),
    ):
        await until_connected(api.cast.database, 1)
        its_id = await nodes_with_people(api.cast.database)
        async with other.dashboard(bob) as socket:
            await socket.subscribe(ESCALATIONS)
            await until_connected(api.cast.database, 2)

            dying.kill()
            await age_beats(api.cast.database, its_id)

            assert await is_online(api, bob)
            assert await reach_of_new(api) == {"online": 1, "email": 2, "unreachable": False}
        await until_connected(api.cast.database, 1)
        assert not await is_online(api, bob)


async def test_of_two_dashboards_one_is_closed_and_its_person_stays_online(live: Live) -> None:
    bob = live.cast.bob
    async with live.dashboard(bob) as one:
        await one.subscribe(ESCALATIONS)
        async with live.dashboard(bob) as two:
            await two.subscribe(ESCALATIONS)
            await until_connected(live.node.database, 2)

        await until_connected(live.node.database, 1)
        assert await is_online(live, bob)

    await until_connected(live.node.database, 0)
    assert not await is_online(live, bob)


@on_postgresql
@pytest.mark.long
async def test_a_node_that_slept_until_it_was_forgotten_wakes_with_its_people(
    api: Api, database_url: str
) -> None:
    bob = api.cast.bob
    async with (
        running_node(database_url) as (node, address),
        dashboard(api, address, bob),
    ):
        await until_online(api, bob)
        node.pause()
        for node_id in await nodes_with_people(api.cast.database):
            async with api.cast.database.system() as tx:
                await system.forget_node(tx, node_id)
        assert not await is_online(api, bob)

        node.resume()

        await until_online(api, bob, within=2 * PATIENCE)


@asynccontextmanager
async def running_node(database_url: str) -> AsyncIterator[tuple[HandoffProcess, str]]:
    """Run a node in a process of its own."""
    node, address = make_node(database_url)
    with closing(node):
        await start(node)
        yield node, address


@asynccontextmanager
async def dashboard(api: Api, address: str, user: UserRow) -> AsyncIterator[Socket]:
    """Let a user follow the escalations at a node."""
    async with open_socket(f"ws://{address}/graphql") as socket:
        await socket.init(api.token(user))
        await socket.subscribe(ESCALATIONS)
        yield socket


async def nodes_with_people(database: Database) -> set[UUID]:
    """Return the nodes that somebody seems connected to."""
    async with database.system_reading() as tx:
        return set((await tx.connection.execute(select(connections.c.node_id))).scalars())


async def age_beats(database: Database, node_ids: set[UUID]) -> None:
    """Let the time pass after which the last beat of nodes is too old."""
    too_old = utc_now() - STALE_AFTER - timedelta(seconds=1)
    async with database.system() as tx:
        await tx.execute(update(nodes).where(nodes.c.id.in_(node_ids)).values(heartbeat_at=too_old))


async def reach_of_new(api: Api) -> Any:  # noqa: ANN401 (whatever the field holds)
    """Escalate a session of Alice's and return whom that reached."""
    return (await api.create(api.cast.alice, (await api.cast.start_session()).id))["reach"]


async def is_online(api: Api, user: UserRow) -> bool:
    """Ask this node whether a user is online."""
    return bool((await api.ask(user, "{ me { online } }")).only()["online"])


async def until_online(api: Api, user: UserRow, *, within: float = PATIENCE) -> None:
    """Wait until a user is online."""
    await eventually(lambda: is_online(api, user), within=within)


async def until_connected(database: Database, count: int) -> None:
    """Wait until that many dashboards are known."""

    async def are_known() -> bool:
        async with database.system_reading() as tx:
            return len((await tx.connection.execute(select(connections.c.id))).all()) == count

    await eventually(are_known)
