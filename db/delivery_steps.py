"""What a move of a handoff changes in the ledger; `deliveries.adding` is such a step as well."""

from datetime import datetime

from sqlalchemy import Insert, Update, null, select, update

from db.deliveries import is_unsent
from db.enums import Channel, DeliveryKind, DeliveryStatus, HandoffIntent, SkipReason
from db.models import deliveries, handoffs
from db.prepared import ACCOUNT, own, value
from db.session import new_id
from db.steps import Moved, Step, inserting, looked_up
from db.types import is_among


def skipping(reason: SkipReason) -> Step:
    """Skip with a move what `deliveries.skip_unsent` skips."""
    return Step(_skip_of_moved, {"skipped_status": DeliveryStatus.SKIPPED, "skipped_reason": reason})


def telling_escalator(*, at: datetime) -> Step:
    """Mail with a claim to the one who escalated that somebody else has it."""
    values = {
        "mail_id": new_id(),
        "mail_channel": Channel.EMAIL,
        "mail_kind": DeliveryKind.CLAIMED,
        "mail_status": DeliveryStatus.PENDING,
        "mail_at": at,
    }
    return Step(_mail_escalator, values)


def _skip_of_moved(moved: Moved) -> Update:
    """Lock in the order of the ids, then change: a worker that holds one finishes with it first."""
    unsent = deliveries.alias("unsent")
    handoff_id = looked_up(moved(handoffs.c.id))
    locked = (
        select(unsent.c.id)
        .where(own(unsent), unsent.c.handoff_id == handoff_id, is_unsent(unsent))
        .order_by(unsent.c.id)
        .with_for_update(of=unsent)
    )
    return (
        update(deliveries)
        .where(own(deliveries), deliveries.c.handoff_id == handoff_id, is_among(deliveries.c.id, locked))
        .values(
            status=value("skipped_status", deliveries.c.status),
            reason=value("skipped_reason", deliveries.c.reason),
            lease_until=null(),
            leased_by=null(),
        )
    )


def _mail_escalator(moved: Moved) -> Insert:
    columns = deliveries.c
    at = value("mail_at", columns.created_at)
    return inserting(
        deliveries,
        {
            "account_id": ACCOUNT,
            "id": value("mail_id", columns.id),
            "handoff_id": moved(handoffs.c.id),
            "recipient_id": moved(handoffs.c.handed_off_by_id),
            "channel": value("mail_channel", columns.channel),
            "kind": value("mail_kind", columns.kind),
            "round": moved(handoffs.c.round),
            "status": value("mail_status", columns.status),
            "created_at": at,
            "first_due_at": at,
            "due_at": at,
        },
        moved(handoffs.c.intent) == HandoffIntent.ESCALATE,
        moved(handoffs.c.claimed_by_id) != moved(handoffs.c.handed_off_by_id),
    )
