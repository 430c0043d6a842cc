"""Whoever creates and drops the databases of the tests."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import asyncpg

from tests.patience import PATIENCE

R = TypeVar("R")


class Administrator:
    """A connection that is kept, in a thread of its own, since the caller may stand in an event loop."""

    def __init__(self, dsn: str) -> None:
        """Take the address of a database that stays; nothing is connected before the first statement."""
        self._dsn = dsn
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="administrator")
        self._loop = asyncio.Runner()
        self._connection: asyncpg.Connection | None = None

    def copy(self, name: str, template: str) -> None:
        """Create a database, both names quoted, as a copy of one to which nobody is connected."""
        self._run(self._copy(name, template))

    def execute(self, statement: str) -> None:
        """Run a statement outside of any transaction."""
        self._run(self._execute(statement))

    def close(self) -> None:
        """Leave, without a word to a server that may be frozen."""
        self._run(self._leave())
        self._thread.submit(self._loop.close).result()
        self._thread.shutdown()

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        return self._thread.submit(self._loop.run, work).result()

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None:
            self._connection = await asyncpg.connect(self._dsn, timeout=PATIENCE)
        return self._connection

    async def _copy(self, name: str, template: str) -> None:
        # Copying files takes half the time of copying through the log, the default since PostgreSQL 15.
        has_choice = (await self._connected()).get_server_version().major >= 15
        strategy = " STRATEGY file_copy" if has_choice else ""
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {template}{strategy}")

    async def _execute(self, statement: str) -> None:
        await (await self._connected()).execute(statement)

    async def _leave(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            await asyncio.sleep(0)  # the transport closes in the loop's next turn
