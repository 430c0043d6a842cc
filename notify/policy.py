"""Who is told of an escalation, over which channel and when. Pure: values in, values out."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.deliveries import DeliveryRow, NewDelivery
from db.enums import Channel, DeliveryStatus, HandoffState, SkipReason
from db.handoffs import HandoffRow
from db.users import UserRow

#: After this long a mail that the server keeps refusing for now is given up.
GIVE_UP_AFTER = timedelta(hours=4)
_FIRST_RETRY_SECONDS = 5.0
_LONGEST_RETRY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom an escalation reached at the moment that it was made."""

    online: int  #: responders with a dashboard that shows it
    email: int  #: the other responders

    @property
    def unreachable(self) -> bool:
        """Whether nobody at all is told."""
        return self.online + self.email == 0


def recipients(responders: Iterable[UserRow], *, except_for: UUID) -> list[UUID]:
    """Return the responders who are told: all of the account but the one who passed the session on."""
    return [user.id for user in responders if user.is_responder and user.id != except_for]


def reach(told: Iterable[UUID], online: set[UUID]) -> Reach:
    """Count who is at a screen and who is not."""
    told = list(told)
    at_a_screen = sum(user_id in online for user_id in told)
    return Reach(online=at_a_screen, email=len(told) - at_a_screen)


def plan(told: Iterable[UUID], online: set[UUID], *, now: datetime, grace: timedelta) -> list[NewDelivery]:
    """Return the deliveries of one round.

    Everyone gets an email row: due now for those who are offline, due after the grace period for those
    who get a push as well, in case nobody confirms it.
    """
    planned = []
    for user_id in told:
        if user_id in online:
            planned.append(NewDelivery(recipient_id=user_id, channel=Channel.PUSH, due_at=now))
        due_at = now + grace if user_id in online else now
        planned.append(NewDelivery(recipient_id=user_id, channel=Channel.EMAIL, due_at=due_at))
    return planned


def reason_to_skip(
    delivery: DeliveryRow, handoff: HandoffRow, recipient: UserRow, push: DeliveryStatus | None
) -> SkipReason | None:
    """Return why a mail is not wanted any more, None where it is. `push`: where the push stands."""
    if handoff.state == HandoffState.CLAIMED:
        return SkipReason.CLAIMED
    if handoff.state == HandoffState.CLOSED:
        return SkipReason.CLOSED
    if handoff.round != delivery.round:
        return SkipReason.SUPERSEDED
    if not recipient.may_sign_in:
        return SkipReason.RECIPIENT_INACTIVE
    if not recipient.is_responder:
        return SkipReason.ROLE_CHANGED
    return SkipReason.PUSH_DELIVERED if push == DeliveryStatus.DELIVERED else None


def retry_at(attempt: int, *, created_at: datetime, now: datetime) -> datetime | None:
    """Return when to try again after the given failed attempt (1 is the first); None to give up.

    Doubles from 5 seconds to 10 minutes, each time anywhere between half and the whole of it, so that
    the mails of an outage do not all come back at once.
    """
    if now - created_at >= GIVE_UP_AFTER:
        return None
    longest = min(_FIRST_RETRY_SECONDS * 2 ** min(attempt - 1, 10), _LONGEST_RETRY_SECONDS)
    return now + timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
