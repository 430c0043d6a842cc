"""Deliveries in every state that the constraints allow, whether or not the service would bring them there."""

import random
from datetime import datetime, timedelta
from typing import Any

from db.enums import ASKING_KINDS, Channel, DeliveryKind, DeliveryStatus, SkipReason
from db.session import new_id

OPEN = (DeliveryStatus.PENDING, DeliveryStatus.SENDING)
#: What people are told; a note in a ticket tells nobody.
KINDS = [kind for kind in DeliveryKind if kind != DeliveryKind.PSA_NOTE]
TOLD = (DeliveryStatus.SENT, DeliveryStatus.DELIVERED)


def some_delivery(choose: random.Random, now: datetime) -> dict[str, Any]:
    """Return what a delivery may hold, whatever came before: no more than the constraints forbid."""
    late = timedelta(seconds=choose.choice([choose.uniform(90, 600), choose.uniform(-600, 30)]))
    status = choose.choice([*DeliveryStatus, DeliveryStatus.SENT, DeliveryStatus.FAILED])
    sent_at = now + timedelta(seconds=choose.uniform(-600, 600))
    is_sent = status in TOLD or (status not in OPEN and choose.random() < 0.3)
    leased = {"lease_until": now, "leased_by": new_id()}
    return {
        "status": status,
        "channel": choose.choice([Channel.PUSH, Channel.EMAIL]),
        "kind": choose.choice([*KINDS, *ASKING_KINDS]),
        "first_due_at": now - late,
        "reason": choose.choice([*SkipReason]) if status == DeliveryStatus.SKIPPED else None,
        "sent_at": sent_at if is_sent else None,
        "delivered_at": sent_at if status == DeliveryStatus.DELIVERED else None,
        **(leased if status == DeliveryStatus.SENDING else dict.fromkeys(leased)),
    }
