"""Taking sessions in: what assistants and tools tell about a troubleshooting conversation.

Each function locks the session first, then writes, then appends the event: the order that all writers
share, so that none waits for another in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db import psa_connections, session_messages, sessions, teams, users
from db.enums import ConfidenceTier, EventKind, MessageRole, SessionStatus
from db.session import Transaction, new_id
from db.sessions import SessionRow
from db.users import UserRow
from resolvers import repeats
from resolvers.branches import require_branch
from resolvers.errors import BadInput, Forbidden, NotFound
from resolvers.handoffs import close_resolved
from resolvers.inputs import (
    MAX_LABEL,
    MAX_MESSAGE,
    MAX_MESSAGES,
    MAX_REASON,
    MAX_SUMMARY,
    clean_optional_text,
    clean_past,
    clean_steps,
    clean_text,
)
from resolvers.permissions import is_admin, require_responder
from resolvers.session_changes import hold, hold_unresolved, require_unresolved, tell_change


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to be added to a session."""

    role: MessageRole
    content: str
    at: datetime | None = None  #: None: now


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session to be started."""

    problem_summary: str
    problem_domain: str | None = None
    team_id: UUID | None = None
    owner_id: UUID | None = None  #: None: the caller
    confidence_tier: ConfidenceTier | None = None
    psa_ticket_id: str | None = None
    psa_connection_id: UUID | None = None
    messages: Sequence[NewMessage] = ()


async def start(
    tx: Transaction,
    viewer: UserRow,
    new: NewSession,
    *,
    now: datetime,
    is_ingest: bool = False,
    idempotency_key: str | None = None,
) -> SessionRow:
    """Store a session with its first messages; return the first one's, as it is now, where it is sent again.

    `is_ingest`: the viewer feeds in the sessions of whoever works on them.

    Raises:
        Forbidden: the viewer only reads, or starts it for another without being an admin, or feeding it in.
        NotFound: the team, owner or PSA connection is not of this account.
        BadInput: a text or a time cannot be stored, the owner is no responder, or the idempotency key was
            used with another input.
    """
    require_responder(viewer)
    session_id, asked = new_id(), {"mutation": "startSession", "new": new}
    first_id = await repeats.first_session(tx, viewer, idempotency_key, asked, session_id, now=now)
    if first_id is not None:
        return (await sessions.by_ids(tx, [first_id]))[first_id]
    session = await sessions.add(
        tx,
        session_id,
        {
            "team_id": await _known_team(tx, new.team_id),
            "owner_id": await _allowed_owner(tx, viewer, new.owner_id, is_ingest=is_ingest),
            "status": SessionStatus.ACTIVE,
            "problem_summary": clean_text("problemSummary", new.problem_summary, MAX_SUMMARY),
            "problem_domain": clean_optional_text("problemDomain", new.problem_domain, MAX_LABEL),
            "confidence_tier": new.confidence_tier,
            "psa_ticket_id": clean_optional_text("psaTicketId", new.psa_ticket_id, MAX_LABEL),
            "psa_connection_id": await _known_connection(tx, new.psa_connection_id),
            "created_at": now,
        },
    )
    if new.messages:
        session = await session_messages.append(tx, session, _clean_messages(new.messages, now=now))
    await tell_change(tx, viewer, session, EventKind.SESSION_STARTED, "started the session", now=now)
    return session


async def update(
    tx: Transaction, viewer: UserRow, session_id: UUID, changes: dict[str, Any], *, now: datetime
) -> SessionRow:
    """Set fields of a session. `changes` holds only what is to change, by column; None clears.

    Raises:
        Forbidden: the viewer only reads.
        SessionNotFound, SessionResolved: the session cannot be changed.
        NotFound: the PSA connection is not of this account.
        BadInput: a value cannot be stored, or the branch is not one of the session's.
    """
    session = await hold_unresolved(tx, viewer, session_id)
    values = await _clean_changes(tx, session, changes)
    if not values:
        return session
    session = await sessions.change(tx, session_id, values)
    changed = ", ".join(sorted(values)).replace("_", " ")
    await tell_change(tx, viewer, session, EventKind.SESSION_UPDATED, f"changed {changed}", now=now)
    return session


async def append_messages(
    tx: Transaction,
    viewer: UserRow,
    session_id: UUID,
    messages: Sequence[NewMessage],
    *,
    now: datetime,
    idempotency_key: str | None = None,
) -> SessionRow:
    """Add messages after the last one of a session; sent again with its key, it adds nothing.

    Raises:
        Forbidden, SessionNotFound, SessionResolved: as `update`; what was added before it was resolved and is
            sent again is not refused.
        BadInput: there is no message, there are too many, or one cannot be stored; or the idempotency key was
            used with another input.
    """
    session = await hold(tx, viewer, session_id)
    asked = {"mutation": "appendSessionMessages", "session_id": session_id, "messages": messages}
    if await repeats.first_session(tx, viewer, idempotency_key, asked, session_id, now=now) is not None:
        return session
    require_unresolved(session)
    if not messages:
        raise BadInput("messages must hold at least one message.")
    session = await session_messages.append(tx, session, _clean_messages(messages, now=now))
    what = f"added {len(messages)} message{'s' if len(messages) > 1 else ''}"
    await tell_change(tx, viewer, session, EventKind.MESSAGES_APPENDED, what, now=now)
    return session


async def resolve(
    tx: Transaction, viewer: UserRow, session_id: UUID, actual_cause: str | None, *, now: datetime
) -> SessionRow:
    """Finish a session; close its handoff and skip what was still to be sent about it.

    Raises:
        Forbidden, SessionNotFound, SessionResolved: as `update`.
        BadInput: the cause cannot be stored.
    """
    session = await hold_unresolved(tx, viewer, session_id)
    cause = clean_optional_text("actualCause", actual_cause, MAX_REASON)
    values = {"status": SessionStatus.RESOLVED, "resolved_at": now, "actual_cause": cause}
    session = await sessions.change(tx, session_id, values)
    await close_resolved(tx, viewer, session_id, now=now)
    await tell_change(tx, viewer, session, EventKind.SESSION_RESOLVED, "resolved the session", now=now)
    return session


async def _known_team(tx: Transaction, team_id: UUID | None) -> UUID | None:
    if team_id is not None and not await teams.by_ids(tx, [team_id]):
        raise NotFound("No team of your account has this id.")
    return team_id


async def _known_connection(tx: Transaction, connection_id: UUID | None) -> UUID | None:
    if connection_id is not None and not await psa_connections.by_ids(tx, [connection_id]):
        raise NotFound("No PSA connection of your account has this id.")
    return connection_id


async def _allowed_owner(tx: Transaction, viewer: UserRow, owner_id: UUID | None, *, is_ingest: bool) -> UUID:
    if owner_id is None or owner_id == viewer.id:
        return viewer.id
    if not is_ingest and not is_admin(viewer):
        raise Forbidden("Admin access required to start a session for somebody else")
    owner = (await users.by_ids(tx, [owner_id])).get(owner_id)
    if owner is None:
        raise NotFound("No user of your account has this id.")
    if not owner.may_sign_in:
        raise BadInput("ownerId is a user who cannot sign in any more.")
    if not owner.is_responder:
        raise BadInput("ownerId is a viewer, who only reads. Name an owner, admin or engineer.")
    return owner_id


def _clean_messages(
    messages: Sequence[NewMessage], *, now: datetime
) -> list[tuple[MessageRole, str, datetime]]:
    if len(messages) > MAX_MESSAGES:
        raise BadInput(f"messages holds {len(messages)} messages; send at most {MAX_MESSAGES} at a time.")
    return [_clean_message(message, f"messages[{index}]", now=now) for index, message in enumerate(messages)]


def _clean_message(message: NewMessage, place: str, *, now: datetime) -> tuple[MessageRole, str, datetime]:
    content = clean_text(f"{place}.content", message.content, MAX_MESSAGE)
    return (
        message.role,
        content,
        now if message.at is None else clean_past(f"{place}.at", message.at, now=now),
    )


async def _clean_changes(tx: Transaction, session: SessionRow, changes: dict[str, Any]) -> dict[str, Any]:
    values = dict(changes)
    for column, field, longest in (
        ("problem_summary", "problemSummary", MAX_SUMMARY),
        ("problem_domain", "problemDomain", MAX_LABEL),
        ("psa_ticket_id", "psaTicketId", MAX_LABEL),
    ):
        if column in values:
            values[column] = clean_optional_text(field, values[column], longest)
    if "step_count" in values:
        values["step_count"] = clean_steps(values["step_count"])
    await _known_connection(tx, values.get("psa_connection_id"))
    if values.get("active_branch_id") is not None:
        await require_branch(tx, session, "activeBranchId", values["active_branch_id"])
    return values
