"""Claims that are held, several at once: those of one person, or of the account.

Whoever changes several handoffs locks them in the order of their ids: no two then wait for each other.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, literal_column, select, update

from db.enums import HandoffState
from db.handoffs import HandoffRow, reopened
from db.models import handoffs, sessions
from db.session import Transaction, columns_of
from db.sessions import SessionRow

#: With literals, and twice: so both engines find the few by the partial index of what is not finished.
_IS_HELD = and_(
    handoffs.c.state == literal_column(f"'{HandoffState.CLAIMED.value}'"),
    handoffs.c.state != literal_column(f"'{HandoffState.CLOSED.value}'"),
)


async def lock_sessions(tx: Transaction, holder_id: UUID) -> dict[UUID, SessionRow]:
    """Return the sessions of all that somebody has claimed, held like `sessions.lock` does.

    The caller has locked the holder: nothing is added meanwhile.
    """
    claimed = select(handoffs.c.session_id).where(tx.own(handoffs), _IS_HELD, _is_of(holder_id))
    columns = columns_of(SessionRow, sessions)
    statement = select(*columns).where(tx.own(sessions), sessions.c.id.in_(claimed))
    locked = statement.order_by(sessions.c.id).with_for_update()
    return {row.id: row for row in await tx.fetch_all(locked, SessionRow)}


async def release_all(
    tx: Transaction, holder_id: UUID, *, at: datetime, next_reminder_at: datetime | None
) -> list[HandoffRow]:
    """Put all that somebody has claimed back into the queue; the caller has locked the sessions."""
    await _lock(tx, _is_of(holder_id))
    statement = update(handoffs).where(tx.own(handoffs), _IS_HELD, _is_of(holder_id))
    moved = statement.values(reopened(at, next_reminder_at)).returning(*columns_of(HandoffRow, handoffs))
    return sorted(await tx.fetch_all(moved, HandoffRow), key=lambda row: row.id)


async def reschedule(tx: Transaction, *, expires_at: datetime | None) -> None:
    """Set when every claim of the account expires, as if its holder worked on it now; None: they last."""
    await _lock(tx)
    await tx.execute(update(handoffs).where(tx.own(handoffs), _IS_HELD).values(claim_expires_at=expires_at))


async def _lock(tx: Transaction, *conditions: ColumnElement[bool]) -> None:
    if tx.is_postgresql:
        found = select(handoffs.c.id).where(tx.own(handoffs), _IS_HELD, *conditions)
        await tx.execute(found.order_by(handoffs.c.id).with_for_update())


def _is_of(holder_id: UUID) -> ColumnElement[bool]:
    return handoffs.c.claimed_by_id == holder_id
