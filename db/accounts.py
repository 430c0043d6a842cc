"""Accounts."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select

from db.errors import unique
from db.models import account_counters, accounts
from db.session import Transaction, columns_of


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A tenant."""

    id: UUID
    name: str


async def create(tx: Transaction, name: str, *, at: datetime) -> None:
    """Store the account whose id the transaction carries, with its event counter at 0.

    Raises:
        Taken: the name is.
    """
    with unique():
        await tx.execute(insert(accounts).values(id=tx.account_id, name=name, created_at=at))
    await tx.execute(insert(account_counters).values(account_id=tx.account_id, event_sequence=0))


async def by_id(tx: Transaction) -> AccountRow:
    """Return the transaction's account."""
    statement = select(*columns_of(AccountRow, accounts)).where(accounts.c.id == tx.account_id)
    row = await tx.fetch_one(statement, AccountRow)
    if row is None:
        raise LookupError("the transaction names an account that does not exist")
    return row
