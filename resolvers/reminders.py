"""What the clock does: reminders, ends of claims, and news that nobody could be told.

Each function is one job of a worker. Several workers may begin the same one: the conditional statement
lets one of them through, and the others find nothing to do.
"""

from datetime import datetime, timedelta
from uuid import UUID

from db import deliveries, handoffs, policies, sessions
from db.enums import DeliveryKind, EventKind, ReminderAudience
from db.events import append_about
from db.session import Transaction
from notify import rounds
from resolvers.reopening import Reopened, announce, set_back


async def remind(tx: Transaction, handoff_id: UUID, *, now: datetime, grace: timedelta) -> bool:
    """Tell the responders of an open escalation again; False where no reminder is due (any more)."""
    session = await sessions.lock_of_handoff(tx, handoff_id)
    found = (await handoffs.by_ids(tx, [handoff_id])).get(handoff_id)
    if session is None or found is None:
        return False
    policy = await policies.read(tx)
    # Times that passed meanwhile are not made up for: one reminder tells as much as three.
    next_at = policy.reminder_at(found.opened_at, after=now)
    handoff = await handoffs.remind(tx, handoff_id, at=now, next_reminder_at=next_at)
    if handoff is None:
        return False
    escalator = handoff.handed_off_by_id
    told, online = await rounds.find_audience(
        tx, session.team_id, except_id=escalator, audience=policy.remind, now=now
    )
    await rounds.tell(tx, handoff, DeliveryKind.REMINDER, told, online, now=now, grace=grace)
    whom = "owners and admins" if policy.remind == ReminderAudience.OWNERS_AND_ADMINS else "everyone"
    await append_about(
        tx,
        EventKind.ESCALATION_REMINDED,
        handoff,
        None,
        f"reminded {whom}: nobody has claimed it",
        at=now,
        except_id=escalator,
        audience=policy.remind,
    )
    await rounds.tell_if_unreached(tx, handoff, now=now)
    return True


async def check_reach(tx: Transaction, handoff_id: UUID, *, now: datetime) -> bool:
    """Tell the escalator where nobody could be told of a round; False where no check is due (any more).

    The worker whose mail was the last hope tells them at once. Here it is made up for one that died
    between its record of the refusal and that.
    """
    if await sessions.lock_of_handoff(tx, handoff_id) is None:
        return False
    handoff = await handoffs.check_reach(tx, handoff_id, at=now)
    if handoff is None:
        return False
    if not await deliveries.is_being_told(tx, handoff_id):
        await handoffs.end_reach_checks(tx, handoff_id)
        await rounds.tell_if_unreached(tx, handoff, now=now)
    return True


async def expire_claim(tx: Transaction, handoff_id: UUID, *, now: datetime, grace: timedelta) -> bool:
    """Put a handoff whose claim has expired back into the queue; False where it has not (any more).

    What was done on the session stays. Everybody is told, the one whose claim it was included.
    """
    session = await sessions.lock_of_handoff(tx, handoff_id)
    if session is None:
        return False
    next_at = (await policies.read(tx)).reminder_at(now, after=now)
    handoff = await handoffs.expire_claim(tx, handoff_id, at=now, next_reminder_at=next_at)
    if handoff is None:
        return False
    summary = "released it: the claim expired without a sign of work"
    reopened = [Reopened(handoff, session)]
    await set_back(tx, reopened, except_id=None, now=now, grace=grace)
    await announce(tx, reopened, summary, actor_id=None, except_id=None, now=now)
    return True
