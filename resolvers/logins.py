"""Signing in by a link in a mail, for people whose account has no identity provider."""

from datetime import datetime, timedelta
from uuid import UUID

from db import logins, system, users
from db.session import SystemTransaction, Transaction
from db.users import UserRow
from resolvers.credentials import hash_secret, new_secret
from resolvers.errors import LoginLinkSpent
from resolvers.permissions import require_user

VALID_FOR = timedelta(minutes=10)
#: A person gets no second link before: whoever knows an address could flood its mailbox.
MAIL_EVERY = timedelta(minutes=1)


async def make_link(tx: Transaction, user: UserRow, *, now: datetime) -> str | None:
    """Return the secret of a new link; None where the user was given one a moment ago."""
    latest = await logins.lock_latest(tx, user.id)
    if latest is not None and now < latest + MAIL_EVERY:
        return None
    secret = new_secret()
    await logins.add(tx, user.id, hash_secret(secret), at=now, expires_at=now + VALID_FOR)
    return secret


async def find_account(tx: SystemTransaction, secret: str, *, now: datetime) -> UUID:
    """Return the account of a link that can still be used.

    Raises:
        LoginLinkSpent: it cannot, or there never was such a link.
    """
    link = await system.find_login_link(tx, hash_secret(secret))
    if link is None or link.used_at is not None or link.expires_at <= now:
        raise LoginLinkSpent
    return link.account_id


async def use_link(tx: Transaction, secret: str, *, now: datetime) -> UserRow:
    """Use a link up, and return whose it is.

    Raises:
        LoginLinkSpent: somebody was faster, or it has expired meanwhile.
        Unauthenticated: the user may not sign in any more.
    """
    user_id = await logins.use(tx, hash_secret(secret), at=now)
    if user_id is None:
        raise LoginLinkSpent
    return require_user((await users.by_ids(tx, [user_id]))[user_id])
