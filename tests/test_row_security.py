"""PostgreSQL shows each account its own rows, below every statement; what happened is never changed."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError

from db.models import accounts, metadata, sessions, teams
from db.session import Database, SystemTransaction, new_id
from tests.cast import Cast

ROLES = {"handoff_app", "handoff_worker"}
#: The column that names the account, by table.
ACCOUNT_COLUMNS = {table.name: "account_id" for table in metadata.sorted_tables if "account_id" in table.c}
ACCOUNT_COLUMNS["accounts"] = "id"
#: Tables in which each account of the cast has rows.
FILLED = {"accounts", "users", "teams", "sessions", "handoffs", "events", "api_keys", "account_counters"}
#: What PostgreSQL knows of the tables, the policies and the roles.
TABLES = """
SELECT relname, relrowsecurity FROM pg_class
 WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
"""
POLICIES = """
SELECT tablename, policyname, roles::text[], permissive, cmd, qual, with_check FROM pg_policies
"""
OWN = "({} = ( SELECT (NULLIF(current_setting('app.account_id'::text, true), ''::text))::uuid AS \"nullif\"))"
POWERS = """
SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles
 WHERE rolname LIKE 'handoff%'
"""
RIGHTS = """
SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee LIKE 'handoff%'
"""
NEVER = "events are never changed"
CHANGES = [
    "UPDATE events SET summary = 'nothing happened'",
    "UPDATE events SET sequence = sequence + 1000",
    "DELETE FROM events",
]
CHANGES_OF_AN_ENGINE = {
    "postgresql": ["TRUNCATE events", "TRUNCATE events CASCADE"],
    "sqlite": ["REPLACE INTO events SELECT * FROM events", "UPDATE OR REPLACE events SET sequence = 1"],
}

on_postgresql = pytest.mark.parametrize("engine", ["postgresql"])


@pytest.fixture
async def filled(cast: Cast) -> Cast:
    """The cast, with one of each in both accounts."""
    await cast.one_of_each(cast.alice)
    await cast.one_of_each(cast.charlie)
    return cast


@on_postgresql
async def test_a_statement_without_a_where_sees_the_rows_of_its_account_alone(filled: Cast) -> None:
    for account_id in (filled.account_id, filled.other_account_id):
        async with filled.database.reading(account_id) as tx:
            seen = {table: await _accounts_in(tx, table) for table in ACCOUNT_COLUMNS}

        assert {table for table, found in seen.items() if found} >= FILLED
        assert [found for found in seen.values() if found not in ([], [account_id])] == []


@on_postgresql
async def test_a_transaction_that_names_no_account_sees_nothing(filled: Cast) -> None:
    async with filled.database._writer.engine.begin() as connection:
        nobody = SystemTransaction(connection)
        seen = {table: await _accounts_in(nobody, table) for table in ACCOUNT_COLUMNS}

    assert [table for table, found in seen.items() if found] == []


@on_postgresql
async def test_what_crosses_accounts_sees_the_rows_of_all(filled: Cast) -> None:
    async with filled.database.system_reading() as tx:
        seen = {table: await _accounts_in(tx, table) for table in FILLED}

    both = sorted([filled.account_id, filled.other_account_id])
    assert seen == dict.fromkeys(FILLED, both)


@on_postgresql
async def test_a_row_cannot_be_added_to_another_account(filled: Cast) -> None:
    row = {"account_id": filled.other_account_id, "id": new_id(), "name": "Ours"}

    with pytest.raises(DBAPIError, match='violates row-level security policy for table "teams"'):
        async with filled.database.transaction(filled.account_id) as tx:
            await tx.execute(insert(teams).values(**row))


@on_postgresql
async def test_a_row_cannot_be_moved_to_another_account(filled: Cast) -> None:
    with pytest.raises(DBAPIError, match='violates row-level security policy for table "sessions"'):
        async with filled.database.transaction(filled.account_id) as tx:
            await tx.execute(update(sessions).values(account_id=filled.other_account_id))


@on_postgresql
async def test_an_update_without_a_where_touches_the_rows_of_its_account_alone(filled: Cast) -> None:
    async with filled.database.transaction(filled.account_id) as tx:
        touched = await tx.execute(update(accounts).values(name="Ours"))
        await tx.execute(update(sessions).values(problem_summary="Ours"))

    async with filled.database.reading(filled.other_account_id) as tx:
        name = await tx.fetch_value(select(accounts.c.name))
        summaries = (await tx.connection.execute(select(sessions.c.problem_summary))).scalars().all()
    assert (touched, name, summaries) == (1, "Fabrikam", ["One of each"])


@on_postgresql
async def test_every_table_that_names_an_account_is_protected(database: Database) -> None:
    """A law: it holds for the tables that are still to come."""
    async with database.owning() as tx:
        tables = {name: is_protected for name, is_protected in await _rows(tx, TABLES)}  # noqa: C416
        policies = {(table, name): rule for table, name, *rule in await _rows(tx, POLICIES)}

    assert {name for name, is_protected in tables.items() if is_protected} == set(ACCOUNT_COLUMNS)
    assert {name for name, is_protected in tables.items() if not is_protected} == {"nodes", "alembic_version"}
    assert set(policies) == {(table, role) for table in ACCOUNT_COLUMNS for role in ROLES}
    for (table, role), rule in policies.items():
        condition = OWN.format(ACCOUNT_COLUMNS[table]) if role == "handoff_app" else "true"
        assert rule == [[role], "PERMISSIVE", "ALL", condition, condition], table


@on_postgresql
async def test_the_roles_may_do_no_more_than_they_need(database: Database) -> None:
    async with database.owning() as tx:
        powers = {role: any(powers) for role, *powers in await _rows(tx, POWERS)}
        rights: dict[str, set[str]] = {}
        for table, right in await _rows(tx, RIGHTS):
            rights.setdefault(table, set()).add(right)

    expected = {table: {"SELECT", "INSERT", "UPDATE", "DELETE"} for table in [*ACCOUNT_COLUMNS, "nodes"]}
    expected |= {table: {"SELECT", "INSERT"} for table in ("events", "audit_log")}
    assert powers == dict.fromkeys(ROLES, False)
    assert rights == expected | {"alembic_version": {"SELECT"}}


@on_postgresql
async def test_a_pooled_connection_keeps_its_role_and_forgets_its_account(filled: Cast) -> None:
    database = filled.database
    async with database.transaction(filled.account_id) as tx:
        first = await _state(tx)
    with pytest.raises(DBAPIError, match="division by zero"):
        async with database.transaction(filled.account_id) as tx:
            await tx.fetch_value(text("SELECT 1 / 0"))
    async with database._writer.engine.begin() as connection:
        nobody = await _state(SystemTransaction(connection))
    async with database.transaction(filled.other_account_id) as tx:
        other = await _state(tx)
    async with database.system() as system:
        worker = await _state(system)

    backend = first[0]
    assert first == (backend, "handoff_app", str(filled.account_id))
    assert nobody == (backend, "handoff_app", "")
    assert other == (backend, "handoff_app", str(filled.other_account_id))
    assert worker[1:] in {("handoff_worker", None), ("handoff_worker", "")}
    assert worker[0] != backend


@on_postgresql
async def test_transactions_of_two_accounts_side_by_side_never_mix(filled: Cast) -> None:
    seen: list[tuple[UUID, list[UUID]]] = []

    async def look(account_id: UUID) -> None:
        for _ in range(10):
            async with filled.database.transaction(account_id) as tx:
                for _ in range(2):
                    await asyncio.sleep(0)
                    seen.append((account_id, await _accounts_in(tx, "users")))

    await asyncio.gather(
        *(look(account_id) for account_id in [filled.account_id, filled.other_account_id] * 5)
    )

    assert len(seen) == 200
    assert [found for account_id, found in seen if found != [account_id]] == []


@on_postgresql
async def test_a_transaction_inside_one_of_another_account_is_its_own(filled: Cast) -> None:
    async with filled.database.reading(filled.account_id) as outer:
        async with filled.database.reading(filled.other_account_id) as inner:
            within = await _accounts_in(inner, "users")
        around = await _accounts_in(outer, "users")

    assert (around, within) == ([filled.account_id], [filled.other_account_id])


@on_postgresql
async def test_the_account_costs_no_message_of_its_own(filled: Cast) -> None:
    sent: list[str] = []
    async with filled.database.transaction(filled.account_id) as tx:
        driver = (await tx.connection.get_raw_connection()).driver_connection
        assert driver is not None
        with driver.query_logger(lambda record: sent.append(record.query)):
            await tx.fetch_value(select(accounts.c.name))

    (begin,) = sent  # what is prepared is not logged
    assert begin.startswith("BEGIN")
    assert begin.endswith(f";SET LOCAL app.account_id = '{filled.account_id}'")


@on_postgresql
async def test_a_reader_s_connection_is_bound_anew_only_for_another_account(filled: Cast) -> None:
    async def bound_for(account_id: UUID) -> list[str]:
        sent: list[str] = []
        async with filled.database.reading(account_id) as tx:
            driver = (await tx.connection.get_raw_connection()).driver_connection
            assert driver is not None
            with driver.query_logger(lambda record: sent.append(record.query)):
                await driver.bind(filled.other_account_id)
                found = await _accounts_in(tx, "users")
        assert found == [filled.other_account_id]
        return [query for query in sent if query.startswith("SET ")]

    assert await bound_for(filled.account_id) == [f"SET app.account_id = '{filled.other_account_id}'"]
    assert await bound_for(filled.other_account_id) == []


async def test_an_event_is_changed_by_nobody_not_even_by_the_owner_of_the_tables(
    filled: Cast, engine: str
) -> None:
    before = (await filled.all_rows())["events"]
    database = filled.database

    for change in [*CHANGES, *CHANGES_OF_AN_ENGINE[engine]]:
        with pytest.raises(DBAPIError, match=NEVER):
            async with database.owning() as owner:
                await owner.connection.execute(text(change))
        refused = "permission denied for table events" if engine == "postgresql" else NEVER
        for begin in (database.system, lambda: database.transaction(filled.account_id)):
            with pytest.raises(DBAPIError, match=refused):
                async with begin() as tx:
                    await tx.connection.execute(text(change))

    assert before != []
    assert (await filled.all_rows())["events"] == before


async def _rows(tx: SystemTransaction, statement: str) -> list[Any]:
    return list(await tx.connection.execute(text(statement)))


async def _accounts_in(tx: SystemTransaction, table: str) -> list[UUID]:
    """Return the accounts of the rows that a statement without a WHERE sees, each once."""
    column = metadata.tables[table].c[ACCOUNT_COLUMNS[table]]
    found = (await tx.connection.execute(select(column))).scalars()
    return sorted({account_id for account_id in found if account_id is not None})


async def _state(tx: SystemTransaction) -> tuple[int, str, str | None]:
    """Return the server's process, the role, and the account of a transaction."""
    row = await tx.connection.execute(
        text("SELECT pg_backend_pid(), current_user::text, current_setting('app.account_id', true)")
    )
    backend, role, account_id = row.one()
    return backend, role, account_id
