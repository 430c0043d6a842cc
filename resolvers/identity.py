"""Who asks: the one place where a token becomes a user, with what they may do as the database has it now."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db import system
from db.api_keys import ApiKeyRow
from db.enums import ApiKeyScope
from db.session import Database
from db.users import UserRow
from resolvers.api_keys import read_token
from resolvers.credentials import hash_secret
from resolvers.errors import Forbidden, Unauthenticated
from resolvers.permissions import require_user


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a signed token proves by itself. Its user is looked for by the id, then by the address."""

    user_id: UUID | None
    email: str | None  #: vouched for by who signed the token
    issued_at: datetime | None  #: None: the token does not say
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and with what."""

    user: UserRow
    expires_at: datetime | None = None  #: when the token ends; None: an API key, which has no end
    key: ApiKeyRow | None = None  #: None: signed in with a token
    #: The number of the account's last event when the user was read; None: it was not read with them.
    event_sequence: int | None = None

    @property
    def is_ingest_only(self) -> bool:
        """Whether the caller may feed sessions in, and nothing else."""
        return self.key is not None and self.key.scope == ApiKeyScope.INGEST


def caller_of_proof(user: UserRow | None, proof: Proof, *, event_sequence: int | None = None) -> Caller:
    """Return who asks with a signed token, given the user whom it names; None where there is none such.

    Raises:
        Unauthenticated: there is no such user, they may not sign in, or were signed out after the token
            was issued. A token that does not say when it was issued counts as older than any sign-out.
    """
    user = require_user(user)
    ended_at = user.tokens_not_before
    if ended_at is not None and (proof.issued_at is None or proof.issued_at < ended_at):
        raise Unauthenticated("You were signed out. Sign in again.")
    return Caller(user=user, expires_at=proof.expires_at, event_sequence=event_sequence)


async def caller_of_key(database: Database, token: str) -> Caller:
    """Return the user whose API key this is.

    Raises:
        Unauthenticated: nobody has such a key, it was revoked, or its user may not sign in.
    """
    read = read_token(token)
    found = None if read is None else await system.find_api_key(database, read.key_id)
    if read is None or found is None or not _is_secret(read.secret, found.secret_hash):
        raise Unauthenticated("This API key is not valid. Get a new one.")
    if found.key.revoked_at is not None:
        raise Unauthenticated("This API key was revoked. Get a new one.")
    return Caller(user=require_user(found.user), key=found.key, event_sequence=found.event_sequence)


def require_full(caller: Caller) -> None:
    """Refuse an API key that may only feed sessions in.

    Raises:
        Forbidden: the caller has such a key.
    """
    if caller.is_ingest_only:
        raise Forbidden("This API key may only feed sessions in (scope INGEST). Use one with scope FULL.")


def require_full_to_read(caller: Caller) -> None:
    """Refuse an API key that may only feed sessions in to read what others did with them, and addresses.

    Raises:
        Forbidden: the caller has such a key.
    """
    if caller.is_ingest_only:
        raise Forbidden(
            "This API key may only feed sessions in (scope INGEST): it reads neither handoffs nor addresses "
            "of people. Use one with scope FULL."
        )


def _is_secret(secret: str, secret_hash: str) -> bool:
    """Compare in constant time: how long it takes says nothing about where the two differ."""
    return hmac.compare_digest(hash_secret(secret), secret_hash)
