"""Years of escalations of an account, made by the database itself, set by set.

The rows hold what the service would have left behind: each session is escalated once, one of twenty a
second time after it was claimed; most are claimed and resolved, some released and claimed again, some
reminded of. Three mails and two pushes tell of each. Rows of all kinds lie in the order of time, as they do
where they are written as it passes.
"""

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy.engine import make_url

from db.session import Database

PEOPLE = 60
TEAMS = 8
_STATEMENTS = (Path(__file__).parent / "history.sql").read_text(encoding="utf-8").split(";\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How much to make."""

    account_id: UUID
    sessions: int
    days: int  #: back from the present


async def make(database: Database, history: History) -> None:
    """Store a history. Foreign keys are not checked while it is made: that would take most of the time."""
    given = {
        ":account": f"'{history.account_id}'::uuid",
        ":sessions": str(history.sessions),
        ":days": str(history.days),
        ":people": str(PEOPLE),
        ":teams": str(TEAMS),
    }
    async with database.owning() as tx:
        for statement in _STATEMENTS:
            whole = reduce(lambda text, pair: text.replace(*pair), given.items(), statement)
            if whole.strip():
                await tx.connection.exec_driver_sql(whole)


async def settle(url: str) -> None:
    """Do what autovacuum does within minutes: without it no index can be read by itself."""
    connection = await asyncpg.connect(
        make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def new_history(*, sessions: int, days: int) -> History:
    """Return a history of an account of its own."""
    return History(account_id=uuid4(), sessions=sessions, days=days)
