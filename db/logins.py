"""The one-time links that sign people in. Of each only a hash is kept: `db/models/identity.py` says why."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from db.models import login_links, users
from db.session import Transaction


async def lock_latest(tx: Transaction, user_id: UUID) -> datetime | None:
    """Let nobody else make a link for the user meanwhile; return when the last one was made."""
    await tx.execute(
        select(users.c.id).where(tx.own(users), users.c.id == user_id).with_for_update(key_share=True)
    )
    latest = select(func.max(login_links.c.created_at)).where(
        tx.own(login_links), login_links.c.user_id == user_id
    )
    found: datetime | None = await tx.fetch_value(latest)
    return found


async def add(
    tx: Transaction, user_id: UUID, secret_hash: str, *, at: datetime, expires_at: datetime
) -> None:
    """Store a link, and forget those of the user that have expired."""
    await tx.execute(
        delete(login_links).where(
            tx.own(login_links), login_links.c.user_id == user_id, login_links.c.expires_at <= at
        )
    )
    values = {"user_id": user_id, "secret_hash": secret_hash, "created_at": at, "expires_at": expires_at}
    await tx.execute(insert(login_links).values(account_id=tx.account_id, **values))


async def use(tx: Transaction, secret_hash: str, *, at: datetime) -> UUID | None:
    """Use a link up; return whose it is, None where it was used before or has expired."""
    statement = (
        update(login_links)
        .where(tx.own(login_links), login_links.c.secret_hash == secret_hash)
        .where(login_links.c.used_at.is_(None), login_links.c.expires_at > at)
        .values(used_at=at)
        .returning(login_links.c.user_id)
    )
    user_id: UUID | None = await tx.fetch_value(statement)
    return user_id


async def forget(tx: Transaction, user_id: UUID) -> None:
    """Forget every link of the user."""
    await tx.execute(delete(login_links).where(tx.own(login_links), login_links.c.user_id == user_id))
