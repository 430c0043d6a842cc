"""What a database would do to run a statement, or PostgreSQL did."""

from typing import Any, cast

from sqlalchemy import ClauseElement, Dialect, Executable
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles

from db.session import Transaction


class Explain(Executable, ClauseElement):
    """The plan of a statement, asked for with the statement's own parameters.

    `how` are those of EXPLAIN, like `ANALYZE`, which runs the statement.
    """

    inherit_cache = False

    def __init__(self, statement: Executable, how: str = "") -> None:
        self.statement = statement
        self.how = how


@compiles(Explain)
def _explain(element: Explain, compiler: Any, **options: Any) -> str:  # noqa: ANN401
    given = f"({element.how}) " if element.how else ""
    return f"EXPLAIN {given}{compiler.process(element.statement, **options)}"


@compiles(Explain, "sqlite")
def _explain_on_sqlite(element: Explain, compiler: Any, **options: Any) -> str:  # noqa: ANN401
    return f"EXPLAIN QUERY PLAN {compiler.process(element.statement, **options)}"


class _Explaining:
    """A connection that explains each statement, and answers with no rows."""

    def __init__(self, connection: AsyncConnection, options: str) -> None:
        self._connection = connection
        self._options = options
        self.plans: list[str] = []

    @property
    def dialect(self) -> Dialect:
        """That of the real connection."""
        return self._connection.dialect

    async def execute(self, statement: Executable) -> list[Any]:
        """Keep the plan; return no rows."""
        plan = await self._connection.execute(Explain(statement, self._options))
        self.plans.append("\n".join(plan.scalars()))
        return []


def explaining(tx: Transaction, options: str = "") -> tuple[Transaction, list[str]]:
    """Return a transaction that explains what it is to run, and the plans that it will have kept."""
    connection = _Explaining(tx.connection, options)
    return Transaction(cast("AsyncConnection", connection), tx.account_id), connection.plans
