"""A handoff once it is made: claim, release, acknowledge, close.

Every function locks the session first, a claim its claimer before that, then changes the handoff, and
appends the events last: the order that all writers share, so that none waits for another in a circle.
Nobody is told here; the deliveries and events that a transaction leaves behind are sent after its commit,
by others.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db import (
    deliveries,
    delivery_steps,
    events,
    handoffs,
    policies,
    pushes,
    sessions,
    users,
)
from db.enums import (
    EventKind,
    HandoffIntent,
    HandoffState,
    SkipReason,
)
from db.events import News, append_about
from db.handoffs import HandoffRow
from db.moves import move, move_alone
from db.session import Transaction
from db.sessions import SessionRow
from db.users import UserRow
from resolvers.errors import (
    BadInput,
    Forbidden,
    HandoffAlreadyClaimed,
    HandoffNotClaimedByYou,
    HandoffNotFound,
    HandoffNotOpen,
)
from resolvers.inputs import MAX_REASON, clean_optional_text
from resolvers.permissions import is_admin, require_responder
from resolvers.reopening import Reopened, announce, set_back

#: Who did one of these to a handoff may, with a release, mean a claim that is over.
_HAVING_HAD = (EventKind.HANDOFF_CLAIMED, EventKind.HANDOFF_RELEASED)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A handoff that is the claimer's."""

    handoff: HandoffRow
    session: SessionRow | None = None  #: as the claim left it; None where it was claimed before


async def claim(
    tx: Transaction, viewer: UserRow, handoff_id: UUID, *, now: datetime, is_all: bool = False
) -> Claimed:
    """Give an open handoff to the viewer, and to nobody else.

    The race is settled by the conditional UPDATE of `db.handoffs.claiming`: the first to reach the row takes
    it, everybody else's matches nothing and is then explained. What follows from a claim goes with it, on
    PostgreSQL in the same statement: the session is the viewer's, what was still to be sent is skipped, so
    that no mail about the handoff begins after the commit, who escalated is told, and the event is appended.
    The session is held from before the statement begins until the commit: it sees all that others have
    added, and nobody adds more meanwhile. The viewer is held as well: whoever deactivates or demotes them
    finds this claim, or is found by it. The winner's repeated click finds its own claim and writes nothing.
    `is_all`: the transaction does nothing else, so that PostgreSQL is told of all of it in one message.

    Raises:
        Forbidden: the viewer only reads, or has become no responder at this moment. The role that they came
            with is checked first: that says nothing about the handoff.
        HandoffNotFound: the account has no such handoff.
        HandoffAlreadyClaimed: somebody else has it; the refusal says who and since when.
        HandoffNotOpen: it is closed.
    """
    require_responder(viewer)
    changes = (
        handoffs.claiming(handoff_id, viewer.id, at=now),
        sessions.taking_over(),
        delivery_steps.skipping(SkipReason.CLAIMED),
        delivery_steps.telling_escalator(at=now),
    )
    news = News(kind=EventKind.HANDOFF_CLAIMED, at=now, actor_id=viewer.id, summary="claimed it")
    moved = None
    if is_all:
        held = sessions.holding_of_handoff(handoff_id, for_user_id=viewer.id)
        moved = await move_alone(tx, held, *changes, news=news)
    if moved is None:
        await users.hold(tx, viewer.id)
        await sessions.hold_of_handoff(tx, handoff_id)
        moved = await move(tx, *changes, news=news)
    if moved is None:
        return Claimed(await _explain_lost_claim(tx, viewer, handoff_id))
    return Claimed(moved.handoff, moved.session)


async def release(
    tx: Transaction,
    viewer: UserRow,
    handoff_id: UUID,
    reason: str | None,
    *,
    now: datetime,
    grace: timedelta,
    claimed_by_id: UUID | None = None,
) -> HandoffRow:
    """Put a claimed handoff back into the queue: one's own, or as an owner or admin anybody's.

    An escalation begins a new round: every responder but the viewer is told again.

    `claimed_by_id` says from whom it is taken: whoever has claimed it meanwhile keeps it. Without, an owner
    or admin takes it from whoever has it, but for one case: they have claimed or released it before, and now
    somebody else has it. Then it may be a second click, or one on a page that still shows them as the
    claimer, and it is refused. A first click on a page that shows an earlier claimer cannot be told from one
    that is meant: pages name whom they show.

    Raises:
        Forbidden: the viewer only reads.
        HandoffNotFound: the account has no such handoff.
        HandoffNotClaimedByYou: the viewer does not hold it; or for an owner or admin nobody does, or another
            than they named, or could mean.
        BadInput: the reason cannot be stored.
    """
    require_responder(viewer)
    reason = clean_optional_text("reason", reason, MAX_REASON)
    session = await sessions.lock_of_handoff(tx, handoff_id)
    if session is None:
        raise HandoffNotFound
    holder_id, what = viewer.id, "released it"
    if is_admin(viewer):
        holder_id, what = await _release_by_admin(tx, viewer, handoff_id, claimed_by_id)
    elif claimed_by_id not in (None, viewer.id):
        raise HandoffNotClaimedByYou
    next_reminder_at = (await policies.read(tx)).reminder_at(now, after=now)
    handoff = await handoffs.release(tx, handoff_id, holder_id, at=now, next_reminder_at=next_reminder_at)
    if handoff is None:
        _expect_not_closed((await handoffs.by_ids(tx, [handoff_id]))[handoff_id])
        raise HandoffNotClaimedByYou
    reopened = [Reopened(handoff, session)]
    await set_back(tx, reopened, except_id=viewer.id, now=now, grace=grace)
    summary = what if reason is None else f"{what}: {reason}"
    await announce(tx, reopened, summary, actor_id=viewer.id, except_id=viewer.id, now=now)
    return handoff


async def acknowledge(tx: Transaction, viewer: UserRow, handoff_id: UUID, *, now: datetime) -> HandoffRow:
    """Record that the viewer has seen an escalation, once; their mail about it is not needed any more.

    Raises:
        Forbidden: the viewer only reads.
        HandoffNotFound: the account has no such handoff.
        BadInput: it was parked, which tells no one.
    """
    require_responder(viewer)
    if await sessions.lock_of_handoff(tx, handoff_id) is None:
        raise HandoffNotFound
    handoff = (await handoffs.by_ids(tx, [handoff_id]))[handoff_id]
    if handoff.intent == HandoffIntent.PARK:
        raise BadInput("This handoff was parked: parking tells no one, so there is nothing to acknowledge.")
    seen = await events.exists(tx, [EventKind.HANDOFF_ACKNOWLEDGED], handoff_id, viewer.id, handoff.round)
    if handoff.state == HandoffState.OPEN and not seen:
        push = pushes.Push(handoff_id, viewer.id, handoff.round)
        await pushes.lock(tx, [push])
        await pushes.confirm(tx, [push], at=now)
        await append_about(tx, EventKind.HANDOFF_ACKNOWLEDGED, handoff, viewer.id, "has seen it", at=now)
    return handoff


async def close(tx: Transaction, handoff: HandoffRow, *, now: datetime) -> None:
    """Close a handoff: what was still to be sent about it is skipped. The caller appends the event."""
    await handoffs.close(tx, handoff.id, at=now)
    await deliveries.skip_unsent(tx, handoff.id, SkipReason.CLOSED)


async def close_resolved(tx: Transaction, viewer: UserRow, session_id: UUID, *, now: datetime) -> None:
    """Close the handoff of a session that is being resolved, if it has one that is not finished.

    The caller holds the session's lock and has made every other change: this appends an event.
    """
    handoff = await handoffs.unfinished_of(tx, session_id)
    if handoff is not None:
        await close(tx, handoff, now=now)
        summary = "closed it: the session was resolved"
        await append_about(tx, EventKind.HANDOFF_CLOSED, handoff, viewer.id, summary, at=now)


async def _release_by_admin(
    tx: Transaction, admin: UserRow, handoff_id: UUID, named_id: UUID | None
) -> tuple[UUID, str]:
    """Return who has the handoff, and what its release is called: it may be taken from somebody else.

    Raises:
        HandoffNotClaimedByYou: nobody has it (any more), or somebody from whom it must not be taken.
    """
    handoff = (await handoffs.by_ids(tx, [handoff_id]))[handoff_id]
    _expect_not_closed(handoff)
    holder_id = handoff.claimed_by_id
    if holder_id is None:
        raise HandoffNotClaimedByYou("Nobody has claimed this handoff.")
    if holder_id == admin.id and named_id in (None, admin.id):
        return holder_id, "released it"
    name = (await users.by_ids(tx, [holder_id]))[holder_id].name
    if named_id is None and await events.exists(tx, _HAVING_HAD, handoff_id, admin.id):
        raise HandoffNotClaimedByYou(
            f"You have claimed or released this handoff before, and {name} has it now. "
            "Name them in claimedById to take it from them."
        )
    if named_id not in (None, holder_id):
        raise HandoffNotClaimedByYou(f"{name} has this handoff now.")
    return holder_id, f"took it back from {name}"


def _expect_not_closed(handoff: HandoffRow) -> None:
    if handoff.state == HandoffState.CLOSED:
        raise HandoffNotClaimedByYou("This handoff is closed.")


async def _explain_lost_claim(tx: Transaction, viewer: UserRow, handoff_id: UUID) -> HandoffRow:
    handoff = (await handoffs.by_ids(tx, [handoff_id])).get(handoff_id)
    if handoff is None:
        raise HandoffNotFound
    if handoff.state == HandoffState.OPEN:  # nobody was first: the claimer is no responder any more
        raise Forbidden
    if handoff.state == HandoffState.CLOSED or handoff.claimed_by_id is None or handoff.claimed_at is None:
        raise HandoffNotOpen(handoff.state)
    if handoff.claimed_by_id != viewer.id:
        raise HandoffAlreadyClaimed(handoff.claimed_by_id, handoff.claimed_at)
    return handoff
