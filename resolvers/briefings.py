"""What the one who claims should know: gathered, written, and kept until the session moves on."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from assist.briefing import WRITER, Known, Past, write
from assist.cases import read_case
from db import assessments, briefings, events, handoffs, sessions, users
from db.briefings import BriefingRow
from db.enums import EventKind, HandoffIntent
from db.events import EventRow
from db.handoffs import HandoffRow
from db.pages import Page
from db.session import Transaction
from db.users import UserRow
from resolvers.errors import HandoffNotFound

_HANDOFFS = 20  # earlier ones than these are not told of
_TOLD = {
    EventKind.HANDOFF_CREATED,
    EventKind.HANDOFF_CLAIMED,
    EventKind.HANDOFF_RELEASED,
    EventKind.HANDOFF_CLOSED,
}


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that a briefing tells, as it stands now."""

    known: Known
    version: str  #: another when anything of it has changed
    kept: BriefingRow | None  #: the briefing that tells just this; None: it is not written yet


@dataclass(frozen=True, slots=True)
class Briefing:
    """A briefing, and whether it is the one that is kept."""

    row: BriefingRow
    is_kept: bool


async def gather(tx: Transaction, handoff_id: UUID) -> Gathered:
    """Read what is to be told of a handoff; only reads.

    Raises:
        HandoffNotFound: the account has no such handoff.
    """
    handoff = (await handoffs.by_ids(tx, [handoff_id])).get(handoff_id)
    if handoff is None:
        raise HandoffNotFound
    known = await _gather(tx, handoff)
    version = hashlib.sha256(repr(known).encode()).hexdigest()
    kept = await briefings.find(tx, handoff_id)
    is_same = kept is not None and (kept.version, kept.generated_by) == (version, WRITER)
    return Gathered(known, version, kept if is_same else None)


async def brief(gathered: Gathered, *, now: datetime) -> Briefing:
    """Return the briefing, written anew when anything that it tells has changed. No transaction is open.

    A long session is read for seconds, in which all else must go on, and nobody may wait for the connection.
    The caller then lets the briefing be kept, in a transaction of its own: most who ask find what is kept
    already, and need not wait for those who write.
    """
    if gathered.kept is not None:
        return Briefing(gathered.kept, is_kept=True)
    text = await asyncio.to_thread(write, gathered.known)
    return Briefing(BriefingRow(gathered.version, text, WRITER, now), is_kept=False)


async def keep(tx: Transaction, handoff_id: UUID, briefing: Briefing) -> None:
    """Keep a briefing for the next who asks.

    One that somebody has replaced meanwhile is out of date at worst: the next who asks writes it anew.
    """
    await briefings.store(tx, handoff_id, briefing.row)


async def _gather(tx: Transaction, handoff: HandoffRow) -> Known:
    session = (await sessions.by_ids(tx, [handoff.session_id]))[handoff.session_id]
    case = await read_case(tx, handoff)
    told = await _timeline(tx, handoff)
    assessment = (await assessments.by_handoffs(tx, [handoff.id])).get(handoff.id)
    concerned = (handoff.handed_off_by_id, session.owner_id, handoff.claimed_by_id)
    wanted = {*concerned, *(event.actor_id for event in told)}
    people = await users.by_ids(tx, [user_id for user_id in wanted if user_id is not None])
    return Known(
        case=case,
        handed_off_by=people[handoff.handed_off_by_id].name,
        intent="escalated" if handoff.intent == HandoffIntent.ESCALATE else "parked",
        priority=handoff.priority.name,
        created_at=handoff.created_at,
        owner=people[session.owner_id].name,
        holder=_holder(handoff, people),
        ticket=session.psa_ticket_id,
        said_since=sum(message.at > handoff.created_at for message in case.messages),
        found=None if assessment is None else assessment.statements,
        past=tuple(_past(event, people) for event in told),
    )


def _holder(handoff: HandoffRow, people: Mapping[UUID, UserRow]) -> str | None:
    """Return the name of who has it; None: nobody, or somebody else concerned is called so."""
    holder = None if handoff.claimed_by_id is None else people[handoff.claimed_by_id].name
    return holder if [person.name for person in people.values()].count(holder or "") == 1 else None


async def _timeline(tx: Transaction, handoff: HandoffRow) -> list[EventRow]:
    """Return what was done with the session's handoffs, oldest first, without the making of this one."""
    earlier = (await handoffs.history(tx, [handoff.session_id], Page(_HANDOFFS)))[handoff.session_id]
    timelines = await events.of_handoffs(tx, [each.id for each in earlier])
    told = [event for timeline in timelines.values() for event in timeline if event.kind in _TOLD]
    is_own = (EventKind.HANDOFF_CREATED, handoff.id)
    return sorted(
        (event for event in told if (event.kind, event.handoff_id) != is_own),
        key=lambda event: event.sequence,
    )


def _past(event: EventRow, people: dict[UUID, UserRow]) -> Past:
    who = None if event.actor_id is None else people[event.actor_id].name
    return Past(at=event.at, who=who, what=event.summary)
