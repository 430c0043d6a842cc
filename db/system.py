"""Statements that cross accounts: identity, the feed's counters, nodes, what the clock finds due, and leases.

Besides them only PSA leases, figures, refusals and what is forgotten do, each in a module of its own.
Everything else in db/ takes the transaction of one account.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Uuid,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from db.accounts import AccountRow
from db.api_keys import ApiKeyRow
from db.enums import AssessmentStatus, Channel, DeliveryKind, DeliveryStatus, HandoffState
from db.models import (
    account_counters,
    accounts,
    api_keys,
    assessments,
    deliveries,
    handoffs,
    login_links,
    nodes,
    users,
)
from db.prepared import value
from db.presence import STALE_AFTER
from db.session import Database, SystemTransaction, columns_of
from db.types import IdList, UtcDateTime, is_listed
from db.users import UserRow


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery that this worker holds until its lease ends."""

    account_id: UUID
    id: UUID


@dataclass(frozen=True, slots=True)
class Known:
    """A user, and the number of the last event of their account at the same moment."""

    user: UserRow
    event_sequence: int


_KNOWN = select(*columns_of(UserRow, users), account_counters.c.event_sequence).join_from(
    users, account_counters, users.c.account_id == account_counters.c.account_id
)
_KNOWN_BY_IDS = _KNOWN.where(is_listed(users.c.id, bindparam("ids", type_=IdList())))


async def find_users(database: Database, user_ids: Collection[UUID]) -> dict[UUID, Known]:
    """Return users of any account by id: the token names the user, the row names the account."""
    rows = await database.system_glance(_KNOWN_BY_IDS, {"ids": list(user_ids)})
    return {row[0]: Known(UserRow(*row[:-1]), row[-1]) for row in rows}


async def find_user_by_email(tx: SystemTransaction, email: str) -> UserRow | None:
    """Return the user with this address, whatever the account."""
    statement = select(*columns_of(UserRow, users)).where(users.c.email == email.strip().lower())
    return await tx.fetch_one(statement, UserRow)


@dataclass(frozen=True, slots=True)
class FoundApiKey:
    """An API key, the hash of its secret, and the user whom it signs in."""

    key: ApiKeyRow
    secret_hash: str
    event_sequence: int  #: the number of the last event of their account at the same moment
    user: UserRow


_OF_KEY = len(fields(ApiKeyRow))
_API_KEY = (
    select(
        *columns_of(ApiKeyRow, api_keys),
        api_keys.c.secret_hash,
        account_counters.c.event_sequence,
        *columns_of(UserRow, users),
    )
    .join_from(
        api_keys, users, and_(users.c.account_id == api_keys.c.account_id, users.c.id == api_keys.c.user_id)
    )
    .join(account_counters, account_counters.c.account_id == api_keys.c.account_id)
    .where(api_keys.c.id == bindparam("id", type_=api_keys.c.id.type))
)


async def find_api_key(database: Database, key_id: UUID) -> FoundApiKey | None:
    """Return a key of any account, revoked or not."""
    rows = await database.system_glance(_API_KEY, {"id": key_id})
    if not rows:
        return None
    key, (secret_hash, event_sequence, *user) = rows[0][:_OF_KEY], rows[0][_OF_KEY:]
    return FoundApiKey(ApiKeyRow(*key), secret_hash, event_sequence, UserRow(*user))


async def note_key_uses(tx: SystemTransaction, used_at: dict[UUID, datetime], *, every: timedelta) -> None:
    """Record when keys were used, those that have no record younger than `every` before."""
    for key_id, at in sorted(used_at.items()):  # the order in which all who change several lock them
        is_old = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at <= at - every)
        await tx.execute(update(api_keys).where(api_keys.c.id == key_id, is_old).values(last_used_at=at))


@dataclass(frozen=True, slots=True)
class LoginLink:
    """A link that signs in, once."""

    account_id: UUID
    expires_at: datetime
    used_at: datetime | None


async def find_login_link(tx: SystemTransaction, secret_hash: str) -> LoginLink | None:
    """Return the link of any account whose secret has this hash."""
    statement = select(*columns_of(LoginLink, login_links)).where(login_links.c.secret_hash == secret_hash)
    return await tx.fetch_one(statement, LoginLink)


async def find_account(tx: SystemTransaction, name: str) -> UUID | None:
    """Return the id of the account with this name."""
    account_id: UUID | None = await tx.fetch_value(select(accounts.c.id).where(accounts.c.name == name))
    return account_id


async def all_accounts(tx: SystemTransaction) -> list[AccountRow]:
    """Return every account, in the order of the names."""
    statement = select(*columns_of(AccountRow, accounts)).order_by(accounts.c.name)
    return await tx.fetch_all(statement, AccountRow)


async def account_exists(tx: SystemTransaction, account_id: UUID) -> bool:
    """Tell whether there is an account with this id."""
    return await tx.fetch_value(select(accounts.c.id).where(accounts.c.id == account_id)) is not None


async def latest_sequences(tx: SystemTransaction, account_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return the number of the last event of each of the accounts."""
    counter = account_counters.c
    statement = select(counter.account_id, counter.event_sequence).where(counter.account_id.in_(account_ids))
    return {row.account_id: row.event_sequence for row in await tx.connection.execute(statement)}


async def beat(tx: SystemTransaction, node_id: UUID, *, now: datetime) -> bool:
    """Record that the node lives; False where it is not known (any more)."""
    alive = update(nodes).where(nodes.c.id == node_id).values(heartbeat_at=now)
    return await tx.execute(alive) == 1


async def add_node(tx: SystemTransaction, node_id: UUID, name: str, *, now: datetime) -> None:
    """Store a node that begins to live."""
    values = {"id": node_id, "name": name, "started_at": now, "heartbeat_at": now}
    await tx.execute(insert(nodes).values(values))


async def forget_node(tx: SystemTransaction, node_id: UUID) -> None:
    """Forget a node that stops, and its connections with it."""
    await tx.execute(delete(nodes).where(nodes.c.id == node_id))


async def sweep_nodes(tx: SystemTransaction, *, now: datetime) -> int:
    """Forget nodes that have not beaten for ten times as long as makes them dead; return how many."""
    return await tx.execute(delete(nodes).where(nodes.c.heartbeat_at < now - 10 * STALE_AFTER))


@dataclass(frozen=True, slots=True)
class DueHandoff:
    """A handoff that the clock has something to do with."""

    account_id: UUID
    id: UUID


async def due_reminders(tx: SystemTransaction, *, now: datetime, limit: int) -> list[DueHandoff]:
    """Return open handoffs whose reminder is due, those longest due first."""
    due = and_(handoffs.c.state == HandoffState.OPEN, handoffs.c.next_reminder_at <= now)
    return await _due(tx, due, handoffs.c.next_reminder_at, limit)


async def due_reach_checks(tx: SystemTransaction, *, now: datetime, limit: int) -> list[DueHandoff]:
    """Return open handoffs of which it is to be seen whether anybody could be told, longest due first."""
    due = and_(handoffs.c.state == HandoffState.OPEN, handoffs.c.reach_check_at <= now)
    return await _due(tx, due, handoffs.c.reach_check_at, limit)


async def expired_claims(tx: SystemTransaction, *, now: datetime, limit: int) -> list[DueHandoff]:
    """Return claimed handoffs whose claim has expired, those longest expired first."""
    due = and_(handoffs.c.state == HandoffState.CLAIMED, handoffs.c.claim_expires_at <= now)
    return await _due(tx, due, handoffs.c.claim_expires_at, limit)


async def _due(
    tx: SystemTransaction, condition: ColumnElement[bool], order: ColumnElement[datetime], limit: int
) -> list[DueHandoff]:
    statement = select(handoffs.c.account_id, handoffs.c.id).where(condition).order_by(order).limit(limit)
    return await tx.fetch_all(statement, DueHandoff)


async def lease_due(
    tx: SystemTransaction, lease: UUID, *, now: datetime, until: datetime, limit: int
) -> list[Leased]:
    """Lease up to `limit` mails that are due, those longest due first.

    Rows that another worker is leasing at this moment are passed over, not waited for. Rows whose lease
    has ended are taken: their worker is dead, or so slow that its settling will find nothing. An
    escalation's mails wait a little for its assessment.
    """
    values = {"_lease": lease, "_now": now, "_until": until, "_limit": limit}
    return [Leased(*row) for row in await tx.connection.execute(_LEASE_DUE, values)]


def _leasing_due() -> ReturningUpdate[Any]:
    now = value("now", UtcDateTime())
    awaited = exists().where(
        assessments.c.account_id == deliveries.c.account_id,
        assessments.c.handoff_id == deliveries.c.handoff_id,
        assessments.c.status == AssessmentStatus.PENDING,
        assessments.c.mails_wait_until > now,
    )
    due = (
        select(deliveries.c.account_id, deliveries.c.id)
        .where(deliveries.c.channel == Channel.EMAIL, deliveries.c.due_at <= now)
        .where(or_(deliveries.c.kind != DeliveryKind.ESCALATION, ~awaited))
        .where(deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING)))
        .where(or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until < now))
        .order_by(deliveries.c.due_at)
        .limit(value("limit", Integer()))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(deliveries)
        .where(deliveries.c.account_id == due.c.account_id, deliveries.c.id == due.c.id)
        .values(leased_by=value("lease", Uuid()), lease_until=value("until", UtcDateTime()))
        .returning(deliveries.c.account_id, deliveries.c.id)
    )


_LEASE_DUE = _leasing_due()


@dataclass(frozen=True, slots=True)
class LeasedAssessment:
    """An assessment that this worker is to make before its lease ends."""

    account_id: UUID
    handoff_id: UUID
    attempts: int  #: this one included
    deadline_at: datetime


async def lease_assessments(
    tx: SystemTransaction, lease: UUID, *, now: datetime, until: datetime, limit: int
) -> list[LeasedAssessment]:
    """Lease up to `limit` assessments that are due, as `lease_due` does mails."""
    due = (
        select(assessments.c.account_id, assessments.c.handoff_id)
        .where(assessments.c.status == AssessmentStatus.PENDING, assessments.c.due_at <= now)
        .where(or_(assessments.c.lease_until.is_(None), assessments.c.lease_until < now))
        .order_by(assessments.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    statement = (
        update(assessments)
        .where(assessments.c.account_id == due.c.account_id, assessments.c.handoff_id == due.c.handoff_id)
        .values(leased_by=lease, lease_until=until, attempts=assessments.c.attempts + 1)
        .returning(*columns_of(LeasedAssessment, assessments))
    )
    return await tx.fetch_all(statement, LeasedAssessment)


async def give_back(tx: SystemTransaction, lease: UUID) -> int:
    """End a lease early, for what was not begun under it; return how many deliveries that were."""
    held = (
        select(deliveries.c.id)
        .where(deliveries.c.leased_by == lease, deliveries.c.status == DeliveryStatus.PENDING)
        .with_for_update(skip_locked=True)  # who has one locked is about to end its lease, too
    )
    statement = update(deliveries).where(deliveries.c.id.in_(held))
    return await tx.execute(statement.values(leased_by=None, lease_until=None))
