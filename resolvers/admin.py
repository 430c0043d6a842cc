"""Managing accounts, teams and users: for the command line, which asks no role."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from db import accounts, events, logins, users
from db.enums import EventKind, Role
from db.errors import Taken
from db.events import Event
from db.session import Transaction
from db.users import UserRow
from resolvers import people, teams
from resolvers.errors import BadInput
from resolvers.inputs import MAX_LABEL, clean_text
from resolvers.people import NewUser


async def create_account(tx: Transaction, name: str, *, now: datetime) -> UUID:
    """Store the account whose new id the transaction carries, and return the id.

    Raises:
        BadInput: the name cannot be used or is taken.
    """
    name = clean_text("name", name, MAX_LABEL)
    try:
        await accounts.create(tx, name, at=now)
    except Taken:
        raise BadInput(f"There is an account named {name} already.") from None
    await _tell(tx, EventKind.ACCOUNT_CREATED, f"created the account {name}", now=now)
    return tx.account_id


async def create_team(tx: Transaction, name: str, member_ids: Sequence[UUID], *, now: datetime) -> UUID:
    """Store a team with its members, and return its id.

    Raises:
        BadInput, NotFound, TeamNameTaken: as `teams.create`.
    """
    return (await teams.create(tx, None, name, member_ids, now=now)).id


async def add_user(tx: Transaction, *, email: str, name: str, role: Role, now: datetime) -> UUID:
    """Store a user, and return the id.

    Raises:
        BadInput: the address or the name cannot be used.
        EmailTaken: the address is, in whatever account.
    """
    return (await people.add(tx, None, NewUser(email=email, name=name, role=role), now=now)).id


async def sign_out(tx: Transaction, user: UserRow, *, now: datetime) -> None:
    """Refuse every token and every link to sign in that the user was given so far.

    API keys are no sign-ins: each is revoked by itself.
    """
    await users.sign_out(tx, user.id, at=now)
    await logins.forget(tx, user.id)
    await _tell(tx, EventKind.USER_SIGNED_OUT, f"signed {user.name} out everywhere", now=now)


async def _tell(tx: Transaction, kind: EventKind, summary: str, *, now: datetime) -> None:
    await events.append(tx, Event(kind=kind, at=now, summary=summary))
