"""Asking for a handoff's note in the session's ticket. A worker puts it there, after the commit."""

from datetime import datetime
from uuid import UUID

from db import handoffs, psa_connections, sessions
from db import psa_notes as stored
from db.deliveries import DeliveryRow
from db.enums import DeliveryStatus, EventKind
from db.events import append_about
from db.session import Transaction
from db.sessions import SessionRow
from db.users import UserRow
from resolvers.errors import HandoffNotFound, PsaNotConnected
from resolvers.permissions import require_responder


async def push(tx: Transaction, viewer: UserRow, handoff_id: UUID, *, now: datetime) -> DeliveryRow:
    """Let the handoff's note be put into the session's ticket, and return its delivery.

    Asked for again, it is the same delivery; one that failed is tried again, in the ticket that the session
    has now. Over a connection that has passed no test it waits, and says so.

    Raises:
        Forbidden: the viewer only reads.
        HandoffNotFound: the account has no such handoff.
        PsaNotConnected: the session has no PSA connection, or no ticket.
    """
    require_responder(viewer)
    session = await sessions.lock_of_handoff(tx, handoff_id)
    if session is None:
        raise HandoffNotFound
    note = await stored.of_handoff(tx, handoff_id)
    if note is not None and note.status != DeliveryStatus.FAILED:
        return note
    connection_id, ticket_id = _ticket_of(session)
    connection = (await psa_connections.by_ids(tx, [connection_id]))[connection_id]
    waits_for = stored.UNTESTED if connection.passed_at is None else None
    if note is None:
        await stored.add_once(tx, handoff_id, connection_id, ticket_id, at=now, waits_for=waits_for)
    else:
        await stored.ask_again(tx, note.id, connection_id, ticket_id, at=now, waits_for=waits_for)
    handoff = (await handoffs.by_ids(tx, [handoff_id]))[handoff_id]
    summary = f"asked for a note in ticket {ticket_id}"
    note = await stored.of_handoff(tx, handoff_id)
    await append_about(tx, EventKind.PSA_NOTE_REQUESTED, handoff, viewer.id, summary, at=now)
    assert note is not None  # noqa: S101 (stored above, under the session's lock)
    return note


def _ticket_of(session: SessionRow) -> tuple[UUID, str]:
    if session.psa_connection_id is None or session.psa_ticket_id is None:
        raise PsaNotConnected
    return session.psa_connection_id, session.psa_ticket_id
