"""The event log: what happened in an account, numbered without gaps in the order of the commits.

`append` is the only function that writes an event. Whatever changes what a client can see goes through
it, in the transaction that makes the change, as the last statement: a lock on the counter that is taken
before another row's lock deadlocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, insert, literal, select, update

from db.enums import EventKind, HandoffIntent, ReminderAudience
from db.handoffs import HandoffRow
from db.models import account_counters, events
from db.session import Transaction, columns_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, not numbered yet."""

    kind: EventKind
    at: datetime
    summary: str  #: one sentence for a person, without the actor's name
    actor_id: UUID | None = None  #: None: the command line or the service itself
    session_id: UUID | None = None
    handoff_id: UUID | None = None
    team_id: UUID | None = None  #: of the session
    intent: HandoffIntent | None = None  #: of the handoff
    round: int = 0  #: of telling the responders
    except_id: UUID | None = None  #: the responder whom it does not tell
    audience: ReminderAudience | None = None  #: of a reminder; None: every responder


@dataclass(frozen=True, slots=True)
class EventRow:
    """A numbered event."""

    account_id: UUID
    sequence: int  #: 1, 2, 3 … within the account
    kind: EventKind
    at: datetime
    actor_id: UUID | None
    session_id: UUID | None
    handoff_id: UUID | None
    team_id: UUID | None
    intent: HandoffIntent | None
    round: int
    except_id: UUID | None
    audience: ReminderAudience | None
    summary: str


async def append(tx: Transaction, event: Event) -> int:
    """Give the event the account's next number, store it, and return the number.

    Nobody can see number n before n - 1: the counter's row stays locked until the commit.
    """
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    number = (
        update(account_counters)
        .where(tx.own(account_counters))
        .values(event_sequence=account_counters.c.event_sequence + 1)
        .returning(account_counters.c.event_sequence)
    )
    if tx.is_postgresql:
        counter = number.cte("counter")
        row = [literal(value, events.c[name].type) for name, value in values.items()]
        source = select(literal(tx.account_id), counter.c.event_sequence, *row)
        statement = insert(events).from_select(["account_id", "sequence", *values], source)
        tx.event_sequence = await tx.fetch_value(statement.returning(events.c.sequence))
    else:
        tx.event_sequence = await tx.fetch_value(number)
        await tx.execute(
            insert(events).values(account_id=tx.account_id, sequence=tx.event_sequence, **values)
        )
    return tx.event_sequence


async def append_about(
    tx: Transaction,
    kind: EventKind,
    handoff: HandoffRow,
    actor_id: UUID | None,
    summary: str,
    *,
    at: datetime,
    except_id: UUID | None = None,
    audience: ReminderAudience | None = None,
) -> int:
    """Append an event about a handoff as it is now, and return its number."""
    event = Event(
        kind=kind,
        at=at,
        summary=summary,
        actor_id=actor_id,
        session_id=handoff.session_id,
        handoff_id=handoff.id,
        team_id=handoff.team_id,
        intent=handoff.intent,
        round=handoff.round,
        except_id=except_id,
        audience=audience,
    )
    return await append(tx, event)


async def after(tx: Transaction, sequence: int, *, limit: int) -> list[EventRow]:
    """Return up to `limit` events after number `sequence`, in order."""
    statement = _select(tx).where(events.c.sequence > sequence).order_by(events.c.sequence).limit(limit)
    return await tx.fetch_all(statement, EventRow)


async def of_handoffs(tx: Transaction, handoff_ids: Sequence[UUID]) -> dict[UUID, list[EventRow]]:
    """Return the timeline of each handoff, oldest first."""
    found: dict[UUID, list[EventRow]] = {handoff_id: [] for handoff_id in handoff_ids}
    statement = _select(tx).where(events.c.handoff_id.in_(handoff_ids)).order_by(events.c.sequence)
    for row in await tx.fetch_all(statement, EventRow):
        if row.handoff_id is not None:
            found[row.handoff_id].append(row)
    return found


async def exists(tx: Transaction, kind: EventKind, handoff_id: UUID, actor_id: UUID, round_: int) -> bool:
    """Tell whether somebody did this to a handoff in this round."""
    statement = (
        select(events.c.sequence)
        .where(tx.own(events), events.c.handoff_id == handoff_id, events.c.kind == kind)
        .where(events.c.actor_id == actor_id, events.c.round == round_)
        .limit(1)
    )
    return await tx.fetch_value(statement) is not None


async def latest_sequence(tx: Transaction) -> int:
    """Return the number of the account's last event, 0 when there is none."""
    statement = select(account_counters.c.event_sequence).where(tx.own(account_counters))
    return await tx.fetch_value(statement) or 0


def _select(tx: Transaction) -> Select[tuple[object, ...]]:
    return select(*columns_of(EventRow, events)).where(tx.own(events))
