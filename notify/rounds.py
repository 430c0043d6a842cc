"""Telling the responders of an escalation: once when it is made, and once a round after that.

These functions only write deliveries and events, in the caller's transaction. Others send them after
its commit.
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from db import deliveries, presence, users
from db.deliveries import NewDelivery
from db.enums import Channel, DeliveryKind, EventKind, HandoffIntent, HandoffState, ReminderAudience
from db.events import append_about
from db.handoffs import HandoffRow
from db.session import Transaction
from db.users import UserRow
from notify import policy

log = logging.getLogger(__name__)


async def find_audience(
    tx: Transaction,
    team_id: UUID | None,
    *,
    except_id: UUID | None,
    audience: ReminderAudience = ReminderAudience.EVERYONE,
    now: datetime,
) -> tuple[list[UserRow], set[UUID]]:
    """Return who is told of an escalation of a session of that team, and who is at a screen."""
    told = policy.recipients(await users.responders(tx), except_id=except_id, audience=audience)
    return told, await presence.online_for(tx, team_id, now=now)


async def tell(
    tx: Transaction,
    handoff: HandoffRow,
    kind: DeliveryKind,
    told: list[UserRow],
    online: set[UUID],
    *,
    now: datetime,
    grace: timedelta,
) -> None:
    """Write the deliveries of the handoff's present round, which supersede what is still to be sent."""
    planned = policy.plan(told, online, kind, now=now, grace=grace)
    await deliveries.supersede(tx, handoff.id, [new for new in planned if new.skipped is None])
    await deliveries.add(tx, handoff.id, kind, handoff.round, planned, at=now)


async def tell_if_unreached(tx: Transaction, handoff: HandoffRow, *, now: datetime) -> None:
    """Tell the one who escalated, once a round, where nobody could be told of it.

    Nobody could be told when no delivery has arrived or may still arrive.
    """
    is_waiting = handoff.intent == HandoffIntent.ESCALATE and handoff.state == HandoffState.OPEN
    if not is_waiting or await deliveries.is_hopeful(tx, handoff.id):
        return
    mail = NewDelivery(recipient_id=handoff.handed_off_by_id, channel=Channel.EMAIL, due_at=now)
    if await deliveries.add_once(tx, handoff.id, DeliveryKind.UNREACHED, handoff.round, mail, at=now):
        log.warning("nobody can be reached", extra={"handoff_id": str(handoff.id)})
        await append_about(tx, EventKind.ESCALATION_UNREACHED, handoff, None, "found nobody to tell", at=now)
