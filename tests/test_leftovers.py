"""What nobody needs any more is forgotten by a worker, some at a time, and nothing else."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select, text, update

from db.leftovers import LEFTOVERS, forgetting
from db.models import briefings, idempotency_keys, login_links
from schema.context import utc_now
from server.worker import forget_leftovers
from tests.client import Api, running_api
from tests.plans import Explain
from tests.sockets import eventually

BRIEFING = "query ($id: ID!) { handoffBriefing(handoffId: $id) { text } }"
TABLES = (idempotency_keys, login_links, briefings)
DAY = timedelta(days=1)


async def leave_some(api: Api, number: int) -> None:
    """Leave some of everything."""
    cast = api.cast
    for n in range(number):
        made = await api.create(cast.alice, (await cast.start_session()).id, idempotencyKey=f"key {n}")
        assert (await api.ask(cast.bob, BRIEFING, id=made["handoff"]["id"])).only()["text"]
    for user in (cast.alice, cast.bob, cast.olivia, cast.adam)[:number]:
        assert (await api.http.post("/login", json={"email": user.email})).status_code == 202
    await eventually(lambda: has_rows(api, login_links, number))


async def has_rows(api: Api, table: Table, number: int) -> bool:
    """Tell whether a table has so many rows."""
    return len(await rows_of(api, table)) == number


async def rows_of(api: Api, table: Table) -> list[Any]:
    """Return the rows of a table."""
    async with api.cast.database.system_reading() as tx:
        return list((await tx.connection.execute(select(table))).all())


async def age(api: Api, table: Table, column: str, by: timedelta, *, but: int = 0) -> None:
    """Let rows be older, but for the last ones."""
    async with api.cast.database.system() as tx:
        key = next(column for column in table.primary_key.columns if column.name != "account_id")
        if table is idempotency_keys:
            key = table.c.key
        ids = sorted((await tx.connection.execute(select(key))).scalars(), key=str)
        for id_ in ids[: len(ids) - but]:
            await tx.execute(update(table).where(key == id_).values({column: utc_now() - by}))


async def test_what_is_old_is_forgotten_and_what_is_not_stays(api: Api) -> None:
    await leave_some(api, 3)
    await age(api, idempotency_keys, "created_at", DAY + timedelta(minutes=1), but=1)
    await age(api, login_links, "expires_at", DAY + timedelta(minutes=1), but=1)
    await age(api, briefings, "generated_at", 90 * DAY + timedelta(minutes=1), but=1)

    forgotten = await forget_leftovers(api.cast.database, limit=2)

    assert forgotten == 6
    assert [len(await rows_of(api, table)) for table in TABLES] == [1, 1, 1]
    assert await forget_leftovers(api.cast.database) == 0


async def test_nothing_is_forgotten_before_its_time(api: Api) -> None:
    await leave_some(api, 1)
    await age(api, idempotency_keys, "created_at", DAY - timedelta(minutes=1))
    await age(api, login_links, "expires_at", DAY - timedelta(minutes=1))
    await age(api, briefings, "generated_at", 90 * DAY - timedelta(minutes=1))

    assert await forget_leftovers(api.cast.database) == 0


async def test_a_briefing_that_was_forgotten_is_written_again(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    first = (await api.ask(cast.bob, BRIEFING, id=handoff_id)).only()
    await age(api, briefings, "generated_at", 91 * DAY)
    await forget_leftovers(cast.database)

    assert (await api.ask(cast.bob, BRIEFING, id=handoff_id)).only() == first
    assert len(await rows_of(api, briefings)) == 1


async def test_a_worker_forgets_by_itself(api: Api, database_url: str, tmp_path: Path) -> None:
    await leave_some(api, 1)
    await age(api, idempotency_keys, "created_at", 2 * DAY)

    async with running_api(database_url, api.cast, worker="on", mail_folder=tmp_path):
        await eventually(lambda: has_rows(api, idempotency_keys, 0))


@pytest.mark.parametrize("leftover", LEFTOVERS, ids=lambda leftover: leftover.table.name)
async def test_what_is_old_is_found_by_an_index(api: Api, engine: str, leftover: Any) -> None:  # noqa: ANN401
    async with api.cast.database.system() as tx:
        if engine == "postgresql":
            await tx.connection.execute(text("SET LOCAL enable_seqscan = off"))  # of an empty table
        steps = await tx.connection.execute(Explain(forgetting(leftover, now=utc_now(), limit=10)))
        plan = "\n".join(str(step[-1]) for step in steps)

    assert f"ix_{leftover.table.name}_{leftover.since.name}" in plan
    assert "SCAN" not in plan.replace("SCALAR", "") if engine == "sqlite" else "Seq Scan" not in plan
