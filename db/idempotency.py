"""Idempotency keys: a retried request finds what the first one made."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, not_, select
from sqlalchemy.dialects import postgresql, sqlite

from db.models import idempotency_keys
from db.session import Transaction, columns_of

#: How long a key is remembered.
REMEMBERED_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key that a user has used."""

    fingerprint: str  #: of the whole input
    handoff_id: UUID


async def find(tx: Transaction, user_id: UUID, key: str, *, now: datetime) -> KeyRow | None:
    """Return what the user made with the key in the last 24 hours; a key older than that is forgotten."""
    own = (tx.own(idempotency_keys), idempotency_keys.c.user_id == user_id, idempotency_keys.c.key == key)
    recent = idempotency_keys.c.created_at > now - REMEMBERED_FOR
    statement = select(*columns_of(KeyRow, idempotency_keys)).where(*own, recent)
    row = await tx.fetch_one(statement, KeyRow)
    if row is None:
        # Only the old one: another request may have committed a new one since the statement above.
        await tx.execute(delete(idempotency_keys).where(*own, not_(recent)))
    return row


async def remember(tx: Transaction, user_id: UUID, key: str, made: KeyRow, *, at: datetime) -> bool:
    """Store a key with what was made; False where another request uses the key at this moment."""
    insert = postgresql.insert if tx.is_postgresql else sqlite.insert
    statement = insert(idempotency_keys).values(
        account_id=tx.account_id,
        user_id=user_id,
        key=key,
        fingerprint=made.fingerprint,
        handoff_id=made.handoff_id,
        created_at=at,
    )
    return await tx.execute(statement.on_conflict_do_nothing()) == 1
