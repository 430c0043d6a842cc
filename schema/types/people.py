"""Accounts, teams and users."""

from __future__ import annotations

from uuid import UUID

import strawberry

from db.accounts import AccountRow
from db.enums import Role
from db.teams import TeamRow
from db.users import UserRow
from schema.connections import Connection, connect, read_page
from schema.context import Info
from schema.ids import show_id
from schema.types.node import NAME_KEY, After, FirstOrDefault, Node, named, present


@strawberry.type(description="The tenant. Nothing ever crosses from one account to another.")
class Account(Node):
    """An account."""

    name: str = strawberry.field(description="The account's name.")

    @classmethod
    def from_row(cls, row: AccountRow) -> Account:
        """Show a stored account."""
        return cls(id=show_id(row.id), name=row.name)


@strawberry.type(description="A person of the account.")
class User(Node):
    """A user."""

    name: str = strawberry.field(description="The person's name.")
    email: str = strawberry.field(description="The address that mails go to, in lower case.")
    role: Role = strawberry.field(description="What the person may do.")
    active: bool = strawberry.field(
        description="False once deactivated or deleted: cannot sign in, is told nothing."
    )
    key: strawberry.Private[UUID]

    @strawberry.field(
        description="Whether they hold an `escalationCreated` subscription now, on any node. Never viewers."
    )
    async def online(self, info: Info) -> bool:
        """Ask for the presence."""
        return bool(await info.context.loaders.online.load(self.key))

    @classmethod
    def from_row(cls, row: UserRow) -> User:
        """Show a stored user."""
        shown = {"name": row.name, "email": row.email, "role": row.role, "active": row.may_sign_in}
        return cls(id=show_id(row.id), key=row.id, **shown)  # type: ignore[arg-type]  # one dict, several types


@strawberry.type(description="A group of users inside an account; a session may belong to one.")
class Team(Node):
    """A team."""

    name: str = strawberry.field(description="The team's name, unique in the account.")
    key: strawberry.Private[UUID]

    @strawberry.field(description="Who is in it, by name; deleted users are not shown.")
    async def members(self, info: Info, first: FirstOrDefault = 20, after: After = None) -> Connection[User]:
        """Read a page of members."""
        page = read_page(20 if first is None else first, after, NAME_KEY)
        team_id = self.key

        async def count() -> int:
            return present(await info.context.loaders.member_counts.load(team_id))

        rows = present(await info.context.loaders.members_of.load((team_id, page)))
        return connect(rows, page, node=User.from_row, key=named, count=count)

    @classmethod
    def from_row(cls, row: TeamRow) -> Team:
        """Show a stored team."""
        return cls(id=show_id(row.id), key=row.id, name=row.name)


async def load_user(info: Info, user_id: UUID) -> User:
    """Load a user who exists."""
    return User.from_row(present(await info.context.loaders.users.load(user_id)))


async def load_optional_user(info: Info, user_id: UUID | None) -> User | None:
    """Load a user, None for none."""
    return None if user_id is None else await load_user(info, user_id)
