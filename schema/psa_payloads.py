"""What the mutations about ticketing systems answer."""

import strawberry

from db.psa_connections import PsaConnectionRow
from schema.ids import show_id
from schema.types.psa import PsaConnection


@strawberry.type(description="The connection was made or changed.")
class PsaConnectionPayload:
    """Answer of the mutations that change a connection."""

    psa_connection: PsaConnection = strawberry.field(description="The connection as it is now.")

    @classmethod
    def from_row(cls, row: PsaConnectionRow) -> "PsaConnectionPayload":
        """Show a stored connection."""
        return cls(psa_connection=PsaConnection.from_row(row))


@strawberry.type(description="The connection was tried.")
class TestPsaConnectionPayload:
    """Answer of testPsaConnection."""

    psa_connection: PsaConnection = strawberry.field(description="The connection as it is now.")
    works: bool = strawberry.field(description="Whether notes can be put into tickets this way.")
    message: str = strawberry.field(description="What was found, or what is wrong.")


@strawberry.type(description="The connection is gone, and its credentials with it.")
class DeletePsaConnectionPayload:
    """Answer of deletePsaConnection."""

    deleted_id: strawberry.ID = strawberry.field(description="The id that it had.")

    @classmethod
    def from_row(cls, row: PsaConnectionRow) -> "DeletePsaConnectionPayload":
        """Name the connection that was stored."""
        return cls(deleted_id=show_id(row.id))
