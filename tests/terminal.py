"""A terminal: runs commands of the command line in this process, and tells what they printed."""

import asyncio

from click.testing import CliRunner, Result

from db import migrate, system
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


async def _take_tables_away(url: str) -> None:
    database = Database(url)
    async with database.system() as tx:
        await migrate.downgrade(tx, "base")
    await database.dispose()
