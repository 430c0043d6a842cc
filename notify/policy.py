"""Who is told of an escalation, over which channel and when: values in, values out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.deliveries import DeliveryRow, NewDelivery
from db.enums import (
    ADMIN_ROLES,
    Channel,
    DeliveryKind,
    DeliveryStatus,
    HandoffIntent,
    HandoffState,
    ReminderAudience,
    Role,
    SkipReason,
)
from db.handoffs import HandoffRow
from db.users import UserRow
from notify.backoff import pause_after

#: After this long a mail that the server keeps refusing for now is given up, if it was tried so often: within
#: 25 minutes or more. What waited for hours, because no worker ran, may meet a server that greylists.
GIVE_UP_AFTER = timedelta(hours=4)
FEWEST_ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom a handoff reached at the moment that it was made."""

    online: int  #: responders with a dashboard that shows it
    email: int  #: the other responders
    unreachable: bool  #: no responder has a channel open. Never for parking, which is not meant to tell


def recipients(
    responders: Iterable[UserRow],
    *,
    except_id: UUID | None,
    audience: ReminderAudience = ReminderAudience.EVERYONE,
) -> list[UserRow]:
    """Return the responders who are told: the audience but the one whom it does not tell."""
    return [
        user
        for user in responders
        if user.is_responder and user.id != except_id and is_in(audience, user.role)
    ]


def is_in(audience: ReminderAudience | None, role: Role) -> bool:
    """Tell whether somebody with this role belongs to the audience; None is every responder."""
    return audience != ReminderAudience.OWNERS_AND_ADMINS or role in ADMIN_ROLES


def reach(intent: HandoffIntent, told: Iterable[UserRow], online: set[UUID]) -> Reach:
    """Count who is at a screen and who is not, and find out whether anybody has a channel open."""
    told = list(told)
    at_a_screen = sum(user.id in online for user in told)
    can_be_told = any(_is_pushed(user, online) or not user.mute_email for user in told)
    return Reach(
        online=at_a_screen,
        email=len(told) - at_a_screen,
        unreachable=intent == HandoffIntent.ESCALATE and not can_be_told,
    )


def plan(
    told: Iterable[UserRow], online: set[UUID], kind: DeliveryKind, *, now: datetime, grace: timedelta
) -> list[NewDelivery]:
    """Return the deliveries of one round.

    Everyone gets an email row: due now for those who are offline, due after the grace period for those
    who get a push as well, in case nobody confirms it. What a recipient has turned off is planned as
    skipped, so that the ledger tells why nothing came. Beside a push the mail of someone who mutes all
    mails waits for the grace period: working it off also settles a push that nobody confirmed.
    """
    planned = []
    for user in told:
        is_pushed = _is_pushed(user, online)
        if user.id in online:
            muted = SkipReason.OPTED_OUT if user.mute_push else None
            planned.append(_delivery(user, Channel.PUSH, now, muted))
        is_quiet = _is_muted(user, kind)
        due_at = now + grace if is_pushed else now
        waits = is_pushed and user.mute_email
        skipped = SkipReason.OPTED_OUT if is_quiet and not waits else None
        planned.append(_delivery(user, Channel.EMAIL, due_at, skipped))
    return planned


def _is_pushed(user: UserRow, online: set[UUID]) -> bool:
    return user.id in online and not user.mute_push


def _delivery(user: UserRow, channel: Channel, due_at: datetime, skipped: SkipReason | None) -> NewDelivery:
    return NewDelivery(recipient_id=user.id, channel=channel, due_at=due_at, skipped=skipped)


def reason_to_skip(
    delivery: DeliveryRow,
    handoff: HandoffRow,
    recipient: UserRow,
    *,
    push: DeliveryStatus | None,
    latest_round: int,
) -> SkipReason | None:
    """Return why a mail is not wanted any more, None where it is.

    `push` is where the push to the recipient stands, `latest_round` the last one that mails them.
    """
    if not recipient.may_sign_in:
        return SkipReason.RECIPIENT_INACTIVE
    if not recipient.is_responder:
        return SkipReason.ROLE_CHANGED
    if not _tells_of(delivery.kind, handoff.state):
        return _ENDED[handoff.state]
    if latest_round > delivery.round:
        return SkipReason.SUPERSEDED
    if _is_muted(recipient, delivery.kind):
        return SkipReason.OPTED_OUT
    return SkipReason.PUSH_DELIVERED if push == DeliveryStatus.DELIVERED else None


def _is_muted(user: UserRow, kind: DeliveryKind) -> bool:
    """Tell whether somebody has turned off mails of a kind. That nobody could be told they must know."""
    if kind == DeliveryKind.UNREACHED:
        return False
    return user.mute_email or (kind == DeliveryKind.REMINDER and user.quiet_reminders)


def _tells_of(kind: DeliveryKind, state: HandoffState) -> bool:
    return state == (HandoffState.CLAIMED if kind == DeliveryKind.CLAIMED else HandoffState.OPEN)


_ENDED = {
    HandoffState.OPEN: SkipReason.RELEASED,
    HandoffState.CLAIMED: SkipReason.CLAIMED,
    HandoffState.CLOSED: SkipReason.CLOSED,
}


def retry_at(attempt: int, *, created_at: datetime, now: datetime) -> datetime | None:
    """Return when to try a mail again after the given failed attempt (1 is the first); None to give up."""
    if now - created_at >= GIVE_UP_AFTER and attempt >= FEWEST_ATTEMPTS:
        return None
    return now + pause_after(attempt)
