"""Bring a database to the newest tables, and tell whether it is there."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from db.errors import is_lock_refused
from db.session import SystemTransaction

#: Any number that nothing else in the database locks: two nodes that start together migrate once.
_MIGRATION_LOCK = 4_845_220_071
#: How long a migration waits for a table. Whoever asks for that table meanwhile waits behind the migration.
_LOCK_SECONDS = 5


class TableInUse(Exception):  # noqa: N818 (an outcome, not a fault)
    """Somebody held a table for longer than a migration waits; nothing was changed."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


@cache
def _revisions() -> list[str]:
    """Return the names of all migrations, the last one first. Read once: each is a module to execute."""
    migrations = ScriptDirectory.from_config(_config()).walk_revisions()
    return [migration.revision for migration in migrations]


def newest_revision() -> str:
    """Return the name of the last migration."""
    return _revisions()[0]


async def current_revision(tx: SystemTransaction) -> str | None:
    """Return the migration that the database stands at, None for an empty database."""
    return await tx.connection.run_sync(
        lambda connection: MigrationContext.configure(connection).get_current_revision()
    )


def is_known(revision: str) -> bool:
    """Tell whether a migration is one of this package; else a newer package made the database."""
    return revision in _revisions()


def is_enough(revision: str | None) -> bool:
    """Tell whether a database that stands there can serve this package: it is as new, or newer.

    A newer one has all that this package needs, because migrations keep yesterday's code running.
    """
    return revision is not None and (revision == newest_revision() or not is_known(revision))


async def upgrade(tx: SystemTransaction) -> None:
    """Apply every migration that is missing, all or none. A newer database is left as it is.

    Raises:
        TableInUse: a table of a database that is used is held by others, as by a dump or a long report.
    """
    if tx.is_postgresql:
        await tx.connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    current = await current_revision(tx)
    if is_enough(current):
        return
    if tx.is_postgresql and current is not None:
        await tx.connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
    try:
        await _run(tx, lambda config: command.upgrade(config, "head"))
    except DBAPIError as error:
        if is_lock_refused(error):
            raise TableInUse from error
        raise


async def downgrade(tx: SystemTransaction, revision: str) -> None:
    """Take back every migration after `revision`; "base" takes back all. Data in the tables is lost."""
    await _run(tx, lambda config: command.downgrade(config, revision))


async def _run(tx: SystemTransaction, what: Callable[[Config], None]) -> None:
    config = _config()

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        what(config)

    await tx.connection.run_sync(run)
