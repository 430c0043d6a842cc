"""What an engineer asks for when they hand a session off, and all that is stored of it.

Nothing here reads or writes: `resolvers/handing_off.py` does.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db import assessments, deliveries, handoffs, idempotency, psa_notes, sessions
from db.enums import DeliveryKind, EventKind, HandoffIntent, HandoffPriority, HandoffState, SessionStatus
from db.events import News
from db.handoffs import HandoffRow
from db.session import new_id
from db.sessions import SessionRow
from db.situations import Situation
from db.steps import Move, Rows, Step
from db.users import UserRow
from notify import policy
from resolvers import repeats, snapshots
from resolvers.inputs import MAX_NOTES, clean_optional_text

#: How long after it was asked for an assessment is still worth making.
_ASSESSMENT_DEADLINE = timedelta(minutes=15)

#: Where a session stands while its handoff waits in the queue.
STATUS_WHILE_OPEN = {
    HandoffIntent.PARK: SessionStatus.PAUSED,
    HandoffIntent.ESCALATE: SessionStatus.ESCALATED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHandoff:
    """What an engineer asks for."""

    session_id: UUID
    intent: HandoffIntent
    notes: str | None = None
    priority: HandoffPriority = HandoffPriority.NORMAL
    idempotency_key: str | None = None


def clean(new: NewHandoff) -> NewHandoff:
    """Return it with its texts as they are stored.

    Raises:
        BadInput: a text cannot be stored.
    """
    return NewHandoff(
        session_id=new.session_id,
        intent=new.intent,
        notes=clean_optional_text("notes", new.notes, MAX_NOTES),
        priority=new.priority,
        idempotency_key=repeats.clean_key(new.idempotency_key),
    )


@dataclass(frozen=True, slots=True)
class Planned:
    """A handoff that is to be made."""

    handoff: HandoffRow
    first: Move  #: this and the next two: as `db.moves.move` takes them
    session: Step
    then: list[Step | Rows]
    is_hopeful: bool  #: whether there is nobody to be told of it, or somebody who may be


def plan(
    viewer: UserRow,
    new: NewHandoff,
    found: Situation,
    session: SessionRow,
    *,
    now: datetime,
    grace: timedelta,
    assessment_wait: timedelta | None,
) -> Planned:
    """Return what is to be made of a session that is free to be handed off."""
    told = policy.recipients(found.responders, except_id=viewer.id)
    handoff = _row(viewer, found, session, new, told, now=now)
    planned = policy.plan(told, found.online, DeliveryKind.ESCALATION, now=now, grace=grace)
    told_step = deliveries.adding(handoff.id, DeliveryKind.ESCALATION, handoff.round, planned, at=now)
    return Planned(
        handoff=handoff,
        first=handoffs.adding(handoff),
        session=_session_step(new, session, handoff),
        then=[told_step, *_steps(viewer, new, found, session, assessment_wait, now=now)],
        is_hopeful=new.intent == HandoffIntent.PARK or not all(delivery.skipped for delivery in planned),
    )


def news(viewer: UserRow, new: NewHandoff, *, now: datetime) -> News:
    """Return the event about it."""
    return News(
        kind=EventKind.HANDOFF_CREATED,
        at=now,
        actor_id=viewer.id,
        summary="parked the session" if new.intent == HandoffIntent.PARK else "escalated the session",
        except_id=viewer.id,
    )


def fingerprint(new: NewHandoff) -> str:
    """Return a digest of the whole input, equal for equal inputs."""
    return repeats.fingerprint(asdict(new))


def _row(
    viewer: UserRow,
    found: Situation,
    session: SessionRow,
    new: NewHandoff,
    told: list[UserRow],
    *,
    now: datetime,
) -> HandoffRow:
    """Return the handoff as it is stored; `told` are the responders who are to be told."""
    is_escalated = new.intent == HandoffIntent.ESCALATE
    reach = policy.reach(new.intent, told, found.online)
    return HandoffRow(
        id=new_id(),
        account_id=session.account_id,
        session_id=session.id,
        team_id=session.team_id,
        intent=new.intent,
        priority=new.priority,
        state=HandoffState.OPEN,
        notes=new.notes,
        snapshot=snapshots.take(session, found.branches),
        source_branch_id=session.active_branch_id,
        round=0,
        reach_online=reach.online,
        reach_email=reach.email,
        unreachable=reach.unreachable,
        handed_off_by_id=viewer.id,
        created_at=now,
        claimed_by_id=None,
        claimed_at=None,
        claim_expires_at=None,
        closed_at=None,
        opened_at=now,
        reminders=0,
        next_reminder_at=found.policy.reminder_at(now, after=now) if is_escalated else None,
        reach_check_at=now + handoffs.REACH_CHECK_EVERY if is_escalated else None,
        psa_note_id=None,
    )


def _session_step(new: NewHandoff, session: SessionRow, handoff: HandoffRow) -> Step:
    """Return what a new handoff changes in its session."""
    package = snapshots.escalation_package(handoff.snapshot, new.intent, new.notes, handoff.id)
    return sessions.handing_off(STATUS_WHILE_OPEN[new.intent], session.handoff_count + 1, package)


def _steps(
    viewer: UserRow,
    new: NewHandoff,
    found: Situation,
    session: SessionRow,
    assessment_wait: timedelta | None,
    *,
    now: datetime,
) -> Iterator[Step]:
    """Return what follows from a new handoff, but for its session and its deliveries."""
    assessed_by = now if assessment_wait is None else now + assessment_wait
    if assessment_wait is not None and new.intent == HandoffIntent.ESCALATE:
        yield assessments.requesting(
            at=now, mails_wait_until=assessed_by, deadline_at=now + _ASSESSMENT_DEADLINE
        )
    if (psa := found.automatic_psa) is not None and session.psa_ticket_id is not None:
        waits_for = None if psa.has_passed else psa_notes.UNTESTED
        yield psa_notes.adding(psa.id, session.psa_ticket_id, at=now, due_at=assessed_by, waits_for=waits_for)
    if new.idempotency_key is not None:
        yield idempotency.remembering(viewer.id, new.idempotency_key, fingerprint(new), at=now)
