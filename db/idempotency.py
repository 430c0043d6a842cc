"""Idempotency keys: a retried request finds what the first one made."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Insert, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from db.models import handoffs, idempotency_keys
from db.prepared import ACCOUNT, Ask, fetch, own, value
from db.session import Transaction, columns_of
from db.steps import Moved, Step, inserting

#: How long a key is remembered.
REMEMBERED_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key that a user has used."""

    fingerprint: str  #: of the whole input
    handoff_id: UUID | None  #: that was made with it
    session_id: UUID | None  #: or the one that was started, or got messages
    created_at: datetime

    def is_forgotten(self, now: datetime) -> bool:
        """Tell whether the key is that old that it may be used anew."""
        return self.created_at <= now - REMEMBERED_FOR


async def use(
    tx: Transaction, user_id: UUID, key: str, fingerprint: str, session_id: UUID, *, at: datetime
) -> KeyRow | None:
    """Store a key with a session; return what it was used for in the last 24 hours, where it was.

    Where another request uses the key at this moment, this waits until that one ends: of two, one is the
    first. The session may be stored after its key, in the same transaction.
    """
    used = {"fingerprint": fingerprint, "handoff_id": None, "session_id": session_id, "created_at": at}
    insert = postgresql.insert if tx.is_postgresql else sqlite.insert
    statement = insert(idempotency_keys).values(account_id=tx.account_id, user_id=user_id, key=key, **used)
    is_old = idempotency_keys.c.created_at <= at - REMEMBERED_FOR
    stored = await tx.execute(
        statement.on_conflict_do_update(index_elements=_PRIMARY_KEY, set_=used, where=is_old)
    )
    return None if stored == 1 else (await fetch(tx, ask(user_id, key)))[0]


def ask(user_id: UUID, key: str) -> Ask[KeyRow]:
    """Ask what the user made with the key, however long ago."""
    return Ask(_KEY, KeyRow, {"key_user_id": user_id, "key": key})


async def forget(tx: Transaction, user_id: UUID, key: str, *, now: datetime) -> None:
    """Forget a key that is too old, and only that: another request may have committed a new one by now."""
    mine = (tx.own(idempotency_keys), idempotency_keys.c.user_id == user_id, idempotency_keys.c.key == key)
    is_old = idempotency_keys.c.created_at <= now - REMEMBERED_FOR
    await tx.execute(delete(idempotency_keys).where(*mine, is_old))


def remembering(user_id: UUID, key: str, fingerprint: str, *, at: datetime) -> Step:
    """Store a key with the handoff that is made.

    The move raises IntegrityError on `pk_idempotency_keys` where another request uses the key at this moment:
    it waits until that one ends.
    """
    values = {"key_user_id": user_id, "key": key, "fingerprint": fingerprint, "key_used_at": at}
    return Step(_remember, values)


def _remember(moved: Moved) -> Insert:
    columns = idempotency_keys.c
    return inserting(
        idempotency_keys,
        {
            "account_id": ACCOUNT,
            "user_id": value("key_user_id", columns.user_id),
            "key": value("key", columns.key),
            "fingerprint": value("fingerprint", columns.fingerprint),
            "handoff_id": moved(handoffs.c.id),
            "created_at": value("key_used_at", columns.created_at),
        },
    )


_PRIMARY_KEY = ["account_id", "user_id", "key"]
_KEY = select(*columns_of(KeyRow, idempotency_keys)).where(
    own(idempotency_keys),
    idempotency_keys.c.user_id == value("key_user_id", idempotency_keys.c.user_id),
    idempotency_keys.c.key == value("key", idempotency_keys.c.key),
)
