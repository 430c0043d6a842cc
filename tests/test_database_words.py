"""What is told of a fault of the database: the driver's words, and no value that was to be stored."""

import pytest
from sqlalchemy import text

from db.errors import DATABASE_FAULTS, words_of
from db.session import Database
from tests.full_disk import full_disk


async def _words(database: Database, *statements: str) -> str:
    """Run statements of which the last one fails."""

    async def run() -> None:
        async with database.owning() as tx:
            for statement in statements:
                await tx.connection.execute(text(statement))

    with pytest.raises(DATABASE_FAULTS) as fault:
        await run()
    return words_of(fault.value)


async def test_a_table_that_is_missing_is_named(database: Database, engine: str) -> None:
    words = await _words(database, "SELECT * FROM absent")

    assert (
        words
        == {
            "sqlite": "OperationalError: no such table: absent",
            "postgresql": 'UndefinedTableError: relation "absent" does not exist',
        }[engine]
    )


async def test_a_value_that_is_taken_is_not_told(database: Database, engine: str) -> None:
    insert = "INSERT INTO kept VALUES ('hunter2')"

    words = await _words(database, "CREATE TABLE kept (value text PRIMARY KEY)", insert, insert)

    assert words == {"sqlite": "IntegrityError", "postgresql": "UniqueViolationError"}[engine]


@pytest.mark.parametrize("engine", ["postgresql"])
async def test_a_value_that_does_not_fit_is_not_told(database: Database) -> None:
    words = await _words(database, "SELECT CAST('hunter2' || now() AS uuid)")

    assert words == "InvalidTextRepresentationError"


@pytest.mark.parametrize("engine", ["postgresql"])
async def test_a_role_that_is_missing_is_named(database: Database) -> None:
    words = await _words(database, "SET ROLE absent")

    assert words == 'InvalidParameterValueError: role "absent" does not exist'


def test_a_disk_that_is_full_is_told() -> None:
    assert words_of(full_disk()) == "OperationalError: database or disk is full"
