"""API keys, without what they are kept secret for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

from db.api_keys import ApiKeyRow
from db.enums import ApiKeyScope
from schema.context import Info
from schema.ids import show_id
from schema.types.people import User, load_optional_user, load_user


@strawberry.type(
    description="A machine's way to sign in as a user. Its token is shown when it is made, once."
)
class ApiKey:
    """An API key. Not a `Node`: anyone of the account may ask for those, and this is for admins."""

    id: strawberry.ID = strawberry.field(description="The stored UUID; it stands in the token as well.")
    name: str = strawberry.field(description="What it is for.")
    scope: ApiKeyScope = strawberry.field(description="What it may be used for, at most.")
    created_at: datetime = strawberry.field(description="When it was made.")
    last_used_at: datetime | None = strawberry.field(
        description="When it was last used, to the minute; null if it was not."
    )
    revoked_at: datetime | None = strawberry.field(
        description="When it was revoked; null if it was not. It is refused from then on."
    )
    user_id: strawberry.Private[UUID]
    created_by_id: strawberry.Private[UUID | None]

    @strawberry.field(description="Whom it signs in. It can do no more than this user.")
    async def user(self, info: Info) -> User:
        """Load the user."""
        return await load_user(info, self.user_id)

    @strawberry.field(
        description=(
            "Who made it, and may know its token: look at these keys when somebody leaves. Null for the "
            "command line, and for a key made through a node of an older version during an upgrade."
        )
    )
    async def created_by(self, info: Info) -> User | None:
        """Load its maker."""
        return await load_optional_user(info, self.created_by_id)

    @classmethod
    def from_row(cls, row: ApiKeyRow) -> ApiKey:
        """Show a stored key."""
        return cls(
            id=show_id(row.id),
            name=row.name,
            scope=row.scope,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            revoked_at=row.revoked_at,
            user_id=row.user_id,
            created_by_id=row.created_by_id,
        )
