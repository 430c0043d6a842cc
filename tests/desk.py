"""A desk at which people pass sessions on, at times that the test chooses."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import update

from db.enums import HandoffIntent, HandoffPriority, HandoffState
from db.models import handoffs as handoffs_table
from db.session import Database, Transaction
from db.users import UserRow
from resolvers import handing_off, handoffs, reminders, sessions
from resolvers.new_handoffs import NewHandoff
from resolvers.sessions import NewSession

T = TypeVar("T")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
GRACE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Desk:
    """The desk of an account."""

    database: Database
    account_id: UUID

    async def start(
        self, user: UserRow, at: datetime = NOON, *, domain: str | None = None, team_id: UUID | None = None
    ) -> UUID:
        """Start a session and return its id."""
        new = NewSession(problem_summary="Stuck", problem_domain=domain, team_id=team_id)
        return (await self._act(lambda tx: sessions.start(tx, user, new, now=at))).id

    async def pass_on(
        self,
        user: UserRow,
        session_id: UUID,
        at: datetime = NOON,
        *,
        intent: HandoffIntent = HandoffIntent.ESCALATE,
        priority: HandoffPriority = HandoffPriority.NORMAL,
    ) -> UUID:
        """Hand a session off and return the handoff's id."""
        new = NewHandoff(session_id=session_id, intent=intent, priority=priority)
        made = await self._act(lambda tx: handing_off.create(tx, user, new, now=at, grace=GRACE))
        return made.handoff.id

    async def escalate(self, user: UserRow, at: datetime = NOON, **of_session: Any) -> UUID:  # noqa: ANN401
        """Start a session and escalate it; return the handoff's id."""
        return await self.pass_on(user, await self.start(user, at, **of_session), at)

    async def claim(self, user: UserRow, handoff_id: UUID, at: datetime) -> UUID:
        """Claim a handoff and return its session's id."""
        return (await self._act(lambda tx: handoffs.claim(tx, user, handoff_id, now=at))).handoff.session_id

    async def release(self, user: UserRow, handoff_id: UUID, at: datetime) -> None:
        """Release a handoff."""
        await self._act(lambda tx: handoffs.release(tx, user, handoff_id, None, now=at, grace=GRACE))

    async def resolve(self, user: UserRow, session_id: UUID, at: datetime) -> None:
        """Resolve a session."""
        await self._act(lambda tx: sessions.resolve(tx, user, session_id, None, now=at))

    async def remind(self, handoff_id: UUID, at: datetime) -> bool:
        """Remind of a handoff, which is due whenever it is open; return whether it was."""
        await self._make_due(handoff_id, HandoffState.OPEN, next_reminder_at=at)
        return await self._act(lambda tx: reminders.remind(tx, handoff_id, now=at, grace=GRACE))

    async def let_expire(self, handoff_id: UUID, at: datetime) -> bool:
        """End the claim of a handoff, which has expired whenever it is claimed; return whether it was."""
        await self._make_due(handoff_id, HandoffState.CLAIMED, claim_expires_at=at)
        return await self._act(lambda tx: reminders.expire_claim(tx, handoff_id, now=at, grace=GRACE))

    async def _make_due(self, handoff_id: UUID, state: HandoffState, **values: datetime) -> None:
        waiting = (handoffs_table.c.id == handoff_id, handoffs_table.c.state == state)
        await self._act(lambda tx: tx.execute(update(handoffs_table).where(*waiting).values(**values)))

    async def _act(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self.database.transaction(self.account_id) as tx:
            return await act(tx)
