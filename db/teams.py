"""The teams of an account, and who is in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.errors import unique
from db.models import team_members, teams, users
from db.pages import Page, SortKey
from db.session import Transaction, columns_of, new_id
from db.users import BY_NAME as USERS_BY_NAME
from db.users import UserRow

_BY_NAME = SortKey([teams.c.name, teams.c.id])


@dataclass(frozen=True, slots=True)
class TeamRow:
    """A group of users inside an account."""

    id: UUID
    name: str


async def add(tx: Transaction, name: str) -> TeamRow:
    """Store a team.

    Raises:
        Taken: the account has a team of this name.
    """
    team = TeamRow(new_id(), name)
    with unique():
        await tx.execute(insert(teams).values(account_id=tx.account_id, id=team.id, name=name))
    return team


async def rename(tx: Transaction, team_id: UUID, name: str) -> None:
    """Give a team of this account another name.

    Raises:
        Taken: the account has a team of this name.
    """
    with unique():
        await tx.execute(update(teams).where(tx.own(teams), teams.c.id == team_id).values(name=name))


async def join(tx: Transaction, team_id: UUID, user_id: UUID) -> bool:
    """Make a user a member of a team; False where they were."""
    insert_new = postgresql.insert if tx.is_postgresql else sqlite.insert
    statement = insert_new(team_members).values(account_id=tx.account_id, team_id=team_id, user_id=user_id)
    return await tx.execute(statement.on_conflict_do_nothing()) == 1


async def part(tx: Transaction, team_id: UUID, user_id: UUID) -> bool:
    """Take a user out of a team; False where they were no member."""
    member = and_(team_members.c.team_id == team_id, team_members.c.user_id == user_id)
    return await tx.execute(delete(team_members).where(tx.own(team_members), member)) == 1


async def lock(tx: Transaction, team_id: UUID) -> TeamRow | None:
    """Return a team of this account, held until the transaction ends; rows may refer to it meanwhile."""
    statement = _select(tx).where(teams.c.id == team_id).with_for_update(key_share=True)
    return await tx.fetch_one(statement, TeamRow)


async def by_ids(tx: Transaction, team_ids: Sequence[UUID]) -> dict[UUID, TeamRow]:
    """Return the teams of this account among the ids."""
    return {row.id: row for row in await tx.fetch_all(_select(tx).where(teams.c.id.in_(team_ids)), TeamRow)}


async def by_name(tx: Transaction, name: str) -> TeamRow | None:
    """Return the account's team with this name."""
    return await tx.fetch_one(_select(tx).where(teams.c.name == name), TeamRow)


async def page(tx: Transaction, page: Page) -> list[TeamRow]:
    """Return up to `page.limit` teams of the account. The sort key is (name, id)."""
    return await tx.fetch_all(_BY_NAME.page_of(_select(tx), page), TeamRow)


async def all_of_account(tx: Transaction) -> list[TeamRow]:
    """Return every team of the account, by name."""
    return await tx.fetch_all(_select(tx).order_by(*_BY_NAME.order()), TeamRow)


async def count(tx: Transaction) -> int:
    """Count the account's teams."""
    return int(await tx.fetch_value(select(func.count()).where(tx.own(teams))))


async def members_of(tx: Transaction, team_ids: Sequence[UUID], page: Page) -> dict[UUID, list[UserRow]]:
    """Return up to `page.limit` members of each team who are not deleted. The sort key is (name, id)."""
    place = func.row_number().over(partition_by=team_members.c.team_id, order_by=USERS_BY_NAME.order())
    columns = [team_members.c.team_id, *columns_of(UserRow, users), place.label("place")]
    read = _members(tx, select(*columns), team_ids)
    if page.after is not None:
        read = read.where(USERS_BY_NAME.is_after(page.after))
    rows = read.subquery()
    shown = select(*(column for column in rows.c if column.key != "place"))
    found: dict[UUID, list[UserRow]] = {team_id: [] for team_id in team_ids}
    statement = shown.where(rows.c.place <= page.limit).order_by(rows.c.place)
    for team_id, *user in await tx.connection.execute(statement):
        found[team_id].append(UserRow(*user))
    return found


async def count_members(tx: Transaction, team_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many members each team has who are not deleted."""
    statement = _members(tx, select(team_members.c.team_id, func.count()), team_ids)
    found = await tx.connection.execute(statement.group_by(team_members.c.team_id))
    counts: dict[UUID, int] = {row[0]: row[1] for row in found}
    return dict.fromkeys(team_ids, 0) | counts


def _members(tx: Transaction, read: Select[Any], team_ids: Sequence[UUID]) -> Select[Any]:
    same = and_(users.c.account_id == team_members.c.account_id, users.c.id == team_members.c.user_id)
    joined = read.select_from(team_members.join(users, same))
    return joined.where(
        tx.own(team_members), team_members.c.team_id.in_(team_ids), users.c.deleted_at.is_(None)
    )


def _select(tx: Transaction) -> Select[tuple[object, ...]]:
    return select(*columns_of(TeamRow, teams)).where(tx.own(teams))
