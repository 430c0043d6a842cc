"""Which sessions were imported, so that a second import passes them over."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select

from db.errors import unique
from db.models import imported_sessions
from db.session import Transaction


async def is_known(tx: Transaction, source: str) -> bool:
    """Tell whether a session was imported from this source."""
    statement = select(imported_sessions.c.session_id).where(
        tx.own(imported_sessions), imported_sessions.c.source == source
    )
    return await tx.fetch_value(statement) is not None


async def remember(tx: Transaction, source: str, session_id: UUID, *, at: datetime) -> None:
    """Store from what a session was imported.

    Raises:
        Taken: another import has done so at this moment. The transaction is lost.
    """
    values = {"source": source, "session_id": session_id, "imported_at": at}
    with unique():
        await tx.execute(insert(imported_sessions).values(account_id=tx.account_id, **values))
