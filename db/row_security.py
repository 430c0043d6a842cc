"""Tells PostgreSQL whose rows a transaction may see (manual, chapter 5.9: row security policies).

The policies of `db/migrations/versions/0003_protection.py` compare each row's account with a setting of
the transaction. It is sent with the BEGIN, so it costs no round trip of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import asyncpg

#: The account of the transaction that is about to begin in this task; None for none.
_account: ContextVar[UUID | None] = ContextVar("_account", default=None)


@contextmanager
def as_account(account_id: UUID) -> Iterator[None]:
    """Let transactions that begin in the block see the rows of this account only."""
    before = _account.get()
    _account.set(account_id)
    try:
        yield
    finally:
        # Not by token: a generator that holds the block open may be closed in another context.
        _account.set(before)


class AccountConnection(asyncpg.Connection):
    """A connection that names the account when a transaction begins."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ANN401, ASYNC109
        """Run a statement; with a BEGIN, name the account for the length of the transaction."""
        account_id = _account.get()
        if account_id is not None and query.startswith("BEGIN"):
            # Not as a parameter: several statements in one message take none. A UUID prints as
            # hexadecimal digits and dashes, whatever it was made from.
            query = (
                f"{query.rstrip(';')};SELECT set_config('app.account_id', '{UUID(str(account_id))}', true)"
            )
        status: str = await super().execute(query, *args, timeout=timeout)
        return status
