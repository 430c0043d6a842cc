"""Handoffs: the acts of passing a session on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    insert,
    literal,
    select,
    update,
)

from db.children import pages_of
from db.enums import HandoffIntent, HandoffPriority, HandoffState
from db.models import account_policies, handoffs, users
from db.pages import Page, SortKey
from db.prepared import Ask, fetch, listed, own, value
from db.session import Transaction, columns_of
from db.steps import Move
from db.types import UtcDateTime, later
from db.users import is_responder


@dataclass(frozen=True, slots=True)
class HandoffRow:
    """One act of passing a session on."""

    id: UUID
    account_id: UUID
    session_id: UUID
    team_id: UUID | None  #: the session's team at the moment of handoff
    intent: HandoffIntent
    priority: HandoffPriority
    state: HandoffState
    notes: str | None
    snapshot: dict[str, Any]  #: as `resolvers/snapshots.py` makes it; never changes
    source_branch_id: UUID | None  #: the branch that was active
    round: int  #: of telling the responders; a release begins the next
    reach_online: int  #: responders with a dashboard at the moment of handoff
    reach_email: int  #: responders without
    unreachable: bool  #: whether none of them had a channel open at the moment of handoff
    handed_off_by_id: UUID
    created_at: datetime
    claimed_by_id: UUID | None
    claimed_at: datetime | None
    claim_expires_at: datetime | None  #: None: the claim lasts
    closed_at: datetime | None
    opened_at: datetime  #: when it last came into the queue
    reminders: int  #: sent since it was opened
    next_reminder_at: datetime | None  #: None: nobody is reminded
    reach_check_at: datetime | None  #: when to see whether anybody could be told of the round; None: known
    psa_note_id: str | None  #: of the note in the ticket, as the PSA names it


#: How long after a telling, and how often until it is known, a worker sees whether anybody could be told.
REACH_CHECK_EVERY = timedelta(minutes=1)


NEWEST_FIRST = SortKey([handoffs.c.created_at, handoffs.c.id], descending=True)
_COLUMNS = columns_of(HandoffRow, handoffs)


def adding(row: HandoffRow) -> Move:
    """Store a handoff.

    It raises IntegrityError on `uq_handoffs_one_unfinished` where the session has an open or claimed one.
    """
    return Move(_ADD, {f"handoff_{column.name}": getattr(row, column.name) for column in _COLUMNS})


def claiming(handoff_id: UUID, user_id: UUID, *, at: datetime) -> Move:
    """Give an open handoff to the user, for as long as the policy says; it matches none that is not open.

    The one statement is the arbiter: of any number that arrive together, the first to reach the row
    changes it, and for every other the condition no longer holds. Nor does it match for a user who is no
    responder any more; the caller holds them (`users.hold`), so that this stays so until the commit.
    """
    return Move(_CLAIM, {"claim_id": handoff_id, "claimer_id": user_id, "claim_at": at})


def ask_unfinished(session_id: UUID) -> Ask[HandoffRow]:
    """Ask for the session's open or claimed handoff; there is at most one."""
    return Ask(_UNFINISHED, HandoffRow, {"session_id": session_id})


async def extend_claim(tx: Transaction, handoff_id: UUID, *, expires_at: datetime) -> None:
    """Let a claim that may expire last longer: its holder works on the session."""
    expires = and_(handoffs.c.state == HandoffState.CLAIMED, handoffs.c.claim_expires_at.is_not(None))
    await _move(tx, handoff_id, expires, {"claim_expires_at": expires_at})


async def release(
    tx: Transaction, handoff_id: UUID, holder_id: UUID, *, at: datetime, next_reminder_at: datetime | None
) -> HandoffRow | None:
    """Put a handoff that somebody has claimed back into the queue; None where they have not."""
    held = and_(handoffs.c.state == HandoffState.CLAIMED, handoffs.c.claimed_by_id == holder_id)
    return await _move(tx, handoff_id, held, reopened(at, next_reminder_at))


async def expire_claim(
    tx: Transaction, handoff_id: UUID, *, at: datetime, next_reminder_at: datetime | None
) -> HandoffRow | None:
    """Put a handoff whose claim has expired back into the queue; None where it has not (any more)."""
    expired = and_(handoffs.c.state == HandoffState.CLAIMED, handoffs.c.claim_expires_at <= at)
    return await _move(tx, handoff_id, expired, reopened(at, next_reminder_at))


async def remind(
    tx: Transaction, handoff_id: UUID, *, at: datetime, next_reminder_at: datetime | None
) -> HandoffRow | None:
    """Begin the next round of an open handoff whose reminder is due; None where it is not (any more)."""
    due = and_(handoffs.c.state == HandoffState.OPEN, handoffs.c.next_reminder_at <= at)
    values = {
        "round": handoffs.c.round + 1,
        "reminders": handoffs.c.reminders + 1,
        "next_reminder_at": next_reminder_at,
        "reach_check_at": at + REACH_CHECK_EVERY,
    }
    return await _move(tx, handoff_id, due, values)


async def waiting(tx: Transaction) -> list[HandoffRow]:
    """Return the open escalations."""
    escalated = and_(handoffs.c.state == HandoffState.OPEN, handoffs.c.intent == HandoffIntent.ESCALATE)
    return await tx.fetch_all(_select(tx, escalated), HandoffRow)


async def schedule_reminder(tx: Transaction, handoff_id: UUID, at: datetime | None) -> None:
    """Set when the next reminder of an open handoff is due."""
    await _move(tx, handoff_id, handoffs.c.state == HandoffState.OPEN, {"next_reminder_at": at})


async def check_reach(tx: Transaction, handoff_id: UUID, *, at: datetime) -> HandoffRow | None:
    """Take up the check of an open handoff that is due, and set the next; None where none is (any more)."""
    due = and_(handoffs.c.state == HandoffState.OPEN, handoffs.c.reach_check_at <= at)
    return await _move(tx, handoff_id, due, {"reach_check_at": at + REACH_CHECK_EVERY})


async def end_reach_checks(tx: Transaction, handoff_id: UUID) -> None:
    """Record that it is known whether anybody could be told of the present round."""
    await _move(tx, handoff_id, handoffs.c.reach_check_at.is_not(None), {"reach_check_at": None})


async def close(tx: Transaction, handoff_id: UUID, *, at: datetime) -> HandoffRow | None:
    """Close an open or claimed handoff; None where it was closed already."""
    values = {"state": HandoffState.CLOSED, "closed_at": at}
    return await _move(tx, handoff_id, handoffs.c.state != HandoffState.CLOSED, values)


async def note_pushed(tx: Transaction, handoff_id: UUID, psa_note_id: str) -> HandoffRow | None:
    """Record the note that stands in the ticket; None where the account has no such handoff."""
    return await _move(tx, handoff_id, handoffs.c.id == handoff_id, {"psa_note_id": psa_note_id})


async def unfinished_of(tx: Transaction, session_id: UUID) -> HandoffRow | None:
    """Return the session's open or claimed handoff; there is at most one."""
    return next(iter(await fetch(tx, ask_unfinished(session_id))), None)


async def by_ids(tx: Transaction, handoff_ids: Sequence[UUID]) -> dict[UUID, HandoffRow]:
    """Return the handoffs of this account among the ids."""
    rows = await fetch(tx, Ask(_BY_IDS, HandoffRow, {"ids": handoff_ids}))
    return {row.id: row for row in rows}


async def history(tx: Transaction, session_ids: Sequence[UUID], page: Page) -> dict[UUID, list[HandoffRow]]:
    """Return up to `page.limit` handoffs of each session, newest first. The sort key is (created_at, id)."""
    return await pages_of(tx, HandoffRow, handoffs.c.session_id, NEWEST_FIRST, session_ids, page)


def reopened(at: datetime, next_reminder_at: datetime | None) -> dict[str, Any]:
    """Return what changes of a claimed handoff that comes back into the queue."""
    return {
        "state": HandoffState.OPEN,
        "claimed_by_id": None,
        "claimed_at": None,
        "claim_expires_at": None,
        "opened_at": at,
        "round": handoffs.c.round + 1,
        "reminders": 0,
        "next_reminder_at": case(
            (handoffs.c.intent == HandoffIntent.ESCALATE, literal(next_reminder_at, UtcDateTime))
        ),
        "reach_check_at": case(
            (handoffs.c.intent == HandoffIntent.ESCALATE, literal(at + REACH_CHECK_EVERY, UtcDateTime))
        ),
    }


async def _move(
    tx: Transaction, handoff_id: UUID, allowed: ColumnElement[bool], values: dict[str, Any]
) -> HandoffRow | None:
    statement = update(handoffs).where(tx.own(handoffs), handoffs.c.id == handoff_id, allowed).values(values)
    return await tx.fetch_one(statement.returning(*_COLUMNS), HandoffRow)


def _select(tx: Transaction, *conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    return select(*_COLUMNS).where(tx.own(handoffs), *conditions)


_ADD = (
    insert(handoffs)
    .values({column.name: value(f"handoff_{column.name}", column) for column in _COLUMNS})
    .returning(*_COLUMNS)
)
_claimed_at = value("claim_at", handoffs.c.claimed_at)
_claimer = value("claimer_id", handoffs.c.claimed_by_id)
_may_claim = select(users.c.id).where(own(users), users.c.id == _claimer, is_responder()).exists()
#: As `AccountPolicy.claim_expires_at` tells; NULL where the account has no policy, or none for claims.
_claim_lasts = select(account_policies.c.claim_expires_after).where(own(account_policies)).scalar_subquery()
_CLAIM = (
    update(handoffs)
    .where(own(handoffs), handoffs.c.id == value("claim_id", handoffs.c.id))
    .where(handoffs.c.state == HandoffState.OPEN, _may_claim)
    .values(
        state=HandoffState.CLAIMED,
        claimed_by_id=_claimer,
        claimed_at=_claimed_at,
        claim_expires_at=later(_claimed_at, _claim_lasts),
    )
    .returning(*_COLUMNS)
)
_BY_IDS = select(*_COLUMNS).where(own(handoffs), listed(handoffs.c.id))
_UNFINISHED = select(*_COLUMNS).where(
    own(handoffs),
    handoffs.c.session_id == value("session_id", handoffs.c.session_id),
    handoffs.c.state != HandoffState.CLOSED,
)
