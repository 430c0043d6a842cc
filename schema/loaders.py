"""Batched reads: the fields of one level of a document are answered by one statement each."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from db import (
    accounts,
    assessments,
    deliveries,
    events,
    handoffs,
    presence,
    session_messages,
    sessions,
    teams,
    users,
)
from db.accounts import AccountRow
from db.assessments import AssessmentRow
from db.deliveries import DeliveryRow
from db.events import EventRow
from db.handoffs import HandoffRow
from db.pages import Page
from db.session import Database, Transaction
from db.session_messages import MessageRow
from db.sessions import BranchRow, SessionRow
from db.teams import TeamRow
from db.users import UserRow

V = TypeVar("V")
P = TypeVar("P", bound=Hashable)
OfEach = Callable[[Transaction, Sequence[UUID], P], Awaitable[dict[UUID, V]]]
ByIds = Callable[[Transaction, Sequence[UUID]], Awaitable[dict[UUID, V]]]


class Loaders:
    """The reads of one account. An id of another account is answered with None, as an unknown one is."""

    def __init__(self, database: Database, account_id: UUID, now: Callable[[], datetime]) -> None:
        self._database = database
        self._account_id = account_id
        self._now = now
        self.users: DataLoader[UUID, UserRow | None] = self._by_id(users.by_ids)
        self.teams: DataLoader[UUID, TeamRow | None] = self._by_id(teams.by_ids)
        self.sessions: DataLoader[UUID, SessionRow | None] = self._by_id(sessions.by_ids)
        self.branches: DataLoader[UUID, BranchRow | None] = self._by_id(sessions.branches_by_id)
        self.handoffs: DataLoader[UUID, HandoffRow | None] = self._by_id(handoffs.by_ids)
        self.deliveries: DataLoader[UUID, DeliveryRow | None] = self._by_id(deliveries.by_ids)
        self.assessments: DataLoader[UUID, AssessmentRow | None] = self._by_id(assessments.by_handoffs)
        self.branches_of: DataLoader[UUID, list[BranchRow] | None] = self._by_id(sessions.branches_of)
        self.timelines: DataLoader[UUID, list[EventRow] | None] = self._by_id(events.of_handoffs)
        self.messages: DataLoader[tuple[UUID, Page], list[MessageRow] | None] = self._each(
            session_messages.of_sessions
        )
        self.histories: DataLoader[tuple[UUID, Page], list[HandoffRow] | None] = self._each(handoffs.history)
        self.deliveries_of: DataLoader[tuple[UUID, Page], list[DeliveryRow] | None] = self._each(
            deliveries.of_handoffs
        )
        self.deliveries_to: DataLoader[tuple[UUID, UUID], list[DeliveryRow] | None] = self._each(
            deliveries.of_recipient
        )
        self.members_of: DataLoader[tuple[UUID, Page], list[UserRow] | None] = self._each(teams.members_of)
        self.member_counts: DataLoader[UUID, int | None] = self._by_id(teams.count_members)
        self.delivery_counts: DataLoader[UUID, int | None] = self._by_id(deliveries.count_of_handoffs)
        self._accounts: DataLoader[UUID, AccountRow | None] = self._by_id(_account)
        self.online: DataLoader[UUID, bool | None] = self._by_id(self._online)

    async def account(self) -> AccountRow:
        """Return the account itself."""
        account = await self._accounts.load(self._account_id)
        if account is None:
            raise LookupError("the account is gone")
        return account

    def _by_id(self, read: ByIds[V]) -> DataLoader[UUID, V | None]:
        async def load(ids: list[UUID]) -> list[V | None]:
            async with self._database.reading(self._account_id) as tx:
                found = await read(tx, ids)
            return [found.get(one) for one in ids]

        return DataLoader(load_fn=load, cache=False)

    def _each(self, read: OfEach[P, V]) -> DataLoader[tuple[UUID, P], V | None]:
        """Batch reads of lists that are asked for in the same way."""

        async def load(asked: list[tuple[UUID, P]]) -> list[V | None]:
            ids: dict[P, list[UUID]] = {}
            for parent_id, how in dict.fromkeys(asked):
                ids.setdefault(how, []).append(parent_id)
            found: dict[tuple[UUID, P], V] = {}
            async with self._database.reading(self._account_id) as tx:
                for how, parent_ids in ids.items():
                    lists = await read(tx, parent_ids, how)
                    found |= {(parent_id, how): rows for parent_id, rows in lists.items()}
            return [found.get(one) for one in asked]

        return DataLoader(load_fn=load, cache=False)

    async def _online(self, tx: Transaction, user_ids: Sequence[UUID]) -> dict[UUID, bool]:
        online = await presence.online_among(tx, user_ids, now=self._now())
        return {user_id: user_id in online for user_id in user_ids}


async def _account(tx: Transaction, account_ids: Sequence[UUID]) -> dict[UUID, AccountRow]:
    account = await accounts.by_id(tx)
    return {account.id: account}
