"""What happened to a handoff, in its order."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

from db.events import EventRow
from schema.context import Info
from schema.types.people import User, load_optional_user


@strawberry.type(description="Something that happened to a handoff.")
class TimelineEntry:
    """An entry of a timeline."""

    sequence: int = strawberry.field(
        description="The event's number in the account; entries come in its order."
    )
    at: datetime = strawberry.field(description="When.")
    kind: str = strawberry.field(description="What, as a word: HANDOFF_CREATED, HANDOFF_CLAIMED …")
    summary: str = strawberry.field(description="What, as a sentence without its subject.")
    actor_id: strawberry.Private[UUID | None]

    @strawberry.field(description="Who did it; null for the service itself.")
    async def actor(self, info: Info) -> User | None:
        """Load the actor."""
        return await load_optional_user(info, self.actor_id)

    @classmethod
    def from_row(cls, row: EventRow) -> TimelineEntry:
        """Show a stored event."""
        return cls(
            sequence=row.sequence, at=row.at, kind=row.kind.value, summary=row.summary, actor_id=row.actor_id
        )
