"""The people of an account: added, changed, deactivated, deleted, and brought back.

Without an actor it is the command line that asks: it has no role, and is held to what holds for all.
Whoever leaves leaves nothing behind that only they could finish: what they have claimed goes back into the
queue. Each function locks the users first, then the sessions, and appends the events last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db import events, users
from db.enums import EventKind, Role
from db.errors import Taken
from db.events import Event
from db.session import Transaction
from db.users import UserRow
from resolvers import api_keys
from resolvers.errors import EmailTaken, Forbidden, LastOwner, NotFound
from resolvers.inputs import MAX_LABEL, clean_email, clean_text
from resolvers.permissions import is_promotion, require_admin
from resolvers.reopening import announce, release_claims


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A person to be added."""

    email: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChanges:
    """What is to change of a person; None leaves it as it is."""

    email: str | None = None
    name: str | None = None
    role: Role | None = None
    active: bool | None = None  #: True brings a deleted person back as well


async def add(tx: Transaction, actor: UserRow | None, new: NewUser, *, now: datetime) -> UserRow:
    """Store a person, and return them.

    Raises:
        Forbidden: the actor is no owner or admin, or an admin who would make an owner.
        BadInput: the address or the name cannot be used.
        EmailTaken: the address is, in whatever account.
    """
    if actor is not None:
        require_admin(actor)
        _require_owner(actor, new.role)
    email, name = clean_email(new.email), clean_text("name", new.name, MAX_LABEL)
    await _require_free(tx, email, if_they_left=", who left: make them active again")
    try:
        user_id = await users.add(tx, email=email, name=name, role=new.role, at=now)
    except Taken:
        raise EmailTaken(email, None) from None
    await _tell(tx, EventKind.USER_ADDED, f"added {name} as {new.role.value}", actor, now=now)
    return (await users.by_ids(tx, [user_id]))[user_id]


async def change(
    tx: Transaction,
    actor: UserRow | None,
    user_id: UUID,
    changes: UserChanges,
    *,
    now: datetime,
    grace: timedelta,
) -> UserRow:
    """Set fields of a person, and return them. What is as it was writes nothing.

    Who is no responder any more gives back what they have claimed. Who gets a role for which the makers of
    their API keys could make none loses those keys.

    Raises:
        Forbidden: the actor is no owner or admin; an admin who would change an owner or make one; or would
            change their own role, or deactivate themselves.
        NotFound: the account has no such user.
        BadInput: a value cannot be used.
        EmailTaken: the address is, in whatever account.
        LastOwner: no active owner would be left.
    """
    known = await _lock(tx, actor, user_id)
    user = known[user_id]
    wanted = replace(user, **_cleaned(user, changes))
    _check(actor, user, wanted, known.values())
    if wanted == user:
        return user
    if wanted.email != user.email:
        await _require_free(tx, wanted.email)
    kinds = _told_of(user, wanted)
    return await _store(tx, actor, user, wanted, kinds, now=now, grace=grace)


async def delete(
    tx: Transaction, actor: UserRow | None, user_id: UUID, *, now: datetime, grace: timedelta
) -> UserRow:
    """Mark a person as deleted, and return them: in no list any more, but history keeps their name.

    Their address stays theirs. Repeated, it writes nothing.

    Raises:
        Forbidden, NotFound, LastOwner: as `change`.
    """
    known = await _lock(tx, actor, user_id)
    user = known[user_id]
    wanted = user if user.deleted_at is not None else replace(user, deleted_at=now)
    _check(actor, user, wanted, known.values())
    if wanted == user:
        return user
    kinds = {EventKind.USER_DELETED: f"deleted {user.name}"}
    return await _store(tx, actor, user, wanted, kinds, now=now, grace=grace)


async def _lock(tx: Transaction, actor: UserRow | None, user_id: UUID) -> dict[UUID, UserRow]:
    """Hold the user, the actor and all owners, and return them as they are now.

    Raises:
        Forbidden: the actor is no owner or admin any more.
        NotFound: the account has no such user.
    """
    if actor is not None:
        require_admin(actor)
    known = await users.lock_with_owners(tx, [user_id, *([] if actor is None else [actor.id])])
    if actor is not None:
        require_admin(known[actor.id])
    if user_id not in known:
        raise NotFound("No user of your account has this id.")
    return known


def _cleaned(user: UserRow, changes: UserChanges) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if changes.email is not None:
        values["email"] = clean_email(changes.email)
    if changes.name is not None:
        values["name"] = clean_text("name", changes.name, MAX_LABEL)
    if changes.role is not None:
        values["role"] = changes.role
    if changes.active is not None:
        values["active"] = changes.active
        values["deleted_at"] = None if changes.active else user.deleted_at
    return values


def _check(actor: UserRow | None, user: UserRow, wanted: UserRow, known: Iterable[UserRow]) -> None:
    """Refuse what the actor may not do, and what would leave the account without an owner."""
    if actor is not None:
        _require_owner(actor, user.role, wanted.role)
    others = [each for each in known if each.id != user.id]
    if _is_owner(user) and not _is_owner(wanted) and not any(_is_owner(each) for each in others):
        raise LastOwner
    if actor is None or actor.id != user.id:
        return
    if wanted.role != user.role:
        raise Forbidden("Nobody changes their own role. Ask another owner or admin.")
    if not wanted.may_sign_in:
        raise Forbidden("Nobody deactivates or deletes themselves. Ask another owner or admin.")


def _is_owner(user: UserRow) -> bool:
    return user.role == Role.OWNER and user.may_sign_in


def _require_owner(actor: UserRow, *roles: Role) -> None:
    if Role.OWNER in roles and actor.role != Role.OWNER:
        raise Forbidden("Owner access required to make or change an owner")


async def _require_free(tx: Transaction, email: str, *, if_they_left: str = "") -> None:
    taken_by = await users.by_email(tx, email)
    if taken_by is not None:
        raise EmailTaken(email, taken_by, "" if taken_by.may_sign_in else if_they_left)


def _told_of(user: UserRow, wanted: UserRow) -> dict[EventKind, str]:
    """Return the events of a change, with what each says."""
    parts = []
    if wanted.name != user.name:
        parts.append(f"renamed {user.name} to {wanted.name}")
    if wanted.email != user.email:
        parts.append(f"changed the address of {wanted.name}")
    if wanted.role != user.role:
        parts.append(f"made {wanted.name} {wanted.role.value}")
    kinds = {EventKind.USER_CHANGED: ", ".join(parts)} if parts else {}
    if wanted.may_sign_in and not user.may_sign_in:
        kinds[EventKind.USER_REACTIVATED] = f"reactivated {wanted.name}"
    if user.active and not wanted.active:
        kinds[EventKind.USER_DEACTIVATED] = f"deactivated {wanted.name}"
    return kinds


async def _store(
    tx: Transaction,
    actor: UserRow | None,
    user: UserRow,
    wanted: UserRow,
    kinds: Mapping[EventKind, str],
    *,
    now: datetime,
    grace: timedelta,
) -> UserRow:
    """Store a person as wanted; where they are no responder any more, give back what they have claimed.

    Where they are promoted, the keys that others may know, and could not make for the new role, are revoked.

    Their own events come before those of the handoffs: nobody is pushed what comes after they have left.
    """
    columns = ("email", "name", "role", "active", "deleted_at")
    try:
        await users.change(tx, user.id, {column: getattr(wanted, column) for column in columns})
    except Taken:
        raise EmailTaken(wanted.email, None) from None
    is_promoted = is_promotion(user.role, wanted.role)
    outgrown = await api_keys.revoke_outgrown(tx, wanted, now=now) if is_promoted else []
    leaves = user.is_responder and not wanted.is_responder
    reopened = await release_claims(tx, user, now=now, grace=grace) if leaves else []
    for kind, summary in kinds.items():
        await _tell(tx, kind, summary, actor, now=now)
    actor_id = None if actor is None else actor.id
    await api_keys.tell_outgrown(tx, outgrown, wanted, actor_id=actor_id, now=now)
    summary = f"released it: {wanted.name} {_why(wanted)}"
    await announce(tx, reopened, summary, actor_id=actor_id, except_id=None, now=now)
    return wanted


def _why(left: UserRow) -> str:
    if left.deleted_at is not None:
        return "was deleted"
    return f"is {left.role.value} now" if left.active else "was deactivated"


async def _tell(
    tx: Transaction, kind: EventKind, summary: str, actor: UserRow | None, *, now: datetime
) -> None:
    actor_id = None if actor is None else actor.id
    await events.append(tx, Event(kind=kind, at=now, summary=summary, actor_id=actor_id))
