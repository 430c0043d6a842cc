"""The ticketing systems that an account is connected to. Their credentials are kept encrypted, and apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, literal, select, update

from db.enums import PsaProvider, PsaStatus
from db.errors import unique
from db.models import deliveries, psa_connections, sessions
from db.pages import Page, SortKey
from db.prepared import Ask, own, value
from db.session import Transaction, columns_of
from db.types import UtcDateTime

_NEWEST = SortKey((psa_connections.c.created_at, psa_connections.c.id), descending=True)


@dataclass(frozen=True, slots=True)
class PsaConnectionRow:
    """A connection, without its credentials."""

    account_id: UUID
    id: UUID
    provider: PsaProvider
    name: str
    base_url: str  #: https://…, without a slash at its end
    config: dict[str, str]  #: what else it takes and is no secret, by name; each provider has its own
    status: PsaStatus
    last_error: str | None  #: of the last test or note, in words
    checked_at: datetime | None  #: of the last test or note, whatever came of it
    paused: bool  #: nothing is sent; what is to be sent waits
    automatic: bool  #: each escalation gets a note
    created_at: datetime
    passed_at: datetime | None = None  #: of the first test or note that succeeded; None: no note is sent


@dataclass(frozen=True, slots=True)
class AutomaticConnection:
    """Where each escalation gets a note."""

    id: UUID
    has_passed: bool  #: a test, once


async def add(tx: Transaction, row: PsaConnectionRow, credentials: str) -> None:
    """Store a connection with its encrypted credentials.

    Raises:
        Taken: the account has another of this name.
    """
    values = {
        column.name: getattr(row, column.name) for column in columns_of(PsaConnectionRow, psa_connections)
    }
    with unique():
        await tx.execute(insert(psa_connections).values(credentials=credentials, **values))


async def by_ids(tx: Transaction, connection_ids: Sequence[UUID]) -> dict[UUID, PsaConnectionRow]:
    """Return the connections of this account among the ids."""
    rows = await tx.fetch_all(_select(tx).where(psa_connections.c.id.in_(connection_ids)), PsaConnectionRow)
    return {row.id: row for row in rows}


def ask_automatic(session_id: UUID) -> Ask[AutomaticConnection]:
    """Ask for the connection that a session's ticket is in, if each escalation gets a note there."""
    return Ask(
        _AUTOMATIC,
        lambda id_, passed_at: AutomaticConnection(id_, passed_at is not None),
        {"session_id": session_id},
    )


async def lock(tx: Transaction, connection_id: UUID) -> PsaConnectionRow | None:
    """Return a connection and hold it: nothing begins to refer to it until the transaction ends."""
    own = _select(tx).where(psa_connections.c.id == connection_id)
    return await tx.fetch_one(own.with_for_update(), PsaConnectionRow)


async def page(tx: Transaction, page: Page) -> list[PsaConnectionRow]:
    """Return up to `page.limit` connections, newest first. The sort key is (created_at, id)."""
    return await tx.fetch_all(_NEWEST.page_of(_select(tx), page), PsaConnectionRow)


async def count(tx: Transaction) -> int:
    """Count the account's connections."""
    return int(await tx.fetch_value(select(func.count()).where(tx.own(psa_connections))))


async def credentials_of(tx: Transaction, connection_id: UUID) -> str:
    """Return the encrypted credentials of a connection that exists."""
    own = (tx.own(psa_connections), psa_connections.c.id == connection_id)
    return str(await tx.fetch_value(select(psa_connections.c.credentials).where(*own)))


async def change(
    tx: Transaction, connection_id: UUID, values: dict[str, Any], *, credentials: str | None = None
) -> PsaConnectionRow | None:
    """Set columns, and the encrypted credentials if given; None where the account has no such connection."""
    sealed = {} if credentials is None else {"credentials": credentials}
    statement = (
        update(psa_connections)
        .where(tx.own(psa_connections), psa_connections.c.id == connection_id)
        .values(**values, **sealed)
        .returning(*columns_of(PsaConnectionRow, psa_connections))
    )
    return await tx.fetch_one(statement, PsaConnectionRow)


async def record(
    tx: Transaction, connection_id: UUID, *, error: str | None, at: datetime, **more: object
) -> PsaConnectionRow | None:
    """Record what came of a test or a note; None where the connection is gone."""
    status = PsaStatus.WORKING if error is None else PsaStatus.FAILING
    values = {"status": status, "last_error": error, "checked_at": at} | more
    if error is None:
        values["passed_at"] = func.coalesce(psa_connections.c.passed_at, literal(at, UtcDateTime))
    return await change(tx, connection_id, values)


async def is_used(tx: Transaction, connection_id: UUID) -> bool:
    """Tell whether a session or a note refers to the connection."""
    for table in (sessions, deliveries):
        uses = select(table.c.id).where(tx.own(table), table.c.psa_connection_id == connection_id).limit(1)
        if await tx.fetch_value(uses) is not None:
            return True
    return False


async def remove(tx: Transaction, connection_id: UUID) -> None:
    """Delete a connection to which nothing refers, and its credentials with it."""
    own = (tx.own(psa_connections), psa_connections.c.id == connection_id)
    await tx.execute(delete(psa_connections).where(*own))


def _select(tx: Transaction) -> Select[tuple[object, ...]]:
    return select(*columns_of(PsaConnectionRow, psa_connections)).where(tx.own(psa_connections))


_AUTOMATIC = (
    select(psa_connections.c.id, psa_connections.c.passed_at)
    .join(sessions, psa_connections.c.id == sessions.c.psa_connection_id)
    .where(own(psa_connections), own(sessions), sessions.c.id == value("session_id", sessions.c.id))
    .where(sessions.c.psa_ticket_id.is_not(None), psa_connections.c.automatic)
)
