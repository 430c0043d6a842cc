"""What language models were used for an account, by day and model."""

from dataclasses import asdict, dataclass
from datetime import date

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.models import accounts, assessor_usage
from db.session import Transaction


@dataclass(frozen=True, slots=True)
class Usage:
    """An amount of use; also a difference of two."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost_micros: int  #: millionths of a unit of the operator's currency

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost_micros + other.cost_micros,
        )

    def __sub__(self, other: "Usage") -> "Usage":
        return self + Usage(-other.requests, -other.input_tokens, -other.output_tokens, -other.cost_micros)


async def lock_day(tx: Transaction, day: date) -> Usage:
    """Return what the account has used on a day, of all models, and let nobody else count until the commit.

    The lock is that of the account's row, for a row of the day may not be there yet. It is the weak kind,
    for which rows that refer to the account need not wait (manual of PostgreSQL, chapter 13.3.2). SQLite
    has one writer at a time.
    """
    lock = select(accounts.c.id).where(accounts.c.id == tx.account_id).with_for_update(key_share=True)
    await tx.execute(lock)
    return await of_day(tx, day)


async def of_day(tx: Transaction, day: date) -> Usage:
    """Return what the account has used on a day, of all models."""
    own = assessor_usage.c
    sums = [
        func.coalesce(func.sum(column), 0)
        for column in (own.requests, own.input_tokens, own.output_tokens, own.cost_micros)
    ]
    row = (await tx.connection.execute(select(*sums).where(tx.own(assessor_usage), own.day == day))).one()
    return Usage(*map(int, row))  # PostgreSQL sums bigint as numeric


async def add(tx: Transaction, day: date, model: str, usage: Usage) -> None:
    """Count more of a model on a day."""
    insert = postgresql.insert if tx.is_postgresql else sqlite.insert
    values = {"account_id": tx.account_id, "day": day, "model": model, **asdict(usage)}
    statement = insert(assessor_usage).values(values)
    key = ["account_id", "day", "model"]
    await tx.execute(statement.on_conflict_do_update(index_elements=key, set_=_more(usage)))


async def correct(tx: Transaction, day: date, model: str, difference: Usage) -> None:
    """Change what was counted of a model on a day by a difference, in either direction."""
    # No upsert: PostgreSQL checks the row that it would insert, and this one may be negative.
    own = assessor_usage.c
    rows = update(assessor_usage).where(tx.own(assessor_usage), own.day == day, own.model == model)
    await tx.execute(rows.values(_more(difference)))


def _more(usage: Usage) -> dict[str, ColumnElement[int]]:
    return {name: assessor_usage.c[name] + amount for name, amount in asdict(usage).items()}
