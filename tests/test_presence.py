"""Who has a dashboard open is known on every node, and a node that dies takes its people with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from db import presence, system
from db.models import connections, nodes
from db.presence import STALE_AFTER
from db.session import Database, SystemTransaction, new_id
from notify.outage import Outage
from notify.presence import Presence
from tests.cast import Cast
from tests.clock import Clock
from tests.feeds import NEVER, rename_table, said
from tests.full_disk import full_disk
from tests.sockets import eventually

QUICKLY = 0.02  #: seconds between two beats


@dataclass
class Machine:
    """A node's presence, and what the database says of it."""

    presence: Presence
    node_id: UUID
    database: Database
    clock: Clock

    async def online(self, cast: Cast, team_id: UUID | None = None) -> set[UUID]:
        """Return who is online for an escalation of the team, on any node."""
        async with self.database.reading(cast.account_id) as tx:
            return await presence.online_for(tx, team_id, now=self.clock.now)


@asynccontextmanager
async def running(
    database: Database, clock: Clock | None = None, *, beat_seconds: float = NEVER
) -> AsyncIterator[Machine]:
    """Run the presence of a node; it beats when it starts."""
    clock, node_id = clock or Clock(), new_id()
    machine = Presence(database, node_id, "test", clock, Outage(), beat_seconds=beat_seconds)
    await machine.start()
    try:
        yield Machine(machine, node_id, database, clock)
    finally:
        await machine.stop()


async def rows(database: Database) -> tuple[int, int]:
    """Count the nodes and the connections that the database knows of."""
    async with database.system_reading() as tx:
        return (
            len((await tx.connection.execute(select(nodes))).all()),
            len((await tx.connection.execute(select(connections))).all()),
        )


async def test_a_responder_is_online_while_connected_and_no_longer(database: Database, cast: Cast) -> None:
    async with running(database) as node:
        assert await node.online(cast) == set()

        async with node.presence.connected(cast.account_id, cast.bob.id, None):
            assert await node.online(cast) == {cast.bob.id}

        assert await node.online(cast) == set()
        assert await rows(database) == (1, 0)


async def test_two_dashboards_count_once_until_the_last_is_closed(database: Database, cast: Cast) -> None:
    async with running(database) as node:
        async with node.presence.connected(cast.account_id, cast.bob.id, None):
            async with node.presence.connected(cast.account_id, cast.bob.id, None):
                assert await node.online(cast) == {cast.bob.id}

            assert await node.online(cast) == {cast.bob.id}

        assert await node.online(cast) == set()


async def test_who_follows_a_team_is_online_for_that_team_alone(database: Database, cast: Cast) -> None:
    async with (
        running(database) as node,
        node.presence.connected(cast.account_id, cast.bob.id, cast.team_id),
        node.presence.connected(cast.account_id, cast.adam.id, None),
    ):
        assert await node.online(cast, cast.team_id) == {cast.bob.id, cast.adam.id}
        assert await node.online(cast, new_id()) == {cast.adam.id}
        assert await node.online(cast, None) == {cast.adam.id}


async def test_the_people_of_another_account_are_not_online_here(database: Database, cast: Cast) -> None:
    async with (
        running(database) as node,
        node.presence.connected(cast.other_account_id, cast.charlie.id, None),
    ):
        assert await node.online(cast) == set()
        async with database.reading(cast.other_account_id) as tx:
            assert await presence.online_for(tx, None, now=node.clock.now) == {cast.charlie.id}
            assert await presence.online_among(tx, [cast.bob.id], now=node.clock.now) == set()


async def test_whoever_is_connected_to_another_node_is_online_too(database: Database, cast: Cast) -> None:
    async with running(database) as here, running(database) as there:
        async with there.presence.connected(cast.account_id, cast.bob.id, None):
            assert await here.online(cast) == {cast.bob.id}

        assert await here.online(cast) == set()


async def test_the_people_of_a_node_that_fell_silent_are_offline(database: Database, cast: Cast) -> None:
    async with (
        running(database) as node,
        node.presence.connected(cast.account_id, cast.bob.id, None),
    ):
        node.clock.move(STALE_AFTER - timedelta(seconds=1))
        assert await node.online(cast) == {cast.bob.id}

        node.clock.move(timedelta(seconds=1))
        assert await node.online(cast) == set()


async def test_the_people_of_a_node_that_beats_stay_online(database: Database, cast: Cast) -> None:
    async with (
        running(database, beat_seconds=QUICKLY) as node,
        node.presence.connected(cast.account_id, cast.bob.id, None),
    ):

        async def is_online() -> bool:
            return await node.online(cast) == {cast.bob.id}

        for _ in range(3):
            node.clock.move(STALE_AFTER + timedelta(seconds=1))
            await eventually(is_online)


async def test_a_node_that_stops_is_forgotten_with_all_who_seemed_connected(
    database: Database, cast: Cast
) -> None:
    async with (
        running(database) as node,
        node.presence.connected(cast.account_id, cast.bob.id, None),
    ):
        await node.presence.stop()

        assert await rows(database) == (0, 0)
        assert await node.online(cast) == set()


async def test_a_dead_node_is_swept_away_by_the_beat_of_another(database: Database, cast: Cast) -> None:
    clock = Clock()
    dead = Presence(database, new_id(), "dead", clock, Outage(), beat_seconds=NEVER)
    await dead.start()
    async with dead.connected(cast.account_id, cast.bob.id, None):
        clock.move(10 * STALE_AFTER)
        async with running(database, clock):
            assert await rows(database) == (2, 1)

        clock.move(timedelta(seconds=1))
        async with running(database, clock):
            assert await rows(database) == (1, 0)
    await dead.stop()


async def test_a_node_that_was_swept_away_comes_back_with_its_people(database: Database, cast: Cast) -> None:
    async with (
        running(database, beat_seconds=QUICKLY) as node,
        node.presence.connected(cast.account_id, cast.bob.id, None),
    ):
        async with database.owning() as tx:
            await system.forget_node(tx, node.node_id)

        async def is_online() -> bool:
            return await node.online(cast) == {cast.bob.id}

        await eventually(is_online)
    assert await rows(database) == (0, 0)


async def test_a_node_that_starts_without_a_database_is_known_as_soon_as_there_is_one(
    database: Database, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    await rename_table(database, "nodes", "nodes_away")
    async with running(database, beat_seconds=QUICKLY) as node:
        assert await said(caplog, "node could not beat")()
        await rename_table(database, "nodes_away", "nodes")

        async def is_known() -> bool:
            return await rows(database) == (1, 0)

        await eventually(is_known)
        async with node.presence.connected(cast.account_id, cast.bob.id, None):
            assert await node.online(cast) == {cast.bob.id}


async def test_a_dashboard_that_comes_with_the_database_is_let_in_without_waiting_for_a_beat(
    database: Database, cast: Cast
) -> None:
    await rename_table(database, "nodes", "nodes_away")
    async with running(database) as node:
        await rename_table(database, "nodes_away", "nodes")

        async with node.presence.connected(cast.account_id, cast.bob.id, None):
            assert await node.online(cast) == {cast.bob.id}


class FullDatabase(Database):
    """One that has room for nothing more, as long as the test says so."""

    is_full = True

    @asynccontextmanager
    async def system(self) -> AsyncIterator[SystemTransaction]:
        """Open a writing transaction, in vain."""
        async with super().system() as tx:
            yield tx
            if self.is_full:
                raise full_disk()


async def test_a_full_disk_is_logged_and_begins_no_outage_for_those_who_read(
    database_url: str, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    database = FullDatabase(database_url)
    async with running(database, beat_seconds=QUICKLY) as node:
        assert await said(caplog, "node could not beat")()
        assert not node.presence._outage.is_on
        assert await node.presence._outage.outlast(partial(store_if_there_is_room, database)) == "stored"
    assert "subscriptions go on" not in caplog.messages
    await database.dispose()


async def store_if_there_is_room(database: FullDatabase) -> str:
    """Store something; there is room when it is tried again."""
    is_full, database.is_full = database.is_full, False
    if is_full:
        raise DBAPIError("INSERT", None, asyncpg.DiskFullError("No space left on device"))
    return "stored"


async def test_who_leaves_while_the_database_is_away_is_forgotten_at_a_later_beat(
    database: Database, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(database, beat_seconds=QUICKLY) as node:
        async with node.presence.connected(cast.account_id, cast.bob.id, None):
            await rename_table(database, "connections", "connections_away")
        assert await said(caplog, "connection could not be forgotten; trying again at the next beat")()
        await rename_table(database, "connections_away", "connections")

        async def is_forgotten() -> bool:
            return await rows(database) == (1, 0)

        await eventually(is_forgotten)


async def test_stopping_without_a_database_raises_nothing(
    database: Database, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(database):
        await rename_table(database, "nodes", "nodes_away")

    assert await said(caplog, "node could not be forgotten; others will, when it stays silent")()


async def test_whoever_is_cut_off_at_whatever_moment_leaves_no_trace(database: Database, cast: Cast) -> None:
    async with running(database, beat_seconds=QUICKLY) as node:

        async def stay() -> None:
            async with node.presence.connected(cast.account_id, cast.bob.id, None):
                await asyncio.Event().wait()

        for turns in range(60):
            dashboard = asyncio.create_task(stay())
            for _ in range(turns):
                await asyncio.sleep(0)
            dashboard.cancel()
            await asyncio.gather(dashboard, return_exceptions=True)

        async def is_forgotten() -> bool:
            return await rows(database) == (1, 0)

        await eventually(is_forgotten)
