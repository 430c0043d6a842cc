"""The root fields that read who is in an account, and in which teams."""

from typing import Annotated

import strawberry

from db import teams, users
from schema.connections import Connection, connect, read_page
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
        database, account_id = info.context.services.database, info.context.account_id

        async def count() -> int:
            async with database.reading(account_id) as tx:
                return await users.count(tx, active=active)

        async with database.reading(account_id) as tx:
            rows = await users.page(tx, page, active=active)
        return connect(rows, page, node=User.from_row, key=named, count=count)

    @strawberry.field(description="The teams of your account by name.", extensions=signed_in())
    async def teams(self, info: Info, first: First = 20, after: After = None) -> Connection[Team]:
        """Read a page of teams."""
        page = read_page(first, after, NAME_KEY)
        database, account_id = info.context.services.database, info.context.account_id

        async def count() -> int:
            async with database.reading(account_id) as tx:
                return await teams.count(tx)

        async with database.reading(account_id) as tx:
            rows = await teams.page(tx, page)
        return connect(rows, page, node=Team.from_row, key=named, count=count)
