"""This node's part in presence: it beats, and holds one row for each dashboard that it serves."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from db import presence, system
from db.errors import CommitInDoubtError
from db.presence import ConnectionRow
from db.session import Database, new_id
from notify.outage import Outage

log = logging.getLogger(__name__)


class Presence:
    """Start it before the first dashboard connects; stop it after the last has gone."""

    def __init__(
        self,
        database: Database,
        node_id: UUID,
        name: str,
        now: Callable[[], datetime],
        outage: Outage,
        *,
        beat_seconds: float = 10.0,
    ) -> None:
        self._database = database
        self._node_id = node_id
        self._name = name
        self._now = now
        self._outage = outage
        self._beat_seconds = beat_seconds
        self._open: dict[UUID, ConnectionRow] = {}
        self._to_forget: dict[UUID, ConnectionRow] = {}
        self._is_known = False  #: whether the last beat was recorded
        self._becoming_known = asyncio.Lock()  #: all dashboards come at once when a database comes back
        self._task: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many dashboards of responders this node serves."""
        return len(self._open)

    async def start(self) -> None:
        """Make the node known and begin to beat. Without a database it is made known when there is one."""
        await self._try_beat()
        self._task = asyncio.create_task(self._beat_for_ever())

    async def stop(self) -> None:
        """Stop beating and forget the node, and whoever still seems connected to it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with self._database.system() as tx:
                await system.forget_node(tx, self._node_id)
        except Exception:
            log.exception("node could not be forgotten; others will, when it stays silent")

    @asynccontextmanager
    async def connected(self, account_id: UUID, user_id: UUID, team_id: UUID | None) -> AsyncIterator[None]:
        """Count the user as online while the block runs. `team_id` None: for the whole account.

        While the database is away, it is waited for.
        """
        connection = await self._outage.outlast(lambda: self._connect(account_id, user_id, team_id))
        self._open[connection.id] = connection
        try:
            yield
        finally:
            del self._open[connection.id]
            await self._forget(connection)

    async def _connect(self, account_id: UUID, user_id: UUID, team_id: UUID | None) -> ConnectionRow:
        """Store a connection."""
        connection = ConnectionRow(account_id, new_id(), self._node_id, user_id, team_id, self._now())
        async with self._becoming_known:
            if not self._is_known:
                await self._try_beat()
        try:
            async with self._database.transaction(account_id) as tx:
                await presence.connect(tx, connection)
        except BaseException as error:
            if not isinstance(error, Exception) or isinstance(error, CommitInDoubtError):
                # Cut off during its commit, the row may be there, or in a moment.
                self._to_forget[connection.id] = connection
            raise
        return connection

    async def _forget(self, connection: ConnectionRow) -> None:
        """Forget a connection now, or at the next beat: somebody who only seems online waits for a mail."""
        self._to_forget[connection.id] = connection
        try:
            async with self._database.transaction(connection.account_id) as tx:
                await presence.disconnect(tx, connection.id)
        except Exception as fault:
            if not self._outage.notice(fault):
                log.exception("connection could not be forgotten; trying again at the next beat")
        else:
            self._to_forget.pop(connection.id, None)

    async def _beat_for_ever(self) -> None:
        while True:
            await self._outage.pause(self._beat_seconds)
            await self._try_beat()
            for connection in list(self._to_forget.values()) if self._is_known else ():
                await self._forget(connection)

    async def _try_beat(self) -> None:
        try:
            await self._beat()
        except Exception as fault:
            self._is_known = False
            if not self._outage.notice(fault) or not self._outage.is_on:
                log.exception("node could not beat")
        else:
            self._is_known = True

    async def _beat(self) -> None:
        """Beat. A node that slept so long that others swept it away comes back with its connections."""
        now = self._now()
        async with self._database.system() as tx:
            known = await system.beat(tx, self._node_id, now=now)
            if not known:
                await system.add_node(tx, self._node_id, self._name, now=now)
            await system.sweep_nodes(tx, now=now)
        if not known:
            for connection in list(self._open.values()):
                async with self._database.transaction(connection.account_id) as tx:
                    await presence.connect(tx, connection)
