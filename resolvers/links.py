"""What a link in a mail shows and does, for the person whom the mail was sent to."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db import accounts, deliveries, handoffs, users
from db.handoffs import HandoffRow
from db.session import Transaction
from db.users import UserRow
from resolvers.briefings import Gathered, gather
from resolvers.errors import BadInput, HandoffNotFound
from resolvers.handoffs import claim
from resolvers.permissions import require_user
from resolvers.policies import update_preferences


@dataclass(frozen=True, slots=True)
class LinkedHandoff:
    """A handoff as the page of a claim link shows it."""

    handoff: HandoffRow
    account_name: str
    recipient: UserRow
    handed_off_by: UserRow
    claimed_by: UserRow | None
    is_used: bool  #: the link has claimed already
    briefing: Gathered | None  #: for the one who has claimed it; None for everybody else


async def look(tx: Transaction, recipient_id: UUID, handoff_id: UUID, delivery_id: UUID) -> LinkedHandoff:
    """Read what a claim link shows. The briefing is the caller's to have written, and to keep.

    Raises:
        Unauthenticated: the recipient may not sign in any more.
        HandoffNotFound: it is gone.
    """
    recipient = await _recipient(tx, recipient_id)
    handoff = (await handoffs.by_ids(tx, [handoff_id])).get(handoff_id)
    if handoff is None:
        raise HandoffNotFound
    wanted = [handoff.handed_off_by_id, handoff.claimed_by_id]
    people = await users.by_ids(tx, [user_id for user_id in wanted if user_id is not None])
    return LinkedHandoff(
        handoff=handoff,
        account_name=(await accounts.by_id(tx)).name,
        recipient=recipient,
        handed_off_by=people[handoff.handed_off_by_id],
        claimed_by=None if handoff.claimed_by_id is None else people[handoff.claimed_by_id],
        is_used=await deliveries.is_link_used(tx, delivery_id),
        briefing=await gather(tx, handoff_id) if handoff.claimed_by_id == recipient.id else None,
    )


async def claim_by_link(
    tx: Transaction, recipient_id: UUID, handoff_id: UUID, delivery_id: UUID, *, now: datetime
) -> HandoffRow:
    """Claim a handoff for the recipient of a mail, once for each mail.

    The winner's repeated click finds its own claim, and writes nothing.

    Raises:
        Unauthenticated: the recipient may not sign in any more.
        BadInput: the link has claimed already.
        Forbidden, HandoffNotFound, HandoffAlreadyClaimed, HandoffNotOpen: as `handoffs.claim`.
    """
    handoff = (await claim(tx, await _recipient(tx, recipient_id), handoff_id, now=now)).handoff
    if handoff.claimed_at == now and not await deliveries.use_link(tx, delivery_id, at=now):
        raise BadInput("This link was used already. Sign in to claim the handoff again.")
    return handoff


async def quiet_reminders(tx: Transaction, user_id: UUID, *, now: datetime) -> None:
    """Turn the mails of reminders off for a person.

    Raises:
        Unauthenticated: they may not sign in any more, and are told nothing anyway.
    """
    await update_preferences(tx, await _recipient(tx, user_id), {"quiet_reminders": True}, now=now)


async def _recipient(tx: Transaction, user_id: UUID) -> UserRow:
    return require_user((await users.by_ids(tx, [user_id])).get(user_id))
