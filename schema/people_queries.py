"""The root fields that read who is in an account, and in which teams."""

from functools import partial
from typing import Annotated

import strawberry

from db import teams, users
from schema.connections import Connection, read_connection, read_page
from schema.context import Info
from schema.permissions import signed_in
from schema.types.node import NAME_KEY, After, First, named
from schema.types.people import Team, User


@strawberry.type
class PeopleQueries:
    """Users and teams."""

    @strawberry.field(
        description="The people of your account by name; deleted ones are not shown.", extensions=signed_in()
    )
    async def users(
        self,
        info: Info,
        active: Annotated[
            bool | None,
            strawberry.argument(description="Only those who are active, or only who are not; null for both."),
        ] = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[User]:
        """Read a page of users."""
        page = read_page(first, after, NAME_KEY)
        return await read_connection(
            info.context,
            page,
            rows=partial(users.page, active=active),
            count=partial(users.count, active=active),
            node=User.from_row,
            key=named,
        )

    @strawberry.field(description="The teams of your account by name.", extensions=signed_in())
    async def teams(self, info: Info, first: First = 20, after: After = None) -> Connection[Team]:
        """Read a page of teams."""
        page = read_page(first, after, NAME_KEY)
        return await read_connection(
            info.context, page, rows=teams.page, count=teams.count, node=Team.from_row, key=named
        )
