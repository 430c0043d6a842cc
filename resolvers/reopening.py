"""What follows when handoffs come back into the queue: released, expired, or their holder may not go on.

The rows come first, `set_back`, and the events last, `announce`: the order that all writers share. What
stands between is the caller's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db import claims, deliveries, policies, sessions
from db.enums import DeliveryKind, EventKind, HandoffIntent, SkipReason
from db.events import append_about
from db.handoffs import HandoffRow
from db.session import Transaction
from db.sessions import SessionRow
from db.users import UserRow
from notify import rounds
from resolvers.new_handoffs import STATUS_WHILE_OPEN


@dataclass(frozen=True, slots=True)
class Reopened:
    """A handoff that is open again, and its session, which the transaction holds."""

    handoff: HandoffRow
    session: SessionRow


async def release_claims(
    tx: Transaction, holder: UserRow, *, now: datetime, grace: timedelta
) -> list[Reopened]:
    """Put all that somebody has claimed back into the queue, and tell the responders of what was escalated.

    The caller has locked the holder and stored that they are no responder any more: they are not told. It
    announces the handoffs at the end of its transaction.
    """
    held = await claims.lock_sessions(tx, holder.id)
    if not held:
        return []
    next_at = (await policies.read(tx)).reminder_at(now, after=now)
    released = await claims.release_all(tx, holder.id, at=now, next_reminder_at=next_at)
    reopened = [Reopened(handoff, held[handoff.session_id]) for handoff in released]
    await set_back(tx, reopened, except_id=None, now=now, grace=grace)
    return reopened


async def set_back(
    tx: Transaction, reopened: Sequence[Reopened], *, except_id: UUID | None, now: datetime, grace: timedelta
) -> None:
    """Let the sessions wait in the queue again, and write a new round to everybody but one."""
    await deliveries.lock_unsent(tx, [each.handoff.id for each in reopened])
    for each in reopened:
        handoff, session = each.handoff, each.session
        status = STATUS_WHILE_OPEN[handoff.intent]
        await sessions.change(tx, session.id, {"status": status, "escalated_to_id": None})
        await deliveries.skip_unsent(tx, handoff.id, SkipReason.RELEASED)
        told, online = await _audience(tx, session.team_id, handoff.intent, except_id=except_id, now=now)
        await rounds.tell(tx, handoff, DeliveryKind.ESCALATION, told, online, now=now, grace=grace)


async def announce(
    tx: Transaction,
    reopened: Sequence[Reopened],
    summary: str,
    *,
    actor_id: UUID | None,
    except_id: UUID | None,
    now: datetime,
) -> None:
    """Append the events: each handoff is back, and of whom nobody could be told."""
    kind = EventKind.HANDOFF_RELEASED
    for each in reopened:
        await append_about(tx, kind, each.handoff, actor_id, summary, at=now, except_id=except_id)
        await rounds.tell_if_unreached(tx, each.handoff, now=now)


async def _audience(
    tx: Transaction, team_id: UUID | None, intent: HandoffIntent, *, except_id: UUID | None, now: datetime
) -> tuple[list[UserRow], set[UUID]]:
    """Return who is told, and who is at a screen. Parking tells no one."""
    if intent == HandoffIntent.PARK:
        return [], set()
    return await rounds.find_audience(tx, team_id, except_id=except_id, now=now)
