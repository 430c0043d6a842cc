"""Passing a session on: create, claim, release.

Every function locks the session first, a claim its claimer before that, then changes the handoff, and
appends the events last: the order that all writers share, so that none waits for another in a circle.
Nobody is told here; the deliveries and events that a transaction leaves behind are sent after its commit,
by others.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from db import (
    deliveries,
    delivery_steps,
    events,
    handoffs,
    idempotency,
    policies,
    pushes,
    sessions,
    situations,
    users,
)
from db.enums import (
    EventKind,
    HandoffIntent,
    HandoffState,
    SessionStatus,
    SkipReason,
)
from db.errors import Taken, unique
from db.events import News, append_about, append_news
from db.handoffs import HandoffRow
from db.idempotency import KeyRow
from db.moves import move, move_alone
from db.session import Transaction
from db.sessions import SessionRow
from db.situations import Situation
from db.users import UserRow
from notify import rounds
from notify.policy import Reach
from resolvers import new_handoffs
from resolvers.errors import (
    BadInput,
    Forbidden,
    HandoffAlreadyClaimed,
    HandoffNotClaimedByYou,
    HandoffNotFound,
    HandoffNotOpen,
    SessionAlreadyHandedOff,
    SessionNotFound,
    SessionResolved,
)
from resolvers.inputs import MAX_REASON, clean_optional_text
from resolvers.new_handoffs import NewHandoff, Planned
from resolvers.permissions import is_admin, require_responder
from resolvers.reopening import Reopened, announce, set_back


@dataclass(frozen=True, slots=True)
class Created:
    """A handoff, and whom it reached when it was made."""

    handoff: HandoffRow
    reach: Reach
    session: SessionRow | None = None  #: as the handoff left it; None where it was made before


@dataclass(frozen=True, slots=True)
class Claimed:
    """A handoff that is the claimer's."""

    handoff: HandoffRow
    session: SessionRow | None = None  #: as the claim left it; None where it was claimed before


async def foresee(tx: Transaction, viewer: UserRow, new: NewHandoff, *, now: datetime) -> Situation:
    """Read what decides what `create` makes, before its transaction.

    Raises:
        Forbidden, BadInput: as `create`.
    """
    require_responder(viewer)
    return await _look_around(tx, viewer, new_handoffs.clean(new), is_held=False, now=now)


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
    found = await _look_around(tx, viewer, new, is_held=True, now=now)
    before = await _made_before(tx, viewer, new, found.known, now=now)
    if before is not None:
        return before
    session, claimed_before = _free_for_handoff(found)

    if claimed_before is not None:
        await _close(tx, claimed_before, now=now)
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


async def claim(
    tx: Transaction, viewer: UserRow, handoff_id: UUID, *, now: datetime, is_all: bool = False
) -> Claimed:
    """Give an open handoff to the viewer, and to nobody else.

    The race is settled by the conditional UPDATE of `db.handoffs.claiming`: the first to reach the row takes
    it, everybody else's matches nothing and is then explained. What follows from a claim goes with it, on
    PostgreSQL in the same statement: the session is the viewer's, what was still to be sent is skipped, so
    that no mail about the handoff begins after the commit, who escalated is told, and the event is appended.
    The session is held from before the statement begins until the commit: it sees all that others have
    added, and nobody adds more meanwhile. The viewer is held as well: whoever deactivates or demotes them
    finds this claim, or is found by it. The winner's repeated click finds its own claim and writes nothing.
    `is_all`: the transaction does nothing else, so that PostgreSQL is told of all of it in one message.

    Raises:
        Forbidden: the viewer only reads, or has become no responder at this moment. The role that they came
            with is checked first: that says nothing about the handoff.
        HandoffNotFound: the account has no such handoff.
        HandoffAlreadyClaimed: somebody else has it; the refusal says who and since when.
        HandoffNotOpen: it is closed.
    """
    require_responder(viewer)
    changes = (
        handoffs.claiming(handoff_id, viewer.id, at=now),
        sessions.taking_over(),
        delivery_steps.skipping(SkipReason.CLAIMED),
        delivery_steps.telling_escalator(at=now),
    )
    news = News(kind=EventKind.HANDOFF_CLAIMED, at=now, actor_id=viewer.id, summary="claimed it")
    moved = None
    if is_all:
        held = sessions.holding_of_handoff(handoff_id, for_user_id=viewer.id)
        moved = await move_alone(tx, held, *changes, news=news)
    if moved is None:
        await users.hold(tx, viewer.id)
        await sessions.hold_of_handoff(tx, handoff_id)
        moved = await move(tx, *changes, news=news)
    if moved is None:
        return Claimed(await _explain_lost_claim(tx, viewer, handoff_id))
    return Claimed(moved.handoff, moved.session)


async def release(
    tx: Transaction,
    viewer: UserRow,
    handoff_id: UUID,
    reason: str | None,
    *,
    now: datetime,
    grace: timedelta,
) -> HandoffRow:
    """Put a claimed handoff back into the queue: one's own, or as an owner or admin anybody's.

    An escalation begins a new round: every responder but the viewer is told again.

    Raises:
        Forbidden: the viewer only reads.
        HandoffNotFound: the account has no such handoff.
        HandoffNotClaimedByYou: the viewer does not hold it, or for an owner or admin nobody does.
        BadInput: the reason cannot be stored.
    """
    require_responder(viewer)
    reason = clean_optional_text("reason", reason, MAX_REASON)
    session = await sessions.lock_of_handoff(tx, handoff_id)
    if session is None:
        raise HandoffNotFound
    holder_id, what = viewer.id, "released it"
    if is_admin(viewer):
        holder_id, what = await _release_by_admin(tx, viewer, handoff_id)
    next_reminder_at = (await policies.read(tx)).reminder_at(now, after=now)
    handoff = await handoffs.release(tx, handoff_id, holder_id, at=now, next_reminder_at=next_reminder_at)
    if handoff is None:
        raise HandoffNotClaimedByYou
    reopened = [Reopened(handoff, session)]
    await set_back(tx, reopened, except_id=viewer.id, now=now, grace=grace)
    summary = what if reason is None else f"{what}: {reason}"
    await announce(tx, reopened, summary, actor_id=viewer.id, except_id=viewer.id, now=now)
    return handoff


async def acknowledge(tx: Transaction, viewer: UserRow, handoff_id: UUID, *, now: datetime) -> HandoffRow:
    """Record that the viewer has seen an escalation, once; their mail about it is not needed any more.

    Raises:
        Forbidden: the viewer only reads.
        HandoffNotFound: the account has no such handoff.
        BadInput: it was parked, which tells no one.
    """
    require_responder(viewer)
    if await sessions.lock_of_handoff(tx, handoff_id) is None:
        raise HandoffNotFound
    handoff = (await handoffs.by_ids(tx, [handoff_id]))[handoff_id]
    if handoff.intent == HandoffIntent.PARK:
        raise BadInput("This handoff was parked: parking tells no one, so there is nothing to acknowledge.")
    seen = await events.exists(tx, EventKind.HANDOFF_ACKNOWLEDGED, handoff_id, viewer.id, handoff.round)
    if handoff.state == HandoffState.OPEN and not seen:
        push = pushes.Push(handoff_id, viewer.id, handoff.round)
        await pushes.lock(tx, [push])
        await pushes.confirm(tx, [push], at=now)
        await append_about(tx, EventKind.HANDOFF_ACKNOWLEDGED, handoff, viewer.id, "has seen it", at=now)
    return handoff


async def close_resolved(tx: Transaction, viewer: UserRow, session_id: UUID, *, now: datetime) -> None:
    """Close the handoff of a session that is being resolved, if it has one that is not finished.

    The caller holds the session's lock and has made every other change: this appends an event.
    """
    handoff = await handoffs.unfinished_of(tx, session_id)
    if handoff is not None:
        await _close(tx, handoff, now=now)
        summary = "closed it: the session was resolved"
        await append_about(tx, EventKind.HANDOFF_CLOSED, handoff, viewer.id, summary, at=now)


async def _look_around(
    tx: Transaction, viewer: UserRow, new: NewHandoff, *, is_held: bool, now: datetime
) -> Situation:
    is_told, key = new.intent == HandoffIntent.ESCALATE, new.idempotency_key
    return await situations.read(
        tx, new.session_id, viewer.id, key, is_told=is_told, is_held=is_held, now=now
    )


async def _release_by_admin(tx: Transaction, admin: UserRow, handoff_id: UUID) -> tuple[UUID, str]:
    """Return who has the handoff, and what its release is called: it may be taken from somebody else.

    Raises:
        HandoffNotClaimedByYou: nobody has it.
    """
    holder_id = (await handoffs.by_ids(tx, [handoff_id]))[handoff_id].claimed_by_id
    if holder_id is None:
        raise HandoffNotClaimedByYou("Nobody has claimed this handoff.")
    if holder_id == admin.id:
        return holder_id, "released it"
    return holder_id, f"took it back from {(await users.by_ids(tx, [holder_id]))[holder_id].name}"


async def _close(tx: Transaction, handoff: HandoffRow, *, now: datetime) -> None:
    await handoffs.close(tx, handoff.id, at=now)
    await deliveries.skip_unsent(tx, handoff.id, SkipReason.CLOSED)


async def _made_before(
    tx: Transaction, viewer: UserRow, new: NewHandoff, known: KeyRow | None, *, now: datetime
) -> Created | None:
    if known is None or new.idempotency_key is None:
        return None
    if known.is_forgotten(now):
        await idempotency.forget(tx, viewer.id, new.idempotency_key, now=now)
        return None
    if known.fingerprint != new_handoffs.fingerprint(new):
        raise BadInput("idempotencyKey was used with another input in the last 24 hours. Use a new key.")
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


async def _explain_lost_claim(tx: Transaction, viewer: UserRow, handoff_id: UUID) -> HandoffRow:
    handoff = (await handoffs.by_ids(tx, [handoff_id])).get(handoff_id)
    if handoff is None:
        raise HandoffNotFound
    if handoff.state == HandoffState.OPEN:  # nobody was first: the claimer is no responder any more
        raise Forbidden
    if handoff.state == HandoffState.CLOSED or handoff.claimed_by_id is None or handoff.claimed_at is None:
        raise HandoffNotOpen(handoff.state)
    if handoff.claimed_by_id != viewer.id:
        raise HandoffAlreadyClaimed(handoff.claimed_by_id, handoff.claimed_at)
    return handoff


def _reach(handoff: HandoffRow) -> Reach:
    return Reach(online=handoff.reach_online, email=handoff.reach_email, unreachable=handoff.unreachable)
