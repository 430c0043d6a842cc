"""Demo data: two accounts, their people, and troubleshooting sessions as a service provider meets them."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from db import sessions as stored
from db import system, users
from db.enums import ConfidenceTier, HandoffIntent, HandoffPriority, MessageRole, Role
from db.session import Database, Transaction, new_id
from db.users import UserRow
from resolvers import admin, branches, handing_off, sessions
from resolvers.branches import NewBranch
from resolvers.new_handoffs import NewHandoff
from resolvers.sessions import NewMessage, NewSession

_SESSIONS = Path(__file__).parent / "demo_sessions.json"
_TEAM = "Service desk"
_DEMO = "Demo"
_OTHER = "Other"
_PEOPLE = {
    "owner@demo.test": ("Olivia Owner", Role.OWNER),
    "admin@demo.test": ("Adam Admin", Role.ADMIN),
    "engineer@demo.test": ("Erin Engineer", Role.ENGINEER),
    "senior@demo.test": ("Sam Senior", Role.ENGINEER),
    "viewer@demo.test": ("Vera Viewer", Role.VIEWER),
}
_IN_TEAM = ("engineer@demo.test", "senior@demo.test")
_STRANGER = {"engineer@other.test": ("Otto Other", Role.ENGINEER)}


async def create_demo(database: Database, *, now: datetime) -> bool:
    """Create the demo data, all or nothing; False where it is there already."""
    async with database.system_reading() as tx:
        if await system.find_account(tx, _DEMO) is not None:
            return False
    async with database.transaction(new_id()) as tx:
        await _create_people(tx, _OTHER, _STRANGER, now=now)
    async with database.transaction(new_id()) as tx:
        people = await _create_people(tx, _DEMO, _PEOPLE, now=now)
        members = [people[email].id for email in _IN_TEAM]
        team_id = await admin.create_team(tx, _TEAM, members, now=now)
        for story in sorted(json.loads(_SESSIONS.read_text()), key=lambda story: -story["minutes_ago"]):
            await _create_session(tx, people, team_id, story, now=now)
    return True


async def _create_people(
    tx: Transaction, account: str, people: dict[str, tuple[str, Role]], *, now: datetime
) -> dict[str, UserRow]:
    await admin.create_account(tx, account, now=now)
    for email, (name, role) in people.items():
        await admin.add_user(tx, email=email, name=name, role=role, now=now)
    return {user.email: user for user in await users.in_account(tx)}


async def _create_session(
    tx: Transaction, people: dict[str, UserRow], team_id: UUID, story: dict[str, Any], *, now: datetime
) -> None:
    owner = people[story["owner"]]
    started = now - timedelta(minutes=story["minutes_ago"])
    tier = story["confidence_tier"]
    new = NewSession(
        problem_summary=story["problem_summary"],
        problem_domain=story["problem_domain"],
        team_id=team_id if story["in_team"] else None,
        confidence_tier=None if tier is None else ConfidenceTier(tier),
        psa_ticket_id=story["psa_ticket_id"],
    )
    session = await sessions.start(tx, owner, new, now=started)
    said = [
        NewMessage(
            role=MessageRole(message["role"]),
            content=message["content"],
            at=min(now, started + timedelta(minutes=message["minute"])),
        )
        for message in story["messages"]
    ]
    last = said[-1].at or now
    await sessions.append_messages(tx, owner, session.id, said, now=last)
    await _create_branches(tx, owner, session.id, story, now=last)
    if story["handoff"] is not None:
        await _hand_off(tx, owner, session.id, story["handoff"], now=now)
    if story["status"] == "RESOLVED":
        await sessions.resolve(tx, owner, session.id, story["actual_cause"], now=last)


async def _create_branches(
    tx: Transaction, owner: UserRow, session_id: UUID, story: dict[str, Any], *, now: datetime
) -> None:
    ids: dict[str, UUID] = {}
    for branch in story["branches"]:
        new = NewBranch(
            label=branch["label"],
            status=branch["status"],
            status_reason=branch["status_reason"],
            parent_branch_id=ids.get(branch["parent"]),
        )
        await branches.add(tx, owner, session_id, new, now=now)
        ids[branch["key"]] = (await stored.branches_of(tx, [session_id]))[session_id][-1].id
    changes: dict[str, Any] = {"step_count": story["step_count"]}
    if story["active_branch"] is not None:
        changes["active_branch_id"] = ids[story["active_branch"]]
    await sessions.update(tx, owner, session_id, changes, now=now)


async def _hand_off(
    tx: Transaction, owner: UserRow, session_id: UUID, handoff: dict[str, Any], *, now: datetime
) -> None:
    new = NewHandoff(
        session_id=session_id,
        intent=HandoffIntent(handoff["intent"]),
        priority=HandoffPriority[handoff["priority"]],
        notes=handoff["notes"],
    )
    at = now - timedelta(minutes=handoff["minutes_ago"])
    await handing_off.create(tx, owner, new, now=at, grace=timedelta(0))
