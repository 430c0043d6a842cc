"""Handing a session off: parked for later, or escalated to whoever can finish it.

Nobody is told here; the deliveries and the event that a transaction leaves behind are sent after its commit,
by others. What is stored is worked out in `resolvers/new_handoffs.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from db import handoffs, idempotency, sessions, situations
from db.enums import EventKind, HandoffIntent, HandoffState, SessionStatus
from db.errors import Taken, unique
from db.events import News, append_about, append_news
from db.handoffs import HandoffRow
from db.idempotency import KeyRow
from db.moves import move, move_alone
from db.session import Database, Transaction
from db.sessions import SessionRow
from db.situations import Situation
from db.users import UserRow
from notify import rounds
from notify.policy import Reach
from resolvers import new_handoffs, repeats
from resolvers.errors import (
    BadInput,
    SessionAlreadyHandedOff,
    SessionNotFound,
    SessionResolved,
)
from resolvers.handoffs import close
from resolvers.new_handoffs import NewHandoff, Planned
from resolvers.permissions import require_responder


@dataclass(frozen=True, slots=True)
class Created:
    """A handoff, and whom it reached when it was made."""

    handoff: HandoffRow
    reach: Reach
    session: SessionRow | None = None  #: as the handoff left it; None where it was made before


async def foresee(database: Database, viewer: UserRow, new: NewHandoff, *, now: datetime) -> Situation | None:
    """Read what decides what `create` makes, before its transaction; None where nothing is won by that.

    Raises:
        Forbidden, BadInput: as `create`.
    """
    if database.is_sqlite:
        return None
    require_responder(viewer)
    new = new_handoffs.clean(new)
    key, is_told = new.idempotency_key, new.intent == HandoffIntent.ESCALATE
    return await situations.foresee(
        database, viewer.account_id, new.session_id, viewer.id, key, is_told=is_told, now=now
    )


async def create(
    tx: Transaction,
    viewer: UserRow,
    new: NewHandoff,
    *,
    now: datetime,
    grace: timedelta,
    assessment_wait: timedelta | None = None,
    foreseen: Situation | None = None,
) -> Created:
    """Park or escalate a session.

    1. Hold the session: of two that arrive together, the second finds the first one's handoff.
    2. Read all that decides what is made. Answer a retried request with what the first one made; refuse a
       session that may not be handed off; close the claimed handoff that this one follows.
    3. In one move, store the handoff with its snapshot, and change the session. For an escalation, store
       what each responder is to be sent; `grace` is how long a push may stay unconfirmed before the mail
       goes. Ask for its assessment, for which mails wait no longer than `assessment_wait`; None asks for
       none. Where the session's PSA connection says so, a note in its ticket is to be made as well. The
       event comes last.
    4. Nobody to be told? That is an event of its own.

    With what was `foreseen`, in a transaction that does nothing else, PostgreSQL is told of steps 1 and 3 in
    one message if there is nothing else to do. Where the session has changed since, that does nothing.

    Raises:
        Forbidden: the viewer only reads.
        SessionNotFound, SessionResolved, SessionAlreadyHandedOff: the session may not be handed off.
        BadInput: a text cannot be stored, or the idempotency key was used with another input.
    """
    require_responder(viewer)
    new = new_handoffs.clean(new)
    plan = partial(new_handoffs.plan, viewer, new, now=now, grace=grace, assessment_wait=assessment_wait)
    news = new_handoffs.news(viewer, new, now=now)
    if foreseen is not None:
        made = await _create_alone(tx, foreseen, plan, news)
        if made is not None:
            return made

    await sessions.hold(tx, new.session_id)
    key, is_told = new.idempotency_key, new.intent == HandoffIntent.ESCALATE
    found = await situations.read(tx, new.session_id, viewer.id, key, is_told=is_told, now=now)
    before = await _made_before(tx, viewer, new, found.known, now=now)
    if before is not None:
        return before
    session, claimed_before = _free_for_handoff(found)

    if claimed_before is not None:
        await close(tx, claimed_before, now=now)
    planned = plan(found, session)
    with _refusing_used_key():
        moved = await move(
            tx, planned.first, planned.session, *planned.then, news=None if claimed_before else news
        )
    if claimed_before is not None:
        summary = "closed it: the session was handed off again"
        await append_about(tx, EventKind.HANDOFF_CLOSED, claimed_before, viewer.id, summary, at=now)
        await append_news(tx, news, planned.handoff)
    if not planned.is_hopeful:
        await rounds.tell_if_unreached(tx, planned.handoff, now=now)
    return Created(planned.handoff, _reach(planned.handoff), None if moved is None else moved.session)


async def _create_alone(
    tx: Transaction, found: Situation, plan: Callable[[Situation, SessionRow], Planned], news: News
) -> Created | None:
    """Make a handoff where that is all there is to do, and the session is as it was; else do nothing."""
    is_simple = found.unfinished is None and found.known is None
    session = found.session if is_simple else None
    if session is None or session.status == SessionStatus.RESOLVED or found.version is None:
        return None
    planned = plan(found, session)
    if not planned.is_hopeful:
        return None
    with _refusing_used_key():
        held = sessions.holding_unchanged(session.id, found.version)
        moved = await move_alone(tx, held, planned.first, planned.session, *planned.then, news=news)
    return None if moved is None else Created(planned.handoff, _reach(planned.handoff), moved.session)


async def _made_before(
    tx: Transaction, viewer: UserRow, new: NewHandoff, known: KeyRow | None, *, now: datetime
) -> Created | None:
    if known is None or new.idempotency_key is None:
        return None
    if known.is_forgotten(now):
        await idempotency.forget(tx, viewer.id, new.idempotency_key, now=now)
        return None
    repeats.require_same(known, new_handoffs.fingerprint(new))
    assert known.handoff_id is not None  # noqa: S101 (no other request has such a fingerprint)
    handoff = (await handoffs.by_ids(tx, [known.handoff_id]))[known.handoff_id]
    return Created(handoff, _reach(handoff))


def _free_for_handoff(found: Situation) -> tuple[SessionRow, HandoffRow | None]:
    """Return the session and the claimed handoff that it comes from, or refuse."""
    if found.session is None:
        raise SessionNotFound
    if found.session.status == SessionStatus.RESOLVED:
        raise SessionResolved
    if found.unfinished is not None and found.unfinished.state == HandoffState.OPEN:
        raise SessionAlreadyHandedOff(found.unfinished.id)
    return found.session, found.unfinished


@contextmanager
def _refusing_used_key() -> Iterator[None]:
    try:
        with unique("idempotency_keys"):
            yield
    except Taken:
        raise BadInput(
            "idempotencyKey is being used with another input at this moment. Use a new key."
        ) from None


def _reach(handoff: HandoffRow) -> Reach:
    return Reach(online=handoff.reach_online, email=handoff.reach_email, unreachable=handoff.unreachable)
