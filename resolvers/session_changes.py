"""Changes of a session: who may make one, of which session, and what is told of it."""

from datetime import datetime
from uuid import UUID

from db import events, handoffs, policies, sessions
from db.enums import EventKind, HandoffState, SessionStatus
from db.events import Event
from db.session import Transaction
from db.sessions import SessionRow
from db.users import UserRow
from resolvers.errors import SessionNotFound, SessionResolved
from resolvers.permissions import require_responder


async def hold_unresolved(tx: Transaction, viewer: UserRow, session_id: UUID) -> SessionRow:
    """Return a session that the viewer may change, held until the transaction ends.

    Raises:
        Forbidden, SessionNotFound: as `hold`.
        SessionResolved: nothing of it changes any more.
    """
    session = await hold(tx, viewer, session_id)
    require_unresolved(session)
    return session


async def hold(tx: Transaction, viewer: UserRow, session_id: UUID) -> SessionRow:
    """Return a session of the viewer's account, held until the transaction ends; it may be resolved.

    Raises:
        Forbidden: the viewer only reads.
        SessionNotFound: the account has no such session.
    """
    require_responder(viewer)
    session = await sessions.lock(tx, session_id)
    if session is None:
        raise SessionNotFound
    return session


def require_unresolved(session: SessionRow) -> None:
    """Refuse a session of which nothing changes any more.

    Raises:
        SessionResolved: it is resolved.
    """
    if session.status == SessionStatus.RESOLVED:
        raise SessionResolved


async def tell_change(
    tx: Transaction, viewer: UserRow, session: SessionRow, kind: EventKind, summary: str, *, now: datetime
) -> None:
    """Append the event; where the session waits in the queue, as one of its handoff too.

    Work by the one who claimed it lets a claim that may expire last longer.
    """
    unfinished = await handoffs.unfinished_of(tx, session.id)
    if unfinished is not None and unfinished.claimed_by_id == viewer.id and unfinished.claim_expires_at:
        expires_at = (await policies.read(tx)).claim_expires_at(now) or unfinished.claim_expires_at
        await handoffs.extend_claim(tx, unfinished.id, expires_at=expires_at)
    waiting = unfinished if unfinished is not None and unfinished.state == HandoffState.OPEN else None
    event = Event(
        kind=kind,
        at=now,
        summary=summary,
        actor_id=viewer.id,
        session_id=session.id,
        handoff_id=None if waiting is None else waiting.id,
        team_id=session.team_id,
        intent=None if waiting is None else waiting.intent,
    )
    await events.append(tx, event)
