"""Accounts and their teams."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select

from db.errors import unique
from db.models import account_counters, accounts, team_members, teams
from db.session import Transaction, columns_of, new_id


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A tenant."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class TeamRow:
    """A group of users inside an account."""

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


async def create_team(tx: Transaction, name: str) -> UUID:
    """Store a team and return its id.

    Raises:
        Taken: the account has a team of this name.
    """
    team_id = new_id()
    with unique():
        await tx.execute(insert(teams).values(account_id=tx.account_id, id=team_id, name=name))
    return team_id


async def join_team(tx: Transaction, team_id: UUID, user_id: UUID) -> None:
    """Make the user a member of the team."""
    await tx.execute(insert(team_members).values(account_id=tx.account_id, team_id=team_id, user_id=user_id))


async def teams_by_id(tx: Transaction, team_ids: Sequence[UUID]) -> dict[UUID, TeamRow]:
    """Return the teams of this account among the ids."""
    statement = select(*columns_of(TeamRow, teams)).where(tx.own(teams), teams.c.id.in_(team_ids))
    return {row.id: row for row in await tx.fetch_all(statement, TeamRow)}


async def team_by_name(tx: Transaction, name: str) -> TeamRow | None:
    """Return the account's team with this name."""
    statement = select(*columns_of(TeamRow, teams)).where(tx.own(teams), teams.c.name == name)
    return await tx.fetch_one(statement, TeamRow)
