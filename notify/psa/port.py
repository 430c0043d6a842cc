"""What a ticketing system is to the rest of the service: three methods."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from uuid import UUID

from notify.psa.faults import PsaRefused, TicketRefused

A = TypeVar("A")
_NOT_FOUND = 404


class Connector(Protocol):
    """Puts internal notes into the tickets of one PSA."""

    async def find_note(self, ticket: str, marker: str) -> str | None:
        """Return the id of the ticket's note that holds the marker, None where there surely is none.

        Raises:
            NoteVisible: there is one, and a customer may be able to read it.
            PsaFault: it cannot be told whether there is one.
        """

    async def add_note(self, ticket: str, text: str) -> str:
        """Put an internal note into a ticket, and return its id once it is known to be internal.

        Raises:
            NoteVisible: it is in the ticket, and a customer may be able to read it.
            PsaAmbiguous: it may be in the ticket.
            PsaFault: it is not.
        """

    async def check(self) -> str:
        """Try the credentials, and that notes can be made internal; return what was found, for an admin.

        Raises:
            PsaFault: notes cannot be put into tickets this way.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a connector needs to know of its PSA."""

    connection_id: UUID
    base_url: str  #: without a slash at its end
    config: Mapping[str, str]  #: what is no secret, by name; each provider has its own
    credentials: Mapping[str, str] = field(repr=False)  #: by name; each provider has its own
    #: What was found out and lasts: a zone, a token. Kept by the worker from one turn to the next.
    memory: dict[str, str] = field(default_factory=dict, repr=False)


def ticket_number(ticket: str) -> int:
    """Return a ticket's id as the number that all three systems take.

    Raises:
        TicketRefused: it is no number.
    """
    if not (ticket.isascii() and ticket.isdigit() and len(ticket) <= 18):
        raise TicketRefused(
            "The ticket's id is no number. Give the id of the ticket, not the number that customers see."
        )
    return int(ticket)


async def of_ticket(request: Awaitable[A]) -> A:
    """Make a request whose address, or document, names a ticket: that nothing is found there is its fault.

    Raises:
        TicketRefused: there is no such ticket.
    """
    try:
        return await request
    except PsaRefused as fault:
        if fault.code != _NOT_FOUND:
            raise
        raise TicketRefused(fault.text, code=fault.code) from None
