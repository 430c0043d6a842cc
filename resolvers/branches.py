"""Branches of sessions: what assistants and tools tell about a line of investigation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db import sessions
from db.enums import EventKind
from db.session import Transaction
from db.sessions import SessionRow
from db.users import UserRow
from resolvers import repeats
from resolvers.errors import BadInput, NotFound
from resolvers.inputs import (
    MAX_BRANCHES,
    MAX_LABEL,
    MAX_REASON,
    clean_optional_text,
    clean_text,
)
from resolvers.permissions import require_responder
from resolvers.session_changes import hold, hold_unresolved, require_unresolved, tell_change


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBranch:
    """A line of investigation to be added to a session."""

    label: str
    status: str | None = None  #: None: "open"
    status_reason: str | None = None
    parent_branch_id: UUID | None = None


async def add(
    tx: Transaction,
    viewer: UserRow,
    session_id: UUID,
    new: NewBranch,
    *,
    now: datetime,
    idempotency_key: str | None = None,
) -> SessionRow:
    """Add a line of investigation; sent again with its key, it adds nothing.

    Where the session is not branching, it becomes the active branch. A session is not branching before its
    first branch, and after its active branch was cleared.

    Raises:
        Forbidden: the viewer only reads.
        SessionNotFound, SessionResolved: the session cannot be changed; what was added before it was resolved
            and is sent again is not refused.
        BadInput: a text cannot be stored, the parent is not a branch of this session, or that has too many;
            or the idempotency key was used with another input.
    """
    session = await hold(tx, viewer, session_id)
    asked = {"mutation": "addSessionBranch", "session_id": session_id, "new": new}
    if await repeats.first_session(tx, viewer, idempotency_key, asked, session_id, now=now) is not None:
        return session
    require_unresolved(session)
    if session.branch_count >= MAX_BRANCHES:
        raise BadInput(f"The session has {session.branch_count} branches; at most {MAX_BRANCHES} are kept.")
    if new.parent_branch_id is not None:
        await require_branch(tx, session, "parentBranchId", new.parent_branch_id)
    session, branch = await sessions.add_branch(
        tx,
        session,
        {
            "label": clean_text("label", new.label, MAX_LABEL),
            "status": clean_text("status", "open" if new.status is None else new.status, MAX_LABEL),
            "status_reason": clean_optional_text("statusReason", new.status_reason, MAX_REASON),
            "parent_branch_id": new.parent_branch_id,
        },
    )
    what = f"added the branch “{branch.label}”"
    await tell_change(tx, viewer, session, EventKind.BRANCH_ADDED, what, now=now)
    return session


async def update(
    tx: Transaction, viewer: UserRow, branch_id: UUID, changes: dict[str, Any], *, now: datetime
) -> SessionRow:
    """Set fields of a branch. `changes` holds only what is to change, by column; None clears.

    Raises:
        Forbidden: the viewer only reads.
        SessionResolved: its session cannot be changed.
        NotFound: no branch of this account has the id.
        BadInput: a value cannot be stored.
    """
    require_responder(viewer)
    branch = (await sessions.branches_by_id(tx, [branch_id])).get(branch_id)
    if branch is None:
        raise NotFound("No branch of your account has this id.")
    session = await hold_unresolved(tx, viewer, branch.session_id)
    values = _clean_changes(changes)
    if not values:
        return session
    await sessions.change_branch(tx, session, branch_id, values)
    what = f"updated the branch “{values.get('label', branch.label)}”"
    await tell_change(tx, viewer, session, EventKind.BRANCH_UPDATED, what, now=now)
    return session


async def require_branch(tx: Transaction, session: SessionRow, field: str, branch_id: UUID) -> None:
    """Refuse a branch that is not one of the session's; `field` names it.

    Raises:
        BadInput: it is none.
    """
    branch = (await sessions.branches_by_id(tx, [branch_id])).get(branch_id)
    if branch is None or branch.session_id != session.id:
        raise BadInput(f"{field} is not a branch of this session.")


def _clean_changes(changes: dict[str, Any]) -> dict[str, Any]:
    values = dict(changes)
    for column in ("label", "status"):
        if column in values:
            values[column] = clean_text(column, values[column] or "", MAX_LABEL)
    if "status_reason" in values:
        values["status_reason"] = clean_optional_text("statusReason", values["status_reason"], MAX_REASON)
    return values
