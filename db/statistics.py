"""What became of the escalations of a window, counted by the database.

An escalation counts in the window in which it was made: from its beginning on, up to but not including its
end. What happened to it counts whenever it happened, up to now; so the figures of a recent window still
grow, those of an old one stay.

Everything is taken from rows that never change (`events`, what a handoff held when it was made) or change
once (`sessions.resolved_at`, the end of a handoff).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    null,
    select,
    true,
    tuple_,
    union_all,
)

from db.durations import elapsed, in_seconds, percentiles, ranked
from db.enums import EventKind, HandoffIntent
from db.models import events, handoffs, sessions
from db.session import Transaction


class StatsDimension(Enum):
    """By what escalations are told apart, each as it was when the escalation was made."""

    DOMAIN = "DOMAIN"  #: of the problem, from the snapshot
    TEAM = "TEAM"  #: of the session
    PRIORITY = "PRIORITY"
    ENGINEER = "ENGINEER"  #: who escalated
    CLAIMER = "CLAIMER"  #: who claimed it first; this one is known later


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of time."""

    since: datetime  #: its first instant
    until: datetime  #: the first instant after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long something took, over all for which it has ended. Without any, each percentile is None."""

    count: int
    median_seconds: float | None
    p90_seconds: float | None
    p99_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationFigures:
    """What became of some escalations."""

    key: Any  #: what they have in common, as the dimension's column has it
    escalated: int
    claimed: int  #: how many were claimed at least once
    time_to_claim: Durations  #: from when it was made to its first claim
    time_to_resolve: Durations  #: from when it was made to when its session was resolved
    reminders: int  #: rounds of reminding, over all
    released: int  #: how often a claim was given back or expired, over all
    bounced_back: int  #: how many were claimed and then handed off again


_PERCENTS = (50, 90, 99)
_SUMS = ("reminders", "released", "bounced")
_HAPPENED = (EventKind.HANDOFF_CLAIMED, EventKind.HANDOFF_RELEASED, EventKind.ESCALATION_REMINDED)


async def escalations(
    tx: Transaction, window: Window, dimension: StatsDimension | None
) -> tuple[EscalationFigures | None, list[EscalationFigures]]:
    """Return the figures of all escalations of the window, and of each group, in no order.

    All at once: the total is the sum of the groups. None and no groups where there are no escalations.
    """
    total, groups = None, []
    for is_total, *values in await tx.connection.execute(_figures(tx, window, dimension)):
        figures = _read_figures(values)
        if is_total:
            total = figures
        else:
            groups.append(figures)
    return total, groups


def made_in(tx: Transaction, window: Window) -> CTE:
    """Select the escalations of the window, in the order of `ix_handoffs_escalated`."""
    in_window = and_(handoffs.c.created_at >= window.since, handoffs.c.created_at < window.until)
    return (
        select(
            handoffs.c.id,
            handoffs.c.session_id,
            handoffs.c.team_id,
            handoffs.c.priority,
            handoffs.c.handed_off_by_id,
            handoffs.c.created_at,
            handoffs.c.closed_at,
            handoffs.c.snapshot["problem_domain"].as_string().label("domain"),
        )
        .where(tx.own(handoffs), handoffs.c.intent == _as_text(HandoffIntent.ESCALATE), in_window)
        .cte("made")
    )


def _figures(tx: Transaction, window: Window, dimension: StatsDimension | None) -> Select[Any]:
    """Make the statement: a row for the total, and one for each group; the key stands second."""
    of_each = _of_each(tx, window, dimension)
    rows: FromClause
    if not tx.is_postgresql:
        rows = ranked(_with_total(of_each, dimension), ["is_total", "key"], ["claiming", "resolving"])
        parts: list[ColumnElement[Any]] = [rows.c.is_total, rows.c.key]
        grouping = parts
    elif dimension is None:
        rows, parts, grouping = of_each, [literal_column("1"), null()], []
    else:
        rows, parts = of_each, [func.grouping(of_each.c.key), of_each.c.key]
        grouping = [func.grouping_sets(tuple_(), tuple_(of_each.c.key))]
    return select(
        *parts,
        func.count(),
        func.count(rows.c.claiming),
        *percentiles(tx, rows, "claiming", _PERCENTS),
        func.count(rows.c.resolving),
        *percentiles(tx, rows, "resolving", _PERCENTS),
        *(cast(func.coalesce(func.sum(rows.c[name]), 0), BigInteger) for name in _SUMS),
    ).group_by(*grouping)


def _with_total(of_each: CTE, dimension: StatsDimension | None) -> FromClause:
    """Have each row twice, once for the total and once for its group; SQLite knows no grouping sets."""
    key, *values = of_each.c
    whole = select(literal_column("1").label("is_total"), cast(null(), key.type).label("key"), *values)
    parts = select(literal_column("0"), key, *values)
    return (whole if dimension is None else union_all(whole, parts)).subquery()


def _of_each(tx: Transaction, window: Window, dimension: StatsDimension | None) -> CTE:
    """Select what became of each escalation, a row each. The key is the first column."""
    made = made_in(tx, window)
    whole, happened = _with_what_happened(tx, made)
    resolved_at = (
        select(sessions.c.resolved_at)
        .where(tx.own(sessions), sessions.c.id == made.c.session_id)
        .scalar_subquery()
    )
    of_each = (
        select(
            _key(tx, made, dimension).label("key"),
            made.c.created_at,
            made.c.closed_at,
            happened.c.claimed_at,
            resolved_at.label("resolved_at"),
            happened.c.reminders,
            happened.c.released,
        )
        .select_from(whole)
        .cte("rows_of_each")
        .prefix_with("MATERIALIZED", dialect="postgresql")  # else each look at a session is made three times
    )
    # A handoff is closed with its session, in the same instant, or because the session was handed off again
    # while somebody had it; the resolvers know no third way.
    bounced = and_(
        of_each.c.closed_at.is_not(None), of_each.c.closed_at.is_distinct_from(of_each.c.resolved_at)
    )
    return select(
        of_each.c.key,
        elapsed(tx, of_each.c.created_at, of_each.c.claimed_at).label("claiming"),
        elapsed(tx, of_each.c.created_at, of_each.c.resolved_at).label("resolving"),
        func.coalesce(of_each.c.reminders, 0).label("reminders"),
        func.coalesce(of_each.c.released, 0).label("released"),
        case((bounced, 1), else_=0).label("bounced"),
    ).cte("of_each")


def _as_text(member: StrEnum) -> BindParameter[str]:
    """Return a member as part of the statement's text: an index of some rows is of no use to a parameter."""
    return bindparam(None, member.value, type_=Text, literal_execute=True)


def _key(tx: Transaction, made: CTE, dimension: StatsDimension | None) -> ColumnElement[Any]:
    first_claimer = (
        select(events.c.actor_id)
        .where(tx.own(events), events.c.handoff_id == made.c.id)
        .where(events.c.kind == _as_text(EventKind.HANDOFF_CLAIMED))
        .order_by(events.c.sequence)
        .limit(1)
        .scalar_subquery()
    )
    keys: dict[StatsDimension | None, ColumnElement[Any]] = {
        None: cast(null(), Integer),
        StatsDimension.DOMAIN: made.c.domain,
        StatsDimension.TEAM: made.c.team_id,
        StatsDimension.PRIORITY: made.c.priority,
        StatsDimension.ENGINEER: made.c.handed_off_by_id,
        StatsDimension.CLAIMER: first_claimer,
    }
    return keys[dimension]


def _with_what_happened(tx: Transaction, made: CTE) -> tuple[FromClause, FromClause]:
    """Join to each escalation its first claim, and how often it was released and reminded of.

    PostgreSQL is told to look into the index for each: by itself it reads the whole log to count a month.
    """

    def times(kind: EventKind) -> ColumnElement[int]:
        return func.count(case((events.c.kind == kind, 1)))

    counts = [
        func.min(case((events.c.kind == EventKind.HANDOFF_CLAIMED, events.c.at))).label("claimed_at"),
        times(EventKind.HANDOFF_RELEASED).label("released"),
        times(EventKind.ESCALATION_REMINDED).label("reminders"),
    ]
    counted = and_(tx.own(events), events.c.kind.in_([_as_text(kind) for kind in _HAPPENED]))
    if tx.is_postgresql:
        of_it = select(*counts).where(counted, events.c.handoff_id == made.c.id).lateral("happened")
        return made.join(of_it, true()), of_it
    by_handoff = (
        select(events.c.handoff_id, *counts)
        .where(counted)
        .join_from(made, events, events.c.handoff_id == made.c.id)
    )
    of_all = by_handoff.group_by(events.c.handoff_id).subquery("happened")
    return made.outerjoin(of_all, of_all.c.handoff_id == made.c.id), of_all


def _read_figures(values: Sequence[Any]) -> EscalationFigures:
    key, escalated, claimed, *rest = values
    return EscalationFigures(
        key=key,
        escalated=escalated,
        claimed=claimed,
        time_to_claim=_durations(claimed, rest[0:3]),
        time_to_resolve=_durations(rest[3], rest[4:7]),
        reminders=rest[7],
        released=rest[8],
        bounced_back=rest[9],
    )


def _durations(count: int, found: Sequence[int | None]) -> Durations:
    median, p90, p99 = (in_seconds(value) for value in found)
    return Durations(count=count, median_seconds=median, p90_seconds=p90, p99_seconds=p99)
