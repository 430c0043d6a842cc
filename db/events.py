"""The event log: what happened in an account, numbered without gaps in the order of the commits.

`append` is the only function that writes an event, and `numbering` the only statement that does, which
`db/moves.py` takes into a larger one. Whatever changes what a client can see goes through them, in the
transaction that makes the change, last: a lock on the counter that is taken before another row's lock
deadlocks.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, insert, select, true, update
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from db.enums import EventKind, HandoffIntent, ReminderAudience
from db.handoffs import HandoffRow
from db.models import account_counters, events, handoffs
from db.prepared import ACCOUNT, own, run, value
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


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """An event about a handoff that is being moved; what it says of the handoff is taken from the row."""

    kind: EventKind
    at: datetime
    actor_id: UUID | None
    summary: str
    except_id: UUID | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The values of `row_about`."""
        return {f"event_{field.name}": getattr(self, field.name) for field in fields(self)}

    def about(self, handoff: HandoffRow) -> Event:
        """Return the event, given the handoff as it was moved: what `row_about` stores."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return Event(**told, **_of(handoff))


async def append(tx: Transaction, event: Event) -> int:
    """Give the event the account's next number, store it, and return the number.

    Nobody can see number n before n - 1: the counter's row stays locked until the commit.
    """
    values = {f"event_{field.name}": getattr(event, field.name) for field in fields(event)}
    if tx.is_postgresql:
        ((sequence,),) = await run(tx, _NUMBERED, values)
    else:
        ((sequence,),) = await run(tx, _NUMBER, {})
        await run(tx, _STORED, values | {"event_sequence": sequence})
    note_stored(tx, event, sequence)
    return sequence  # type: ignore[no-any-return]  # a column of whole numbers


def note_stored(tx: Transaction, event: Event, sequence: int) -> None:
    """Remember an event that a statement of this transaction has stored, for who hears of its commit."""
    stored = {field.name: getattr(event, field.name) for field in fields(event)}
    tx.events.append(EventRow(account_id=tx.account_id, sequence=sequence, **stored))


def numbering(
    row: Mapping[str, ColumnElement[Any]], moved: FromClause | None = None, *have_ended: ColumnElement[bool]
) -> ReturningInsert[tuple[int]]:
    """Return the statement that gives an event the account's next number, stores it and returns the number.

    PostgreSQL's alone. The columns of the event may come from `moved`. The counter is not touched before the
    conditions are found to hold.
    """
    counter = _count_up(*have_ended).cte("counter")
    numbered = counter if moved is None else counter.join(moved, true())
    source = select(ACCOUNT, counter.c.event_sequence, *row.values()).select_from(numbered)
    insertion = insert(events).from_select(["account_id", "sequence", *row], source)
    return insertion.returning(events.c.sequence)


def row_about(moved: Callable[[ColumnElement[Any]], ColumnElement[Any]]) -> dict[str, ColumnElement[Any]]:
    """Return the columns of an event about a handoff whose columns `moved` gives, and of `News.values`."""
    told = {field.name: value(f"event_{field.name}", events.c[field.name]) for field in fields(News)}
    of_handoff = {"handoff_id": moved(handoffs.c.id)}
    of_handoff |= {name: moved(handoffs.c[name]) for name in ("session_id", "team_id", "intent", "round")}
    return {**told, **of_handoff}


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
    news = News(kind=kind, at=at, actor_id=actor_id, summary=summary, except_id=except_id)
    return await append(tx, replace(news.about(handoff), audience=audience))


async def append_news(tx: Transaction, news: News, handoff: HandoffRow) -> int:
    """Append the news of a handoff, and return its number."""
    return await append(tx, news.about(handoff))


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


async def exists(
    tx: Transaction, kinds: Collection[EventKind], handoff_id: UUID, actor_id: UUID, round_: int | None = None
) -> bool:
    """Tell whether somebody did one of these to a handoff, in this round; None for whenever."""
    statement = (
        select(events.c.sequence)
        .where(tx.own(events), events.c.handoff_id == handoff_id, events.c.kind.in_(kinds))
        .where(events.c.actor_id == actor_id)
        .limit(1)
    )
    if round_ is not None:
        statement = statement.where(events.c.round == round_)
    return await tx.fetch_value(statement) is not None


async def latest_sequence(tx: Transaction) -> int:
    """Return the number of the account's last event, 0 when there is none."""
    statement = select(account_counters.c.event_sequence).where(tx.own(account_counters))
    return await tx.fetch_value(statement) or 0


def _select(tx: Transaction) -> Select[tuple[object, ...]]:
    return select(*columns_of(EventRow, events)).where(tx.own(events))


def _of(handoff: HandoffRow) -> dict[str, Any]:
    """Return what an event holds of its handoff."""
    return {
        "handoff_id": handoff.id,
        "session_id": handoff.session_id,
        "team_id": handoff.team_id,
        "intent": handoff.intent,
        "round": handoff.round,
    }


def _count_up(*conditions: ColumnElement[bool]) -> ReturningUpdate[tuple[int]]:
    return (
        update(account_counters)
        .where(own(account_counters), *conditions)
        .values(event_sequence=account_counters.c.event_sequence + 1)
        .returning(account_counters.c.event_sequence)
    )


_ROW = {field.name: value(f"event_{field.name}", events.c[field.name]) for field in fields(Event)}
_NUMBERED = numbering(_ROW)
_NUMBER = _count_up()
_STORED = insert(events).values(
    {"account_id": ACCOUNT, "sequence": value("event_sequence", events.c.sequence), **_ROW}
)
