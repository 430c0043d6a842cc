"""Troubleshooting sessions with their branches."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    Update,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)

from db.at_once import Hold, Lock
from db.enums import ConfidenceTier, SessionStatus
from db.models import handoffs, session_branches, sessions
from db.pages import Page, SortKey
from db.prepared import Ask, fetch, listed, own, value
from db.session import Transaction, columns_of, new_id
from db.steps import Moved, Step, looked_up

_NEWEST_FIRST = SortKey([sessions.c.created_at, sessions.c.id], descending=True)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One troubleshooting conversation."""

    id: UUID
    account_id: UUID
    team_id: UUID | None
    owner_id: UUID
    status: SessionStatus
    problem_summary: str | None
    problem_domain: str | None
    step_count: int
    confidence_tier: ConfidenceTier | None
    active_branch_id: UUID | None  #: None: the session is not branching
    message_count: int
    branch_count: int
    handoff_count: int
    escalated_to_id: UUID | None
    escalation_package: dict[str, Any] | None
    psa_ticket_id: str | None
    psa_connection_id: UUID | None  #: the PSA that the ticket is in
    actual_cause: str | None
    created_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class BranchRow:
    """One line of investigation in a session."""

    id: UUID
    session_id: UUID
    label: str
    status: str
    status_reason: str | None
    parent_branch_id: UUID | None
    order: int  #: 0, 1, 2 … in the order of creation


async def add(tx: Transaction, session_id: UUID, values: dict[str, Any]) -> SessionRow:
    """Store a session under a new id; `values` are columns by name."""
    statement = insert(sessions).values(account_id=tx.account_id, id=session_id, **values)
    row = await tx.fetch_one(statement.returning(*columns_of(SessionRow, sessions)), SessionRow)
    assert row is not None  # noqa: S101 (an insert of one row returns it)
    return row


async def lock(tx: Transaction, session_id: UUID) -> SessionRow | None:
    """Return the session and hold it until the transaction ends; None where the account has none such.

    On SQLite the transaction holds the whole database already.
    """
    return await tx.fetch_one(_select(tx, sessions.c.id == session_id).with_for_update(), SessionRow)


async def lock_of_handoff(tx: Transaction, handoff_id: UUID) -> SessionRow | None:
    """Return the session of a handoff, held like `lock` does; None where the account has no such handoff."""
    its_session = select(handoffs.c.session_id).where(tx.own(handoffs), handoffs.c.id == handoff_id)
    statement = _select(tx, sessions.c.id == its_session.scalar_subquery())
    return await tx.fetch_one(statement.with_for_update(), SessionRow)


async def hold(tx: Transaction, session_id: UUID) -> None:
    """Hold a session like `lock`, without reading it: what is read after this is as the others left it."""
    await tx.lock(_HOLD, session_id)


async def hold_of_handoff(tx: Transaction, handoff_id: UUID) -> None:
    """Hold the session of a handoff like `hold`."""
    await tx.lock(_HOLD_OF_HANDOFF, handoff_id)


def holding_of_handoff(handoff_id: UUID, *, for_user_id: UUID) -> Hold:
    """Return what `users.hold` and then `hold_of_handoff` do, for a move that is all of its transaction."""
    return Hold(_HOLD_BOTH, handoff_id, str(for_user_id))


def holding_unchanged(session_id: UUID, version: str) -> Hold:
    """Return what `hold` does, if the session and its branches are still of a version; else it holds none."""
    return Hold(_HOLD_UNCHANGED, session_id, version)


def ask_version(session_id: UUID) -> Ask[str]:
    """Ask for the version of a session: another after each change of it or its branches. PostgreSQL's."""
    return Ask(_VERSION, lambda version: version, {"session_id": session_id})


def ask(session_id: UUID) -> Ask[SessionRow]:
    """Ask for a session."""
    return Ask(_SESSION, SessionRow, {"session_id": session_id})


def ask_branches(session_id: UUID) -> Ask[BranchRow]:
    """Ask for the branches of a session, in their order."""
    return Ask(_BRANCHES, BranchRow, {"session_id": session_id})


def handing_off(status: SessionStatus, handoff_count: int, package: dict[str, Any]) -> Step:
    """Let the session of a new handoff wait in the queue; `package` is what an older queue reads of it."""
    values = {"session_status": status, "handoff_count": handoff_count, "escalation_package": package}
    return Step(_hand_off, values)


def taking_over() -> Step:
    """Give the session of a claimed handoff to who claimed it."""
    return Step(_take_over, {"session_status": SessionStatus.ACTIVE})


async def change(tx: Transaction, session_id: UUID, values: dict[str, Any]) -> SessionRow:
    """Set columns of a session that exists, and return it as it is now."""
    statement = update(sessions).where(tx.own(sessions), sessions.c.id == session_id).values(values)
    row = await tx.fetch_one(statement.returning(*columns_of(SessionRow, sessions)), SessionRow)
    assert row is not None  # noqa: S101 (the caller holds the row's lock)
    return row


async def by_ids(tx: Transaction, session_ids: Sequence[UUID]) -> dict[UUID, SessionRow]:
    """Return the sessions of this account among the ids."""
    rows = await fetch(tx, Ask(_BY_IDS, SessionRow, {"ids": session_ids}))
    return {row.id: row for row in rows}


async def page(tx: Transaction, page: Page, *, status: SessionStatus | None) -> list[SessionRow]:
    """Return up to `page.limit` sessions, newest first. The sort key is (created_at, id)."""
    statement = _select(tx, *_with_status(status))
    if page.after is not None:
        statement = statement.where(_NEWEST_FIRST.is_after(page.after))
    return await tx.fetch_all(statement.order_by(*_NEWEST_FIRST.order()).limit(page.limit), SessionRow)


async def count(tx: Transaction, *, status: SessionStatus | None) -> int:
    """Return how many sessions `page` walks through."""
    statement = select(func.count()).select_from(sessions).where(tx.own(sessions), *_with_status(status))
    return int(await tx.fetch_value(statement))


async def add_branch(
    tx: Transaction, session: SessionRow, values: dict[str, Any]
) -> tuple[SessionRow, BranchRow]:
    """Store the next branch of a session whose lock the caller holds; return both as they are then.

    It becomes the active one where there is none.
    """
    row = BranchRow(id=new_id(), session_id=session.id, order=session.branch_count, **values)
    await tx.execute(
        insert(session_branches).values(
            account_id=tx.account_id, **{field.name: getattr(row, field.name) for field in fields(row)}
        )
    )
    active = session.active_branch_id or row.id
    changes = {"branch_count": row.order + 1, "active_branch_id": active}
    return await change(tx, session.id, changes), row


async def change_branch(
    tx: Transaction, session: SessionRow, branch_id: UUID, values: dict[str, Any]
) -> None:
    """Set columns of a branch of a session whose lock the caller holds. It makes another version of that."""
    await change(tx, session.id, {"branch_count": session.branch_count})
    await tx.execute(
        update(session_branches)
        .where(tx.own(session_branches), session_branches.c.id == branch_id)
        .values(values)
    )


async def branches_by_id(tx: Transaction, branch_ids: Sequence[UUID]) -> dict[UUID, BranchRow]:
    """Return the branches of this account among the ids."""
    rows = await tx.fetch_all(_select_branches(tx, session_branches.c.id.in_(branch_ids)), BranchRow)
    return {row.id: row for row in rows}


async def branches_of(tx: Transaction, session_ids: Sequence[UUID]) -> dict[UUID, list[BranchRow]]:
    """Return the branches of each session in their order."""
    found: dict[UUID, list[BranchRow]] = {session_id: [] for session_id in session_ids}
    statement = _select_branches(tx, session_branches.c.session_id.in_(session_ids))
    for row in await tx.fetch_all(statement.order_by(session_branches.c.order), BranchRow):
        found[row.session_id].append(row)
    return found


def _with_status(status: SessionStatus | None) -> list[ColumnElement[bool]]:
    return [] if status is None else [sessions.c.status == status]


def _select(tx: Transaction, *conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    return select(*columns_of(SessionRow, sessions)).where(tx.own(sessions), *conditions)


def _select_branches(tx: Transaction, condition: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    return select(*columns_of(BranchRow, session_branches)).where(tx.own(session_branches), condition)


def _hand_off(moved: Moved) -> Update:
    return _change_of(
        moved,
        status=value("session_status", sessions.c.status),
        handoff_count=value("handoff_count", sessions.c.handoff_count),
        escalated_to_id=null(),
        escalation_package=value("escalation_package", sessions.c.escalation_package),
    )


def _take_over(moved: Moved) -> Update:
    return _change_of(
        moved,
        status=value("session_status", sessions.c.status),
        escalated_to_id=looked_up(moved(handoffs.c.claimed_by_id)),
    )


def _change_of(moved: Moved, **columns: ColumnElement[Any]) -> Update:
    its_session = sessions.c.id == looked_up(moved(handoffs.c.session_id))
    return update(sessions).where(own(sessions), its_session).values(columns)


_BY_IDS = select(*columns_of(SessionRow, sessions)).where(own(sessions), listed(sessions.c.id))
_SESSION = select(*columns_of(SessionRow, sessions)).where(
    own(sessions), sessions.c.id == value("session_id", sessions.c.id)
)
_BRANCHES = (
    select(*columns_of(BranchRow, session_branches))
    .where(own(session_branches), session_branches.c.session_id == value("session_id", sessions.c.id))
    .order_by(session_branches.c.order)
)
_HOLD = Lock("hold_session", "SELECT FROM sessions WHERE account_id = $1 AND id = $2 FOR UPDATE")
_HOLD_OF_HANDOFF = Lock(
    "hold_session_of_handoff",
    "SELECT FROM sessions WHERE account_id = $1 AND id = "
    "(SELECT session_id FROM handoffs WHERE account_id = $1 AND id = $2) FOR UPDATE",
)
#: The user comes first: the condition does not depend on the session's row, and is found out before that is.
_HOLD_BOTH = Lock(
    "hold_user_and_session_of_handoff",
    "SELECT FROM sessions WHERE account_id = $1 AND id = "
    "(SELECT session_id FROM handoffs WHERE account_id = $1 AND id = $2) "
    "AND (SELECT id FROM users WHERE account_id = $1 AND id = $3::uuid FOR SHARE) IS NOT NULL FOR UPDATE",
    has_condition=True,
)
_HOLD_UNCHANGED = Lock(
    "hold_unchanged_session",
    "SELECT FROM sessions WHERE account_id = $1 AND id = $2 AND xmin::text = $3 FOR UPDATE",
    has_condition=True,
)
#: The transaction that wrote the row as it is (PostgreSQL manual, 5.5).
_VERSION = select(literal_column("sessions.xmin::text", Text()).label("version")).where(
    own(sessions), sessions.c.id == value("session_id", sessions.c.id)
)
