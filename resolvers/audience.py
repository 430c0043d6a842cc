"""Who would be told of an escalation, and who was told of a handoff, with the reason for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db import presence, sessions, users
from db.deliveries import DeliveryRow
from db.enums import Channel, DeliveryStatus, HandoffIntent, SkipReason
from db.handoffs import HandoffRow
from db.session import Transaction
from db.users import UserRow
from resolvers.errors import SessionNotFound


@dataclass(frozen=True, slots=True)
class AudienceMember:
    """A person of the account, and how they would be told."""

    user: UserRow
    channel: Channel | None  #: None: not at all
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Whether a person was told of a handoff, and why or why not."""

    told: bool
    reason: str
    deliveries: list[DeliveryRow]


_SKIPPED = {
    SkipReason.PUSH_DELIVERED: "your dashboard confirmed it, so no mail was needed",
    SkipReason.CLAIMED: "somebody claimed it before it was sent",
    SkipReason.RELEASED: "it came back to the queue before it was sent",
    SkipReason.CLOSED: "it was closed before it was sent",
    SkipReason.RECIPIENT_INACTIVE: "you were deactivated",
    SkipReason.ROLE_CHANGED: "you were no responder any more",
    SkipReason.OPTED_OUT: "you turned it off in your preferences",
    SkipReason.SUPERSEDED: "a later round told it again",
}


async def escalation_audience(
    tx: Transaction, viewer: UserRow, session_id: UUID, *, now: datetime
) -> list[AudienceMember]:
    """Return everyone of the account, and how they would be told if the viewer escalated the session now.

    Raises:
        SessionNotFound: the account has no such session.
    """
    session = (await sessions.by_ids(tx, [session_id])).get(session_id)
    if session is None:
        raise SessionNotFound
    online = await presence.online_for(tx, session.team_id, now=now)
    return [_member(user, viewer, user.id in online) for user in await users.in_account(tx)]


def notice_of(viewer: UserRow, handoff: HandoffRow, mine: list[DeliveryRow]) -> Notice:
    """Return whether the viewer was told of a handoff, over which channels, and why or why not.

    `mine` are the viewer's deliveries of the handoff.
    """
    told = any(row.status in (DeliveryStatus.SENT, DeliveryStatus.DELIVERED) for row in mine)
    return Notice(told, _why_none(viewer, handoff) if not mine else _explain(mine), mine)


def _member(user: UserRow, viewer: UserRow, is_online: bool) -> AudienceMember:
    if not user.active:
        return AudienceMember(user, None, "Is deactivated.")
    if not user.is_responder:
        return AudienceMember(user, None, "Is a viewer, and viewers are not told.")
    if user.id == viewer.id:
        return AudienceMember(user, None, "Escalates, and so need not be told.")
    if is_online and not user.mute_push:
        follows = (
            "no mail follows: they are off" if user.mute_email else "a mail follows if it does not confirm"
        )
        return AudienceMember(user, Channel.PUSH, f"Has a dashboard open; {follows}.")
    if user.mute_email:
        return AudienceMember(user, None, "Has turned mails off, and has no dashboard open that shows it.")
    if is_online:
        return AudienceMember(user, Channel.EMAIL, "Has turned pushes off.")
    return AudienceMember(user, Channel.EMAIL, "Has no dashboard open that shows it.")


def _why_none(viewer: UserRow, handoff: HandoffRow) -> str:
    if handoff.intent == HandoffIntent.PARK:
        return "It was parked, and parking tells no one."
    if handoff.handed_off_by_id == viewer.id:
        return "You passed it on yourself."
    if not viewer.is_responder:
        return "You are a viewer, and viewers are not told."
    return "You were no responder of the account when it was told."


def _explain(mine: Sequence[DeliveryRow]) -> str:
    return " ".join(f"{row.channel.value} (round {row.round}): {_state(row)}." for row in mine)


def _state(row: DeliveryRow) -> str:
    if row.reason is not None:
        return f"skipped, {_SKIPPED[row.reason]}"
    match row.status:
        case DeliveryStatus.PENDING | DeliveryStatus.SENDING:
            return f"due {row.due_at:%Y-%m-%d %H:%M:%S} UTC"
        case DeliveryStatus.FAILED:
            return f"failed, {row.error}"
    return row.status.value.lower()
