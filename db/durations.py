"""How long things took, and the percentiles of it, computed by the database.

Durations are whole microseconds until they are shown, and percentiles are nearest-rank: always a duration
that was measured, and the same on both engines.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Label,
    case,
    cast,
    func,
    literal_column,
    select,
)

from db.session import Transaction

_MICROSECONDS = 1_000_000


def ranked(rows: FromClause, group: Sequence[str], names: Sequence[str]) -> FromClause:
    """Number the rows of each group by each of the named columns, and count those that have a value."""
    parts = [rows.c[name] for name in group]
    columns: list[Label[int]] = []
    for name in names:
        column = rows.c[name]
        place = func.row_number().over(partition_by=parts, order_by=column.asc().nulls_last())
        columns.append(place.label(f"{name}_place"))
        columns.append(func.count(column).over(partition_by=parts).label(f"{name}_count"))
    return select(*rows.c, *columns).subquery("ranked")


def percentiles(
    tx: Transaction, rows: FromClause, name: str, percents: Sequence[int]
) -> list[ColumnElement[Any]]:
    """Return the nearest-rank percentiles of a column, in a statement that groups the rows.

    SQLite has no function for it: there the rows are numbered (`ranked`), and the one is taken whose place
    is the least that is no less than the share, in whole numbers, which do not round.
    """
    if tx.is_postgresql:
        shares: list[ColumnElement[float]] = [literal_column(str(percent / 100)) for percent in percents]
        return [func.percentile_disc(share).within_group(rows.c[name]) for share in shares]
    place, count = rows.c[f"{name}_place"], rows.c[f"{name}_count"]
    return [func.max(case((place == (count * percent + 99) // 100, rows.c[name]))) for percent in percents]


def elapsed(tx: Transaction, start: ColumnElement[datetime], end: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the microseconds between two instants, NULL where there is no end.

    Two nodes' clocks may differ, and what follows then seems to come first: it took no time.
    """
    took: ColumnElement[int]
    if tx.is_postgresql:
        # As a float, not as a numeric, which is slow; exact all the same, because the cast rounds.
        took = cast(func.date_part("epoch", end - start) * _MICROSECONDS, BigInteger)
    else:
        took = _sqlite_microseconds(end) - _sqlite_microseconds(start)
    return case((end < start, 0), else_=took)


def _sqlite_microseconds(at: ColumnElement[Any]) -> ColumnElement[int]:
    """Return an instant as whole microseconds since 1970.

    SQLite's own functions know milliseconds, and round: the text that SQLAlchemy stores is cut instead.
    """
    second = cast(func.strftime("%s", func.substr(at, 1, 19)), Integer)
    return second * _MICROSECONDS + cast(func.substr(at, 21, 6), Integer)


def in_seconds(microseconds: int | None) -> float | None:
    """Return microseconds as seconds, None for none."""
    return None if microseconds is None else microseconds / _MICROSECONDS
