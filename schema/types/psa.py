"""Connections to ticketing systems, without their credentials."""

from __future__ import annotations

from datetime import datetime

import strawberry

from db.enums import PsaProvider, PsaStatus
from db.psa_connections import PsaConnectionRow
from schema.ids import show_id


@strawberry.type(description="What else a connection takes, by name. Never a credential.")
class PsaSetting:
    """A setting of a connection."""

    name: str = strawberry.field(description="Its name, as the input that set it has it.")
    value: str = strawberry.field(description="Its value.")


@strawberry.type(
    description="An account's way to its ticketing system. Its credentials are encrypted, and cannot be read."
)
class PsaConnection:
    """A connection. Not a `Node`: anyone of the account may ask for those, and this is for admins."""

    id: strawberry.ID = strawberry.field(description="The stored UUID.")
    provider: PsaProvider = strawberry.field(description="Which ticketing system.")
    name: str = strawberry.field(description="What admins call it.")
    server: str = strawberry.field(description="Where it is reached.")
    settings: list[PsaSetting] = strawberry.field(
        description="What else it takes, in the order of the names."
    )
    status: PsaStatus = strawberry.field(description="What is known of it.")
    last_error: str | None = strawberry.field(
        description="What was wrong with the last test or note; null if nothing was."
    )
    checked_at: datetime | None = strawberry.field(
        description="When it was last tested or used; null if it was not."
    )
    paused: bool = strawberry.field(description="Whether nothing is sent: what is to be sent waits.")
    automatic: bool = strawberry.field(description="Whether each escalation gets a note.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def from_row(cls, row: PsaConnectionRow) -> PsaConnection:
        """Show a stored connection."""
        return cls(
            id=show_id(row.id),
            provider=row.provider,
            name=row.name,
            server=row.base_url,
            settings=[PsaSetting(name=_camel(name), value=row.config[name]) for name in sorted(row.config)],
            status=row.status,
            last_error=row.last_error,
            checked_at=row.checked_at,
            paused=row.paused,
            automatic=row.automatic,
            created_at=row.created_at,
        )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
