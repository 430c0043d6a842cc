"""What both peers in Python do with the rows."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from bench.peers.python.models import Connection, Counter, Delivery, Event, Handoff, Node, Session, User
from db.enums import (
    RESPONDER_ROLES,
    Channel,
    DeliveryKind,
    DeliveryStatus,
    HandoffIntent,
    HandoffPriority,
    HandoffState,
    SessionStatus,
    SkipReason,
)
from db.session import new_id

_GRACE = timedelta(seconds=30)


class RefusedError(Exception):
    """The session or handoff is not to be had."""


async def read_queue(db: AsyncSession, account_id: UUID, first: int) -> list[Handoff]:
    """Read the newest open handoffs with their sessions."""
    statement = (
        select(Handoff)
        .options(joinedload(Handoff.session, innerjoin=True))
        .where(Handoff.account_id == account_id, Handoff.state == HandoffState.OPEN)
        .order_by(Handoff.created_at.desc(), Handoff.id.desc())
        .limit(first)
    )
    return list(await db.scalars(statement))


async def create(
    db: AsyncSession,
    account_id: UUID,
    user_id: UUID,
    session_id: UUID,
    priority: HandoffPriority,
    notes: str | None,
) -> tuple[Handoff, Session]:
    """Escalate a session; the caller commits."""
    session = await db.get(Session, (account_id, session_id), with_for_update=True)
    if session is None or await _is_handed_off(db, account_id, session_id):
        raise RefusedError
    now = datetime.now(UTC)
    told = await _told(db, account_id, user_id)
    online = await _online(db, account_id, now)
    handoff = Handoff(
        account_id=account_id,
        id=new_id(),
        session_id=session_id,
        intent=HandoffIntent.ESCALATE,
        priority=priority,
        state=HandoffState.OPEN,
        notes=notes,
        snapshot=_snapshot(session),
        reach_online=len([each for each in told if each in online]),
        reach_email=len([each for each in told if each not in online]),
        handed_off_by_id=user_id,
        created_at=now,
        opened_at=now,
        reach_check_at=now + timedelta(minutes=1),
    )
    db.add(handoff)
    session.status = SessionStatus.ESCALATED
    session.handoff_count += 1
    session.escalation_package = {
        "snapshot": handoff.snapshot,
        "intent": "escalate",
        "engineer_notes": notes,
        "handoff_id": str(handoff.id),
    }
    await db.flush()
    db.add_all(_deliveries(handoff, told, online))
    await db.flush()
    await _append(db, handoff, "HANDOFF_CREATED", "escalated the session", user_id, now, except_id=user_id)
    return handoff, session


async def claim(
    db: AsyncSession, account_id: UUID, user_id: UUID, handoff_id: UUID
) -> tuple[Handoff, Session]:
    """Give an open handoff to the user; the caller commits."""
    now = datetime.now(UTC)
    handoff = await db.scalar(
        update(Handoff)
        .where(Handoff.account_id == account_id, Handoff.id == handoff_id)
        .where(Handoff.state == HandoffState.OPEN)
        .values(state=HandoffState.CLAIMED, claimed_by_id=user_id, claimed_at=now)
        .returning(Handoff)
    )
    if handoff is None:
        raise RefusedError
    session = await db.scalar(
        update(Session)
        .where(Session.account_id == account_id, Session.id == handoff.session_id)
        .values(status=SessionStatus.ACTIVE, escalated_to_id=user_id)
        .returning(Session)
    )
    if session is None:
        raise RefusedError
    await db.execute(
        update(Delivery)
        .where(Delivery.account_id == account_id, Delivery.handoff_id == handoff_id)
        .where(
            (Delivery.status == DeliveryStatus.PENDING)
            | ((Delivery.channel == Channel.PUSH) & (Delivery.status == DeliveryStatus.SENT))
        )
        .values(status=DeliveryStatus.SKIPPED, reason=SkipReason.CLAIMED)
        .execution_options(synchronize_session=False)
    )
    await _append(db, handoff, "HANDOFF_CLAIMED", "claimed it", user_id, now)
    return handoff, session


async def _is_handed_off(db: AsyncSession, account_id: UUID, session_id: UUID) -> bool:
    unfinished = select(Handoff.id).where(
        Handoff.account_id == account_id,
        Handoff.session_id == session_id,
        Handoff.state != HandoffState.CLOSED,
    )
    return await db.scalar(unfinished) is not None


async def _told(db: AsyncSession, account_id: UUID, except_id: UUID) -> list[UUID]:
    responders = select(User.id).where(
        User.account_id == account_id,
        User.active,
        User.deleted_at.is_(None),
        User.role.in_(RESPONDER_ROLES),
        User.id != except_id,
    )
    return list(await db.scalars(responders))


async def _online(db: AsyncSession, account_id: UUID, now: datetime) -> set[UUID]:
    alive = (
        select(Connection.user_id)
        .join(Node, Node.id == Connection.node_id)
        .where(Connection.account_id == account_id, Node.heartbeat_at > now - timedelta(seconds=30))
    )
    return set(await db.scalars(alive))


def _snapshot(session: Session) -> dict[str, object]:
    return {
        "problem_summary": session.problem_summary,
        "problem_domain": session.problem_domain,
        "status": session.status.value,
        "step_count": session.step_count,
        "confidence_tier": session.confidence_tier and session.confidence_tier.value,
        "branch_map": [],
        "active_branch_id": None,
    }


def _deliveries(handoff: Handoff, told: list[UUID], online: set[UUID]) -> list[Delivery]:
    now, later = handoff.created_at, handoff.created_at + _GRACE
    planned = [(each, Channel.PUSH, now) for each in told if each in online]
    planned += [(each, Channel.EMAIL, later if each in online else now) for each in told]
    return [
        Delivery(
            account_id=handoff.account_id,
            id=new_id(),
            handoff_id=handoff.id,
            recipient_id=recipient_id,
            channel=channel,
            kind=DeliveryKind.ESCALATION,
            round=0,
            status=DeliveryStatus.PENDING,
            created_at=now,
            first_due_at=due_at,
            due_at=due_at,
        )
        for recipient_id, channel, due_at in planned
    ]


async def _append(
    db: AsyncSession,
    handoff: Handoff,
    kind: str,
    summary: str,
    actor_id: UUID,
    at: datetime,
    *,
    except_id: UUID | None = None,
) -> None:
    number = await db.scalar(
        update(Counter)
        .where(Counter.account_id == handoff.account_id)
        .values(event_sequence=Counter.event_sequence + 1)
        .returning(Counter.event_sequence)
        .execution_options(synchronize_session=False)
    )
    db.add(
        Event(
            account_id=handoff.account_id,
            sequence=number,
            kind=kind,
            at=at,
            actor_id=actor_id,
            session_id=handoff.session_id,
            handoff_id=handoff.id,
            intent=handoff.intent,
            except_id=except_id,
            summary=summary,
        )
    )
