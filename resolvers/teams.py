"""The teams of an account, and who is in them. Without an actor it is the command line that asks."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from db import events, teams, users
from db.enums import EventKind
from db.errors import Taken
from db.events import Event
from db.session import Transaction
from db.teams import TeamRow
from db.users import UserRow
from resolvers.errors import BadInput, NotFound, TeamNameTaken
from resolvers.inputs import MAX_LABEL, clean_text
from resolvers.permissions import require_admin

MOST_MEMBERS = 500  #: that one request may name


async def create(
    tx: Transaction, actor: UserRow | None, name: str, member_ids: Sequence[UUID], *, now: datetime
) -> TeamRow:
    """Store a team with its members.

    Raises:
        Forbidden: the actor is no owner or admin.
        BadInput: the name cannot be used, too many members are named, or one was removed.
        NotFound: a member is not of this account.
        TeamNameTaken: the name is.
    """
    if actor is not None:
        require_admin(actor)
    name = clean_text("name", name, MAX_LABEL)
    if len(member_ids) > MOST_MEMBERS:
        raise BadInput(f"memberIds names {len(member_ids)} users; name at most {MOST_MEMBERS} at a time.")
    _require_there(await _known_users(tx, member_ids))
    try:
        team = await teams.add(tx, name)
    except Taken:
        raise TeamNameTaken(name) from None
    for user_id in sorted(set(member_ids)):
        await teams.join(tx, team.id, user_id)
    await _tell(tx, EventKind.TEAM_CREATED, f"created the team {name}", actor, now=now)
    return team


async def rename(
    tx: Transaction, actor: UserRow | None, team_id: UUID, name: str, *, now: datetime
) -> TeamRow:
    """Give a team another name; its own writes nothing.

    Raises:
        Forbidden: the actor is no owner or admin.
        NotFound: the account has no such team.
        BadInput: the name cannot be used.
        TeamNameTaken: the name is.
    """
    team = await _lock(tx, actor, team_id)
    name = clean_text("name", name, MAX_LABEL)
    if name == team.name:
        return team
    try:
        await teams.rename(tx, team_id, name)
    except Taken:
        raise TeamNameTaken(name) from None
    await _tell(tx, EventKind.TEAM_CHANGED, f"renamed the team {team.name} to {name}", actor, now=now)
    return TeamRow(team_id, name)


async def set_member(
    tx: Transaction, actor: UserRow | None, team_id: UUID, user_id: UUID, *, is_member: bool, now: datetime
) -> TeamRow:
    """Make a user a member of a team, or take them out of it; repeated, it writes nothing.

    Raises:
        Forbidden: the actor is no owner or admin.
        NotFound: the account has no such team, or no such user.
        BadInput: who is to become a member was removed.
    """
    team = await _lock(tx, actor, team_id)
    (user,) = await _known_users(tx, [user_id])
    if is_member:
        _require_there([user])
    if not await (teams.join if is_member else teams.part)(tx, team_id, user_id):
        return team
    summary = f"added {user.name} to" if is_member else f"took {user.name} out of"
    await _tell(tx, EventKind.TEAM_CHANGED, f"{summary} the team {team.name}", actor, now=now)
    return team


async def _lock(tx: Transaction, actor: UserRow | None, team_id: UUID) -> TeamRow:
    if actor is not None:
        require_admin(actor)
    team = await teams.lock(tx, team_id)
    if team is None:
        raise NotFound("No team of your account has this id.")
    return team


async def _known_users(tx: Transaction, user_ids: Sequence[UUID]) -> list[UserRow]:
    known = await users.by_ids(tx, user_ids) if user_ids else {}
    if any(user_id not in known for user_id in user_ids):
        raise NotFound("No user of your account has this id.")
    return [known[user_id] for user_id in user_ids]


def _require_there(people: Sequence[UserRow]) -> None:
    for user in people:
        if user.deleted_at is not None:
            raise BadInput(f"{user.name} was removed. Make them active again first.")


async def _tell(
    tx: Transaction, kind: EventKind, summary: str, actor: UserRow | None, *, now: datetime
) -> None:
    actor_id = None if actor is None else actor.id
    await events.append(tx, Event(kind=kind, at=now, summary=summary, actor_id=actor_id))
