"""API keys: a machine's way to sign in. Each belongs to a user, and can do no more than that user.

Who made a key may know its token. So nobody makes a key that could do what they could not allow others, and
a key whose user gets such rights later is revoked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from db import api_keys, events, users
from db.api_keys import ApiKeyRow
from db.enums import ApiKeyScope, EventKind, Role
from db.events import Event
from db.session import Transaction, new_id
from db.users import UserRow
from resolvers import credentials
from resolvers.errors import BadInput, Forbidden, NotFound
from resolvers.inputs import MAX_LABEL, clean_text
from resolvers.permissions import is_admin, require_admin

#: Tells a key from a JWT, and lets scanners of leaked secrets recognise one.
PREFIX = "hk_"
_TOKEN = re.compile(rf"{PREFIX}([0-9a-f]{{32}})_([A-Za-z0-9_-]{{{credentials.LENGTH}}})")


@dataclass(frozen=True, slots=True)
class KeyToken:
    """The two parts of a key's token."""

    key_id: UUID
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made, with the only copy of its token."""

    key: ApiKeyRow
    token: str = field(repr=False)


def read_token(token: str) -> KeyToken | None:
    """Return the parts of a token, None for what no key's token can be."""
    match = _TOKEN.fullmatch(token)
    return None if match is None else KeyToken(UUID(match[1]), match[2])


@dataclass(frozen=True, slots=True)
class OutgrownKey:
    """A key that was revoked because of its user's new role."""

    key: ApiKeyRow
    maker: UserRow


async def create_as_admin(
    tx: Transaction,
    viewer: UserRow,
    user_id: UUID | None,
    name: str,
    scope: ApiKeyScope,
    *,
    now: datetime,
    signed_in_with: ApiKeyRow | None = None,
) -> NewApiKey:
    """Make a key for a user of the viewer's account; None for the viewer.

    The viewer is its maker. Where they signed in with a key that somebody else made, it may be that one who
    asks, and both may learn the token: so it counts as theirs, and a key for a third person is refused.

    Raises:
        Forbidden: the viewer is no owner or admin, or an admin who would make an owner's key; or would make
            somebody's with a key that somebody else made.
        NotFound: the account has no such user.
        BadInput: as for `create`.
    """
    require_admin(viewer)
    user_id = viewer.id if user_id is None else user_id
    await users.hold(tx, user_id)  # or a promotion at this moment would not find the key
    user = (await users.by_ids(tx, [user_id])).get(user_id)
    if user is None:
        raise NotFound("No user of your account has this id.")
    if not _may_make(viewer, user.role):
        raise Forbidden("Owner access required to make an owner's API key")
    maker_id = (signed_in_with and signed_in_with.created_by_id) or viewer.id
    if viewer.id not in (maker_id, user_id):
        raise Forbidden(
            "Somebody else made the API key that you signed in with. Sign in yourself to make somebody a key."
        )
    return await create(tx, user, name, scope, actor_id=viewer.id, maker_id=maker_id, now=now)


async def create(
    tx: Transaction,
    user: UserRow,
    name: str,
    scope: ApiKeyScope,
    *,
    actor_id: UUID | None,
    maker_id: UUID | None = None,
    now: datetime,
) -> NewApiKey:
    """Make a key for a user of the account. No role is asked: the command line has none, and is no maker.

    Raises:
        BadInput: the name cannot be used, the user cannot sign in, or is a viewer and the scope INGEST.
    """
    name = clean_text("name", name, MAX_LABEL)
    if not user.may_sign_in:
        raise BadInput(f"{user.name} is deactivated and cannot sign in.")
    if scope == ApiKeyScope.INGEST and not user.is_responder:
        raise BadInput(
            f"{user.name} is a viewer, and viewers feed no sessions in. Make it a key of scope FULL."
        )
    secret = credentials.new_secret()
    key = ApiKeyRow(
        account_id=tx.account_id,
        id=new_id(),
        user_id=user.id,
        name=name,
        scope=scope,
        created_at=now,
        last_used_at=None,
        revoked_at=None,
        created_by_id=maker_id,
    )
    await api_keys.add(tx, key, credentials.hash_secret(secret))
    summary = f"created the API key “{name}” ({scope.value}) of {user.name}"
    await _tell(tx, EventKind.API_KEY_CREATED, summary, actor_id=actor_id, now=now)
    return NewApiKey(key, f"{PREFIX}{key.id.hex}_{secret}")


async def revoke_as_admin(tx: Transaction, viewer: UserRow, key_id: UUID, *, now: datetime) -> ApiKeyRow:
    """Refuse a key of the viewer's account from now on.

    Raises:
        Forbidden: the viewer is no owner or admin.
        NotFound: the account has no such key.
    """
    require_admin(viewer)
    return await revoke(tx, key_id, actor_id=viewer.id, now=now)


async def revoke(tx: Transaction, key_id: UUID, *, actor_id: UUID | None, now: datetime) -> ApiKeyRow:
    """Refuse a key from now on; one that is refused already stays as it is.

    Raises:
        NotFound: the account has no such key.
    """
    is_new = await api_keys.revoke(tx, key_id, at=now)
    key = (await api_keys.by_ids(tx, [key_id])).get(key_id)
    if key is None:
        raise NotFound("No API key of your account has this id.")
    if is_new:
        await _tell(
            tx, EventKind.API_KEY_REVOKED, f"revoked the API key “{key.name}”", actor_id=actor_id, now=now
        )
    return key


async def revoke_outgrown(tx: Transaction, user: UserRow, *, now: datetime) -> list[OutgrownKey]:
    """Refuse a user's keys from now on whose makers could not make one for the user's new role.

    What the makers are now counts: who is no admin any more, or cannot sign in, makes none. The keys that the
    user made stay, and so do those of the command line. The caller holds the user, and appends the events
    (`tell_outgrown`) last.
    """
    found = await api_keys.lock_valid_of(tx, user.id)
    makers = await users.by_ids(tx, [key.created_by_id for key in found if key.created_by_id is not None])
    outgrown = [
        OutgrownKey(key, makers[key.created_by_id])
        for key in found
        if key.created_by_id not in (None, user.id) and not _may_make(makers[key.created_by_id], user.role)
    ]
    for each in outgrown:
        await api_keys.revoke(tx, each.key.id, at=now)
    return outgrown


async def tell_outgrown(
    tx: Transaction, outgrown: Sequence[OutgrownKey], user: UserRow, *, actor_id: UUID | None, now: datetime
) -> None:
    """Append an event about each key that was revoked because of its user's new role."""
    for each in outgrown:
        what = f"revoked the API key “{each.key.name}” of {user.name}, who is {user.role.value} now"
        summary = f"{what}: {each.maker.name} made it, and could make none for that role"
        await _tell(tx, EventKind.API_KEY_REVOKED, summary, actor_id=actor_id, now=now)


def _may_make(maker: UserRow, role: Role) -> bool:
    return is_admin(maker) and (role != Role.OWNER or maker.role == Role.OWNER)


async def _tell(
    tx: Transaction, kind: EventKind, summary: str, *, actor_id: UUID | None, now: datetime
) -> None:
    await events.append(tx, Event(kind=kind, at=now, summary=summary, actor_id=actor_id))
