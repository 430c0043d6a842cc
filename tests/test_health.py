"""/healthz says that the process lives, /readyz whether it can do its work and what keeps it from it."""

import asyncio
from contextlib import aclosing

import pytest
from sqlalchemy import text

from db import migrate
from tests.cast import Cast
from tests.client import Api, running_api
from tests.patience import PATIENCE
from tests.servers.processes import free_port
from tests.servers.valkey import ValkeyServer

READY = {"database": "ok", "migrations": "ok", "broadcast": "ok"}


async def test_a_node_that_can_do_its_work_is_alive_and_ready(api: Api) -> None:
    alive = await api.http.get("/healthz")
    ready = await api.http.get("/readyz")

    assert (alive.status_code, alive.text) == (200, "ok\n")
    assert (ready.status_code, ready.json()) == (200, READY)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_database_that_is_away_is_named_and_the_process_still_lives(cast: Cast) -> None:
    away = f"postgresql://postgres:hunter2@127.0.0.1:{free_port()}/handoff"
    async with running_api(away, cast) as api:
        ready = await api.http.get("/readyz")
        alive = await api.http.get("/healthz")

    assert ready.status_code == 503
    assert ready.json() == READY | {"database": "not reachable", "migrations": "unknown"}
    assert (alive.status_code, alive.text) == (200, "ok\n")


async def test_a_database_without_the_tables_is_told_to_be_migrated(api: Api) -> None:
    async with api.node.database.owning() as tx:
        await migrate.downgrade(tx, "base")

    behind = await api.http.get("/readyz")

    newest = migrate.newest_revision()
    assert behind.status_code == 503
    assert behind.json() == READY | {"migrations": f"at none, not at {newest}: run handoff migrate"}


async def test_a_node_is_ready_as_soon_as_the_database_is_migrated(api: Api) -> None:
    async with api.node.database.owning() as tx:
        await migrate.downgrade(tx, "base")
    async with api.node.database.owning() as tx:
        await migrate.upgrade(tx)

    ready = await api.http.get("/readyz")

    assert (ready.status_code, ready.json()) == (200, READY)


async def test_a_node_stays_ready_when_a_newer_version_has_migrated_the_database(api: Api) -> None:
    async with api.node.database.owning() as tx:
        await tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    ready = await api.http.get("/readyz")

    assert (ready.status_code, ready.json()) == (200, READY)


async def test_a_broadcaster_that_is_away_is_named(database_url: str, cast: Cast) -> None:
    away = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    async with running_api(database_url, cast, broadcast_url=away) as api:
        ready = await api.http.get("/readyz")

    assert ready.status_code == 503
    assert ready.json() == READY | {"broadcast": "not connected"}


async def test_a_node_is_ready_when_it_hears_the_broadcaster(database_url: str, cast: Cast) -> None:
    with ValkeyServer() as valkey:
        async with running_api(database_url, cast, broadcast_url=valkey.url) as api:
            await _hear_itself(api)
            ready = await api.http.get("/readyz")

    assert (ready.status_code, ready.json()) == (200, READY)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_nobody_has_to_sign_in_to_ask_for_health(api: Api, path: str) -> None:
    response = await api.http.get(path)

    assert "authorization" not in response.request.headers
    assert response.status_code == 200


async def _hear_itself(api: Api) -> None:
    """Wait until an announcement has gone through the broadcaster and back."""
    wakeups, account_id = api.node.wakeups, api.cast.account_id
    wakeups.announce(account_id, 1)
    async with asyncio.timeout(PATIENCE), aclosing(wakeups.listen()) as heard:
        async for wakeup in heard:
            if wakeup.account_id == account_id:
                return
