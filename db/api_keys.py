"""The API keys of an account. Their secrets are not here: `db/models/identity.py` says what is."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, insert, select, update

from db.enums import ApiKeyScope
from db.models import api_keys
from db.pages import Page, SortKey
from db.session import Transaction, columns_of

_NEWEST = SortKey((api_keys.c.created_at, api_keys.c.id), descending=True)


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """A key that signs a machine in as a user."""

    account_id: UUID
    id: UUID
    user_id: UUID  #: whose rights it has
    name: str  #: what it is for
    scope: ApiKeyScope
    created_at: datetime
    last_used_at: datetime | None  #: to the minute; None: never
    revoked_at: datetime | None  #: refused from then on
    created_by_id: UUID | None  #: who made it, and may know its token; None: the command line


async def add(tx: Transaction, row: ApiKeyRow, secret_hash: str) -> None:
    """Store a key."""
    await tx.execute(insert(api_keys).values(**asdict(row), secret_hash=secret_hash))


async def revoke(tx: Transaction, key_id: UUID, *, at: datetime) -> bool:
    """Refuse the key from now on; return False where it was refused before, or is not of this account."""
    statement = (
        update(api_keys)
        .where(tx.own(api_keys), api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=at)
    )
    return await tx.execute(statement) == 1


async def lock_valid_of(tx: Transaction, user_id: UUID) -> list[ApiKeyRow]:
    """Return the keys of a user that are not revoked, held until the transaction ends.

    They are locked in the order of their ids, as whoever records uses of several does.
    """
    of_user = _select(tx).where(api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
    return await tx.fetch_all(of_user.order_by(api_keys.c.id).with_for_update(key_share=True), ApiKeyRow)


async def by_ids(tx: Transaction, key_ids: Sequence[UUID]) -> dict[UUID, ApiKeyRow]:
    """Return the keys of this account among the ids, revoked ones too."""
    rows = await tx.fetch_all(_select(tx).where(api_keys.c.id.in_(key_ids)), ApiKeyRow)
    return {row.id: row for row in rows}


async def page(tx: Transaction, page: Page) -> list[ApiKeyRow]:
    """Return a page of the account's keys, newest first, and one more row if there is a next page."""
    return await tx.fetch_all(_NEWEST.page_of(_select(tx), page), ApiKeyRow)


async def count(tx: Transaction) -> int:
    """Count the account's keys."""
    found: int = await tx.fetch_value(select(func.count()).where(tx.own(api_keys)))
    return found


async def all_of_account(tx: Transaction) -> list[ApiKeyRow]:
    """Return every key of the account, oldest first."""
    return await tx.fetch_all(_select(tx).order_by(api_keys.c.created_at, api_keys.c.id), ApiKeyRow)


def _select(tx: Transaction) -> Select[tuple[object, ...]]:
    return select(*columns_of(ApiKeyRow, api_keys)).where(tx.own(api_keys))
