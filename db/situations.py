"""All that must be known of a session, and around it, to hand it off: read in one message."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db import handoffs, idempotency, policies, presence, psa_connections, sessions, users
from db.handoffs import HandoffRow
from db.idempotency import KeyRow
from db.policies import AccountPolicy
from db.prepared import Ask, fetch_together, glance_together
from db.psa_connections import AutomaticConnection
from db.session import Database, Transaction
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
    version: str | None  #: of the session; None where it is held, or not there


async def read(
    tx: Transaction, session_id: UUID, user_id: UUID, key: str | None, *, is_told: bool, now: datetime
) -> Situation:
    """Read the situation of a session whose lock the caller holds."""
    asks = _asks(session_id, user_id, key, is_told=is_told, now=now)
    return _situation(await fetch_together(tx, *asks), is_told=is_told)


async def foresee(
    database: Database,
    account_id: UUID,
    session_id: UUID,
    user_id: UUID,
    key: str | None,
    *,
    is_told: bool,
    now: datetime,
) -> Situation:
    """Read the situation of a session that nobody holds, with the version that it has. PostgreSQL's alone."""
    asks = _asks(session_id, user_id, key, is_told=is_told, now=now)
    *found, version = await glance_together(database, account_id, *asks, sessions.ask_version(session_id))
    return _situation(found, is_told=is_told, version=next(iter(version), None))


def _asks(
    session_id: UUID, user_id: UUID, key: str | None, *, is_told: bool, now: datetime
) -> list[Ask[Any]]:
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
    return asks


def _situation(found: list[list[Any]], *, is_told: bool, version: str | None = None) -> Situation:
    """Return what was found by `_asks`."""
    session, unfinished, branches, policy, *rest = found
    automatic, responders, online = rest[:3] if is_told else ([], [], [])
    known = rest[3:] if is_told else rest
    return Situation(
        session=next(iter(session), None),
        unfinished=next(iter(unfinished), None),
        branches=branches,
        policy=next(iter(policy), AccountPolicy()),
        automatic_psa=next(iter(automatic), None),
        known=next(iter(known[0]), None) if known else None,
        responders=responders,
        online=set(online),
        version=version,
    )
