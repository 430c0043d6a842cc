"""A move of a handoff and all that follows from it, in one message to the database.

PostgreSQL gets one statement:

    WITH moved AS (UPDATE handoffs … RETURNING …),
         step_0 AS (UPDATE sessions … FROM moved …),
         step_1 AS (INSERT INTO deliveries … SELECT … FROM moved …),
         counter AS (UPDATE account_counters … WHERE moved and every step have ended),
         event AS (the event about what has moved, with the number from the counter: `events.numbering`)
    SELECT … FROM moved, event

Where the first changes no row, nothing else happens. Its parts all see the database as it was when the
statement began, and run in no order but that in which one reads from another (PostgreSQL manual, 7.8.4). So a
part takes what another has changed from what that returned, no two change the same row, and the counter
counts what every part returned: it is locked last. Who moves a handoff holds its session by an earlier
statement (`sessions.hold`): what others did before is seen, and nobody adds to it meanwhile.

SQLite, which has no such statement and needs none to be quick, gets the same parts one after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, FromClause, Insert, Select, Update, func, select, true
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from db import events
from db.at_once import Hold
from db.events import News
from db.handoffs import HandoffRow
from db.models import sessions
from db.prepared import add_rows, insert_of_rows, merged, run, run_alone, value, values_of_rows
from db.session import Transaction, columns_of
from db.sessions import SessionRow
from db.steps import Move, Moved, Rows, Step

_SESSION = columns_of(SessionRow, sessions)
_OF_HANDOFF = len(fields(HandoffRow))
_OF_BOTH = _OF_HANDOFF + len(_SESSION)


@dataclass(frozen=True, slots=True)
class MovedRows:
    """A handoff and its session, as a move has left them."""

    handoff: HandoffRow
    session: SessionRow


async def move(
    tx: Transaction, first: Move, session: Step, *then: Step | Rows, news: News | None = None
) -> MovedRows | None:
    """Move a handoff, let its session and everything else follow, and append the event about it.

    None where the first matched no row: then nothing follows. Without news the caller appends the event.
    """
    follow = _following(session, then)
    if tx.is_postgresql:
        statement, values = _in_one(first, follow, news)
        return _moved(tx, await run(tx, statement, values), news)
    return await _move_step_by_step(tx, first, follow, news)


async def move_alone(
    tx: Transaction, hold: Hold, first: Move, session: Step, *then: Step | Rows, news: News
) -> MovedRows | None:
    """Lock and move as all that the transaction does, and commit: in one message where the database can.

    None where nothing was done, for whatever reason: who moves it step by step learns why. Otherwise nothing
    may follow.
    """
    if not tx.is_postgresql:
        return None
    statement, values = _in_one(first, _following(session, then), news)
    return _moved(tx, await run_alone(tx, hold, statement, values), news)


def _following(session: Step, then: Sequence[Step | Rows]) -> list[Step | Rows]:
    return [session, *(step for step in then if isinstance(step, Step) or step.each)]


def _in_one(first: Move, then: Sequence[Step | Rows], news: News | None) -> tuple[Executable, dict[str, Any]]:
    values = merged([first.values, {} if news is None else news.values, *map(_values_of, then)])
    shapes = tuple(map(_shape_of, then))
    return _statement(first.statement, shapes, has_news=news is not None), values


def _moved(tx: Transaction, rows: Sequence[Any], news: News | None) -> MovedRows | None:
    if not rows:
        return None
    row = rows[0]
    handoff = HandoffRow(*row[:_OF_HANDOFF])
    if news is not None:
        events.note_stored(tx, news.about(handoff), row[-1])
    return MovedRows(handoff, SessionRow(*row[_OF_HANDOFF:_OF_BOTH]))


@lru_cache
def _statement(
    first: ReturningInsert[Any] | ReturningUpdate[Any], then: tuple[Any, ...], *, has_news: bool
) -> Select[Any]:
    """Return the whole statement, of parts of these shapes, of which the first changes the session."""
    moved = first.cte("moved")
    changes = [
        insert_of_rows(*shape) if isinstance(shape, tuple) else shape(_columns_in(moved)) for shape in then
    ]
    session = changes[0].returning(*_SESSION).cte("session")
    steps = [
        change.returning(change.table.c.account_id).cte(f"step_{place}")
        for place, change in enumerate(changes[1:])
    ]
    shown = [*moved.c, *(column.label(f"session_{column.key}") for column in session.c)]
    both = moved.join(session, true())
    if not has_news:
        return select(*shown).select_from(both).add_cte(*steps)
    have_ended = [_count(moved) == 1, *(_count(step) >= 0 for step in (session, *steps))]
    row = events.row_about(_columns_in(moved))
    event = events.numbering(row, moved, *have_ended).cte("event")
    return select(*shown, event.c.sequence).select_from(both.join(event, true()))


def _shape_of(step: Step | Rows) -> object:
    """Return all of a step but its values."""
    if isinstance(step, Step):
        return step.build
    return step.table, tuple(step.same), tuple(step.each[0])


def _values_of(step: Step | Rows) -> dict[str, Any]:
    if isinstance(step, Step):
        return dict(step.values)
    return values_of_rows(step.table, step.same, step.each)


def _columns_in(moved: FromClause) -> Moved:
    return lambda column: moved.c[column.key or ""]


def _count(part: FromClause) -> ColumnElement[int]:
    return select(func.count()).select_from(part).scalar_subquery()


async def _move_step_by_step(
    tx: Transaction, first: Move, then: Sequence[Step | Rows], news: News | None
) -> MovedRows | None:
    rows = await run(tx, first.statement, first.values)
    if not rows:
        return None
    handoff = HandoffRow(*rows[0])
    moved = {f"moved_{field.name}": getattr(handoff, field.name) for field in fields(handoff)}
    changed: list[Any] = []
    for step in then:
        if isinstance(step, Rows):
            await add_rows(tx, step.table, step.same, step.each)
        else:
            statement = _alone(step.build, shows_session=step is then[0])
            changed += await run(tx, statement, merged([moved, step.values]))
    if news is not None:
        await events.append_news(tx, news, handoff)
    return MovedRows(handoff, SessionRow(*changed[0]))


@lru_cache
def _alone(build: Callable[[Moved], Insert | Update], *, shows_session: bool) -> Executable:
    change = build(lambda column: value(f"moved_{column.key}", column))
    return change.returning(*_SESSION) if shows_session else change
