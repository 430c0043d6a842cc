"""Mutations that were refused. They leave no event, since nothing happened; this tells who tried."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, delete, insert, select, text, tuple_

from db.models import audit_log, users
from db.session import SystemTransaction, new_id

_PAGE = 1_000
_KEEPER = "audit_log_refuse_delete"  # of SQLite, made by the migration 0004


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A mutation that was refused."""

    account_id: UUID | None  #: None: nobody was signed in
    user_id: UUID | None
    at: datetime
    address: str | None  #: the client's, as the server saw it
    operation: str  #: the mutation's name
    outcome: str  #: the code of the error, or the type of the refusal


async def add(tx: SystemTransaction, refused: Sequence[Refused]) -> None:
    """Store refusals, of any accounts, in one statement."""
    await tx.execute(insert(audit_log), [{"id": new_id(), **asdict(one)} for one in refused])


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """A refusal, and who it was."""

    id: UUID
    at: datetime
    operation: str
    outcome: str
    address: str | None
    user_id: UUID | None
    email: str | None  #: of the user, as it is now


async def of_account(
    tx: SystemTransaction, account_id: UUID | None, *, since: datetime | None
) -> AsyncGenerator[list[RefusalRow], None]:
    """Yield the refusals of an account, None for those of nobody signed in; oldest first, by pages."""
    is_user = and_(users.c.account_id == audit_log.c.account_id, users.c.id == audit_log.c.user_id)
    read = (
        select(*(audit_log.c[name] for name in ("id", "at", "operation", "outcome", "address", "user_id")))
        .add_columns(users.c.email)
        .select_from(audit_log.outerjoin(users, is_user))
        .where(audit_log.c.account_id.is_not_distinct_from(account_id))
        .order_by(audit_log.c.at, audit_log.c.id)
        .limit(_PAGE)
    )
    if since is not None:
        read = read.where(audit_log.c.at >= since)
    page = await tx.fetch_all(read, RefusalRow)
    while page:
        yield page
        after = tuple_(audit_log.c.at, audit_log.c.id) > tuple_(page[-1].at, page[-1].id)
        page = await tx.fetch_all(read.where(after), RefusalRow) if len(page) == _PAGE else []


async def prune(tx: SystemTransaction, *, before: datetime) -> int:
    """Delete the refusals of all accounts before an instant; return how many.

    Only the owner of the tables may. SQLite knows none: the trigger that refuses it is taken away, and put
    back in the same transaction.
    """
    trigger = None
    if not tx.is_postgresql:
        trigger = await tx.fetch_value(
            select(text("sql FROM sqlite_master WHERE name = :name")).params(name=_KEEPER)
        )
        await tx.connection.execute(text(f"DROP TRIGGER {_KEEPER}"))
    deleted = await tx.execute(delete(audit_log).where(audit_log.c.at < before))
    if trigger is not None:
        await tx.connection.execute(text(trigger))
    return deleted
