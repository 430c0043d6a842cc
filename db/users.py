"""The people of an account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, insert, or_, select, update

from db.at_once import Lock
from db.enums import RESPONDER_ROLES, Role
from db.errors import unique
from db.models import users
from db.pages import Page, SortKey
from db.prepared import Ask, fetch, listed, own
from db.session import Transaction, columns_of, new_id

BY_NAME = SortKey([users.c.name, users.c.id])


@dataclass(frozen=True, slots=True)
class UserRow:
    """A person of an account."""

    id: UUID
    account_id: UUID
    email: str  #: lower case, unique over all accounts
    name: str
    role: Role
    active: bool
    deleted_at: datetime | None
    mute_push: bool  #: no pushes; the mail goes at once instead
    mute_email: bool  #: no mails, pushes only
    quiet_reminders: bool  #: no mails that remind
    tokens_not_before: datetime | None  #: tokens issued earlier are refused; None: none is

    @property
    def may_sign_in(self) -> bool:
        """Whether the person may use the service at all."""
        return self.active and self.deleted_at is None

    @property
    def is_responder(self) -> bool:
        """Whether the person may create and claim handoffs, and is told of escalations."""
        return self.may_sign_in and self.role in RESPONDER_ROLES


async def add(tx: Transaction, *, email: str, name: str, role: Role, at: datetime) -> UUID:
    """Store a user and return the id.

    Raises:
        Taken: the address is, in whatever account.
    """
    user_id = new_id()
    values = {"id": user_id, "email": email, "name": name, "role": role, "created_at": at}
    with unique():
        await tx.execute(insert(users).values(account_id=tx.account_id, **values))
    return user_id


async def sign_out(tx: Transaction, user_id: UUID, *, at: datetime) -> None:
    """Refuse every token of the user that was issued before this instant."""
    await change(tx, user_id, {"tokens_not_before": at})


async def lock(tx: Transaction, user_id: UUID) -> UserRow:
    """Return a user who exists, as other transactions left them, and hold them until this one ends.

    Rows that refer to them may be written meanwhile.
    """
    statement = _select(tx.own(users), users.c.id == user_id).with_for_update(key_share=True)
    row = await tx.fetch_one(statement, UserRow)
    assert row is not None  # noqa: S101 (users are never removed)
    return row


async def lock_with_owners(tx: Transaction, user_ids: Sequence[UUID]) -> dict[UUID, UserRow]:
    """Return the users of this account among the ids and all its owners, held like `lock` does.

    They are locked in the order of their ids: of two owners who remove each other, one comes second.
    """
    wanted = or_(users.c.id.in_(user_ids), users.c.role == Role.OWNER)
    statement = _select(tx.own(users), wanted).order_by(users.c.id).with_for_update(key_share=True)
    return {row.id: row for row in await tx.fetch_all(statement, UserRow)}


async def hold(tx: Transaction, user_id: UUID) -> None:
    """Keep a user from being changed until the transaction ends; others may hold them as well.

    What is read after this is as the last change left it. It comes before the lock of a session: whoever
    changes a user locks the sessions of their claims after that.
    """
    await tx.lock(_HOLD, user_id)


async def change(tx: Transaction, user_id: UUID, values: dict[str, Any]) -> None:
    """Set columns of a user of this account.

    Raises:
        Taken: the address is, in whatever account.
    """
    with unique():
        await tx.execute(update(users).where(tx.own(users), users.c.id == user_id).values(values))


async def in_account(tx: Transaction) -> list[UserRow]:
    """Return the account's users who are not deleted, by address."""
    statement = _select(tx.own(users), users.c.deleted_at.is_(None)).order_by(users.c.email)
    return await tx.fetch_all(statement, UserRow)


async def page(tx: Transaction, page: Page, *, active: bool | None) -> list[UserRow]:
    """Return up to `page.limit` users who are not deleted. The sort key is (name, id)."""
    return await tx.fetch_all(BY_NAME.page_of(_select(*_listed(tx, active)), page), UserRow)


async def count(tx: Transaction, *, active: bool | None) -> int:
    """Count the users whom `page` walks through."""
    return int(await tx.fetch_value(select(func.count()).where(*_listed(tx, active))))


async def by_ids(tx: Transaction, user_ids: Sequence[UUID]) -> dict[UUID, UserRow]:
    """Return the users of this account among the ids, deleted ones too: history names them."""
    rows = await fetch(tx, Ask(_BY_IDS, UserRow, {"ids": user_ids}))
    return {row.id: row for row in rows}


async def by_email(tx: Transaction, email: str) -> UserRow | None:
    """Return the user of this account with this address, also a deleted one."""
    return await tx.fetch_one(_select(tx.own(users), users.c.email == email), UserRow)


async def responders(tx: Transaction) -> list[UserRow]:
    """Return everyone who may be told of an escalation of this account."""
    return await fetch(tx, ask_responders())


def ask_responders() -> Ask[UserRow]:
    """Ask for everyone who may be told of an escalation of this account."""
    return Ask(_RESPONDERS, UserRow, {})


def is_responder() -> ColumnElement[bool]:
    """Return the condition that a user is a responder, as `UserRow.is_responder` tells."""
    return and_(users.c.active, users.c.deleted_at.is_(None), users.c.role.in_(RESPONDER_ROLES))


def _listed(tx: Transaction, active: bool | None) -> list[ColumnElement[bool]]:
    conditions = [tx.own(users), users.c.deleted_at.is_(None)]
    return conditions if active is None else [*conditions, users.c.active == active]


def _select(*conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    return select(*columns_of(UserRow, users)).where(*conditions)


_HOLD = Lock("hold_user", "SELECT FROM users WHERE account_id = $1 AND id = $2 FOR SHARE")
_BY_IDS = _select(own(users), listed(users.c.id))
_RESPONDERS = _select(own(users), is_responder())
