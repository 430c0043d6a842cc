"""Storing sessions that were read elsewhere, each once."""

from datetime import datetime
from typing import Any
from uuid import UUID

from db import events, imports, session_messages, sessions, teams
from db.enums import EventKind, SessionStatus
from db.errors import Taken
from db.events import Event
from db.session import Transaction, new_id
from db.sessions import SessionRow
from db.users import UserRow
from resolvers.permissions import require_responder
from resolvers.transcripts import Transcript


class AlreadyIn(Exception):  # noqa: N818 (an outcome, not a fault)
    """The account has the session already. Its transaction is lost."""


async def is_in(tx: Transaction, transcript: Transcript) -> bool:
    """Tell whether the account has the session: it was imported before, or was exported from here."""
    if await imports.is_known(tx, transcript.source):
        return True
    exported_id = transcript.exported_id
    return exported_id is not None and bool(await sessions.by_ids(tx, [exported_id]))


async def store(tx: Transaction, owner: UserRow, transcript: Transcript, *, now: datetime) -> SessionRow:
    """Store a session as one of the owner's, with an id of its own.

    It is resolved where it was, else active: the handoffs of the session that was exported stay behind, so
    nobody waits for it here. Its team is the one with the same name, where there is one.

    Raises:
        Forbidden: the owner may only read.
        AlreadyIn: the account has it.
    """
    require_responder(owner)
    if await is_in(tx, transcript):
        raise AlreadyIn
    session = await sessions.add(tx, new_id(), await _columns(tx, owner, transcript))
    if transcript.messages:
        session = await session_messages.append(tx, session, transcript.messages)
    await _store_branches(tx, session, transcript)
    try:
        await imports.remember(tx, transcript.source, session.id, at=now)
    except Taken:
        raise AlreadyIn from None
    event = Event(
        kind=EventKind.SESSION_STARTED,
        at=now,
        summary="imported the session",
        session_id=session.id,
        team_id=session.team_id,
    )
    await events.append(tx, event)
    return session


async def _columns(tx: Transaction, owner: UserRow, transcript: Transcript) -> dict[str, Any]:
    team = None if transcript.team is None else await teams.by_name(tx, transcript.team)
    is_resolved = transcript.resolved_at is not None
    return {
        "team_id": None if team is None else team.id,
        "owner_id": owner.id,
        "status": SessionStatus.RESOLVED if is_resolved else SessionStatus.ACTIVE,
        "problem_summary": transcript.problem_summary,
        "problem_domain": transcript.problem_domain,
        "step_count": transcript.step_count,
        "confidence_tier": transcript.confidence_tier,
        "psa_ticket_id": transcript.psa_ticket_id,
        "actual_cause": transcript.actual_cause,
        "created_at": transcript.created_at,
        "resolved_at": transcript.resolved_at,
    }


async def _store_branches(tx: Transaction, session: SessionRow, transcript: Transcript) -> None:
    """Store the branches in their order, and make the one active that was; none where none was."""
    stored: dict[UUID | None, UUID | None] = {None: None}
    for branch in transcript.branches:
        session, row = await sessions.add_branch(
            tx,
            session,
            {
                "label": branch.label,
                "status": branch.status,
                "status_reason": branch.status_reason,
                "parent_branch_id": stored[branch.parent_id],
            },
        )
        stored[branch.id] = row.id
    if transcript.branches:
        await sessions.change(tx, session.id, {"active_branch_id": stored[transcript.active_branch_id]})
