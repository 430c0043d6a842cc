"""A terminal: runs commands of the command line in this process, and tells what they printed."""

import asyncio

from click.testing import CliRunner, Result
from sqlalchemy import inspect, select, text

from db import migrate, system
from db.models import team_members, teams, users
from db.session import Database
from db.users import UserRow
from server.cli import main

SECRET = "0123456789abcdef0123456789abcdef"


class Terminal:
    """Runs commands with the settings that it was given, besides those of the environment."""

    def __init__(self, **settings: str) -> None:
        self.env = {f"HANDOFF_{name.upper()}": value for name, value in settings.items()}

    def run(self, *arguments: str) -> Result:
        """Run a command."""
        return CliRunner(env=self.env).invoke(main, arguments, prog_name="handoff")

    def ask(self, *arguments: str) -> str:
        """Run a command that succeeds, silent on standard error, and return what it printed."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def refused(self, *arguments: str) -> str:
        """Run a command that is refused, silent on standard output, and return its one sentence."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert isinstance(result.exception, SystemExit)
        assert result.stderr.startswith("handoff: ")
        assert len(result.stderr.splitlines()) == 1
        return result.stderr.removeprefix("handoff: ").rstrip("\n")

    def find_user(self, email: str) -> UserRow:
        """Return the user with this address, as the database has it."""
        return asyncio.run(_find_user(self._database_url, email))

    def take_tables_away(self) -> None:
        """Leave the database as it was before its first migration."""
        asyncio.run(_take_tables_away(self._database_url))

    def have_in_the_way(self, table: str) -> None:
        """Leave the database as it was before its first migration, but for a table of somebody else's."""
        asyncio.run(_have_in_the_way(self._database_url, table))

    def tables(self) -> list[str]:
        """Return the names of all tables, in order."""
        return asyncio.run(_tables(self._database_url))

    def pretend_to_be_migrated_to(self, revision: str) -> None:
        """Leave the database as if a version with this migration had been there."""
        asyncio.run(_pretend_to_be_migrated_to(self._database_url, revision))

    def members_of(self, team: str) -> list[str]:
        """Return the addresses of a team's members, in order."""
        return asyncio.run(_members_of(self._database_url, team))

    @property
    def _database_url(self) -> str:
        return self.env["HANDOFF_DATABASE_URL"]


async def _find_user(url: str, email: str) -> UserRow:
    database = Database(url)
    async with database.system_reading() as tx:
        user = await system.find_user_by_email(tx, email)
    await database.dispose()
    assert user is not None
    return user


async def _pretend_to_be_migrated_to(url: str, revision: str) -> None:
    database = Database(url)
    async with database.owning() as tx:
        stand = text("UPDATE alembic_version SET version_num = :revision")
        await tx.connection.execute(stand, {"revision": revision})
    await database.dispose()


async def _members_of(url: str, team: str) -> list[str]:
    statement = (
        select(users.c.email)
        .join(team_members, team_members.c.user_id == users.c.id)
        .join(teams, teams.c.id == team_members.c.team_id)
        .where(teams.c.name == team)
        .order_by(users.c.email)
    )
    database = Database(url)
    async with database.system_reading() as tx:
        found = list((await tx.connection.execute(statement)).scalars())
    await database.dispose()
    return found


async def _have_in_the_way(url: str, table: str) -> None:
    await _take_tables_away(url)
    database = Database(url)
    async with database.owning() as tx:
        await tx.execute(text("DROP TABLE alembic_version"))
        await tx.execute(text(f"CREATE TABLE {table} (id integer)"))
    await database.dispose()


async def _tables(url: str) -> list[str]:
    database = Database(url)
    async with database.owning() as tx:
        names = await tx.connection.run_sync(lambda connection: inspect(connection).get_table_names())
    await database.dispose()
    return sorted(names)


async def _take_tables_away(url: str) -> None:
    database = Database(url)
    async with database.owning() as tx:
        await migrate.downgrade(tx, "base")
    await database.dispose()
