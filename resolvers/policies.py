"""What an account, and each of its people, decides about being told."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from db import claims, events, handoffs, policies, users
from db.enums import EventKind
from db.events import Event
from db.policies import AccountPolicy
from db.session import Transaction
from db.users import UserRow
from resolvers.errors import BadInput
from resolvers.permissions import require_admin

MOST_REMINDERS = 10
SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(days=30)


async def update_policy(
    tx: Transaction, viewer: UserRow, changes: dict[str, Any], *, now: datetime
) -> AccountPolicy:
    """Set fields of the account's policy. It counts at once, for what waits or is claimed too.

    Raises:
        Forbidden: the viewer is no owner or admin.
        BadInput: the times are too many, too short, too long or not ascending.
    """
    require_admin(viewer)
    policy = replace(await policies.read(tx), **changes)
    _check(policy)
    await policies.store(tx, policy)
    for handoff in await handoffs.waiting(tx):
        next_at = policy.reminder_at(handoff.opened_at, after=now if handoff.reminders else handoff.opened_at)
        await handoffs.schedule_reminder(tx, handoff.id, next_at)
    if "claim_expires_after" in changes:
        await claims.reschedule(tx, expires_at=policy.claim_expires_at(now))
    await _tell(tx, viewer, EventKind.POLICY_UPDATED, "changed the account's policy", now=now)
    return policy


async def update_preferences(
    tx: Transaction, viewer: UserRow, changes: dict[str, bool], *, now: datetime
) -> UserRow:
    """Set how the viewer wants to be told.

    Raises:
        BadInput: both channels would be off; an escalation must be able to reach its responders.
    """
    # As another request, or an earlier mutation of this one, left it.
    viewer = await users.lock(tx, viewer.id)
    wanted = replace(viewer, **changes)  # type: ignore[arg-type]  # each change is a flag of the row
    if wanted.mute_push and wanted.mute_email:
        raise BadInput("Only one of mutePush and muteEmail can be on: escalations must be able to reach you.")
    if wanted != viewer:
        await users.change(tx, viewer.id, changes)
        await _tell(tx, viewer, EventKind.PREFERENCES_UPDATED, "changed how they are told", now=now)
    return wanted


def _check(policy: AccountPolicy) -> None:
    times = policy.reminder_after
    if len(times) > MOST_REMINDERS:
        raise BadInput(f"reminderAfter holds {len(times)} times; at most {MOST_REMINDERS} are kept.")
    if any(later <= earlier for earlier, later in pairwise(times)):
        raise BadInput("reminderAfter must ascend, like [PT5M, PT15M].")
    expires = () if policy.claim_expires_after is None else (policy.claim_expires_after,)
    if any(not SHORTEST <= time <= LONGEST or time.microseconds for time in (*times, *expires)):
        raise BadInput(
            "reminderAfter and claimExpiresAfter must be between PT1S and P30D, and of whole seconds."
        )


async def _tell(tx: Transaction, viewer: UserRow, kind: EventKind, summary: str, *, now: datetime) -> None:
    await events.append(tx, Event(kind=kind, at=now, summary=summary, actor_id=viewer.id))
