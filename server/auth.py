"""Tokens of every kind: signed here for people at a terminal and for logins by mail, identified here.

JWT, HS256        signed by this service
JWT, otherwise    signed by the identity provider, where one is configured
hk_…              an API key
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
from strawberry.dataloader import DataLoader

from db import system
from db.session import Database
from db.users import UserRow
from resolvers.api_keys import PREFIX
from resolvers.errors import Unauthenticated
from resolvers.identity import Caller, Proof, caller_of_key, caller_of_proof
from server.claims import proof_of, refusing
from server.jwks import ProviderTokens
from server.key_uses import KeyUses

#: RFC 7518 section 3.2. One algorithm only: a token must not choose how it is checked.
_ALGORITHM = "HS256"
_AUDIENCE = "handoff"
_REQUIRED = ["exp", "sub", "aud"]
#: Longer ones are not looked at: checking one would cost more than it is worth.
_LONGEST_TOKEN = 16 * 1024
_MOST_AT_ONCE = 1000


class Tokens:
    """Signs and reads tokens with one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def sign(self, user_id: UUID, *, valid_for: timedelta) -> str:
        """Return a token that names the user."""
        now = datetime.now(UTC)
        # With the fraction of the second: whoever signs out and in again within one is not locked out.
        claims = {"sub": str(user_id), "aud": _AUDIENCE, "iat": now.timestamp(), "exp": now + valid_for}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def read(self, token: str) -> Proof:
        """Return what a token proves (RFC 7519).

        Raises:
            Unauthenticated: it is not valid, or no longer.
        """
        with refusing():
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                # Another node may have signed it, whose clock is a little ahead of ours.
                options={"require": _REQUIRED, "verify_iat": False},
            )
            proof = proof_of(claims, email=None)
            if proof.user_id is None:
                raise jwt.InvalidTokenError
            return proof


class Identify:
    """Finds out whose token it is, as the database has its user now. Asked for each operation."""

    def __init__(
        self, database: Database, tokens: Tokens, provider: ProviderTokens | None, key_uses: KeyUses
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._provider = provider
        self._key_uses = key_uses
        self._users: DataLoader[UUID, UserRow | None] = DataLoader(
            load_fn=self._find_users, cache=False, max_batch_size=_MOST_AT_ONCE
        )

    async def __call__(self, token: str | None) -> Caller:
        """Return whom the token names.

        Raises:
            Unauthenticated: there is no token, it is not valid, or its user may not sign in (any more).
        """
        if not token:
            raise Unauthenticated
        if token.startswith(PREFIX):
            return await self._by_key(token)
        proof = await self._prove(token)
        return caller_of_proof(await self._named_by(proof), proof)

    async def _named_by(self, proof: Proof) -> UserRow | None:
        """Find the user of a token. When an event wakes a thousand sockets, one statement asks for all."""
        user = None if proof.user_id is None else await self._users.load(proof.user_id)
        if user is not None or proof.email is None:
            return user
        async with self._database.system_reading() as tx:
            return await system.find_user_by_email(tx, proof.email)

    async def _find_users(self, user_ids: list[UUID]) -> list[UserRow | None]:
        async with self._database.system_reading() as tx:
            found = await system.find_users(tx, user_ids)
        return [found.get(user_id) for user_id in user_ids]

    async def _prove(self, token: str) -> Proof:
        with refusing():
            if len(token) > _LONGEST_TOKEN:
                raise jwt.InvalidTokenError
            algorithm = jwt.get_unverified_header(token).get("alg")
        if self._provider is None or algorithm == _ALGORITHM:
            return self._tokens.read(token)
        return await self._provider.read(token)

    async def _by_key(self, token: str) -> Caller:
        async with self._database.system_reading() as tx:
            caller = await caller_of_key(tx, token)
        if caller.key is not None:
            self._key_uses.note(caller.key)
        return caller


def bearer(header: object) -> str | None:
    """Return the token of an `Authorization: Bearer TOKEN` value (RFC 6750), None where it has none."""
    if not isinstance(header, str):
        return None
    scheme, _, token = header.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
