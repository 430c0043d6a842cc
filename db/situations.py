"""All that must be known of a session, and around it, to hand it off: read in one message."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db import handoffs, idempotency, policies, presence, psa_connections, sessions, users
from db.handoffs import HandoffRow
from db.idempotency import KeyRow
from db.policies import AccountPolicy
from db.prepared import Ask, fetch_together
from db.psa_connections import AutomaticConnection
from db.session import Transaction
from db.sessions import BranchRow, SessionRow
from db.users import UserRow


@dataclass(frozen=True, slots=True)
class Situation:
    """A session and what is around it."""

    session: SessionRow | None  #: None where the account has no such session
    unfinished: HandoffRow | None  #: its open or claimed handoff
    branches: list[BranchRow]
    policy: AccountPolicy
    automatic_psa: AutomaticConnection | None  #: where each escalation gets a note
    known: KeyRow | None  #: what the user made with the idempotency key, however long ago
    responders: list[UserRow]  #: none are read where nobody is to be told
    online: set[UUID]  #: whose dashboards show an escalation of the session
    version: str | None  #: of the session; None on SQLite, where there is none, and where it is held


async def read(
    tx: Transaction,
    session_id: UUID,
    user_id: UUID,
    key: str | None,
    *,
    is_told: bool,
    is_held: bool = True,
    now: datetime,
) -> Situation:
    """Read the situation of a session whose lock the caller holds; else with the version that it has now."""
    asks: list[Ask[Any]] = [
        sessions.ask(session_id),
        handoffs.ask_unfinished(session_id),
        sessions.ask_branches(session_id),
        policies.ask(),
    ]
    if is_told:
        asks += [
            psa_connections.ask_automatic(session_id),
            users.ask_responders(),
            presence.ask_online(session_id, now=now),
        ]
    if key is not None:
        asks += [idempotency.ask(user_id, key)]
    has_version = tx.is_postgresql and not is_held
    if has_version:
        asks += [sessions.ask_version(session_id)]
    found = await fetch_together(tx, *asks)
    version = found.pop() if has_version else []
    session, unfinished, branches, policy = found[:4]
    automatic, responders, online = found[4:7] if is_told else ([], [], [])
    known = [] if key is None else found[-1]
    return Situation(
        session=next(iter(session), None),
        unfinished=next(iter(unfinished), None),
        branches=branches,
        policy=next(iter(policy), AccountPolicy()),
        automatic_psa=next(iter(automatic), None),
        known=next(iter(known), None),
        responders=responders,
        online=set(online),
        version=next(iter(version), None),
    )
