"""Briefings that were written, each kept until what it was written from has changed."""

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from db.models import briefings
from db.session import Transaction, columns_of


@dataclass(frozen=True, slots=True)
class BriefingRow:
    """The briefing of one handoff."""

    version: str  #: a digest of what it was written from
    text: str
    generated_by: str
    generated_at: datetime


async def find(tx: Transaction, handoff_id: UUID) -> BriefingRow | None:
    """Return the briefing that was written last; None where there is none."""
    statement = select(*columns_of(BriefingRow, briefings)).where(
        tx.own(briefings), briefings.c.handoff_id == handoff_id
    )
    return await tx.fetch_one(statement, BriefingRow)


async def store(tx: Transaction, handoff_id: UUID, row: BriefingRow) -> None:
    """Keep a briefing, in place of the one before."""
    insert = postgresql.insert if tx.is_postgresql else sqlite.insert
    statement = insert(briefings).values(account_id=tx.account_id, handoff_id=handoff_id, **asdict(row))
    await tx.execute(
        statement.on_conflict_do_update(index_elements=["account_id", "handoff_id"], set_=asdict(row))
    )
