"""Tokens of every kind: signed here for people at a terminal and for logins by mail, identified here.

JWT, HS256        signed by this service
JWT, otherwise    signed by the identity provider, where one is configured
hk_…              an API key
"""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import jwt

from db import system
from db.session import Database
from db.system import Known
from db.users import UserRow
from resolvers.api_keys import PREFIX
from resolvers.errors import Unauthenticated
from resolvers.identity import Caller, Proof, caller_of_key, caller_of_proof
from server.claims import proof_of, refusing
from server.jwks import ProviderTokens
from server.key_uses import KeyUses
from server.next_run import NextRun

#: RFC 7518 section 3.2. One algorithm only: a token must not choose how it is checked.
_ALGORITHM = "HS256"
_AUDIENCE = "handoff"
_REQUIRED = ["exp", "sub", "aud"]
#: Longer ones are not looked at: checking one would cost more than it is worth.
_LONGEST_TOKEN = 16 * 1024
#: Tokens of our own whose proof is remembered: their signatures need not be checked again.
_MOST_REMEMBERED = 4096


class Tokens:
    """Signs and reads tokens with one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._proofs: OrderedDict[str, Proof] = OrderedDict()

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
        proof = self._read(token)
        self._proofs[token] = proof
        if len(self._proofs) > _MOST_REMEMBERED:
            self._proofs.popitem(last=False)
        return proof

    def _read(self, token: str) -> Proof:
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

    def known(self, token: str) -> Proof | None:
        """Return what a token proves that was read before; None for one that was not, or has ended."""
        proof = self._proofs.get(token)
        return None if proof is None or proof.expires_at <= datetime.now(UTC) else proof


class Identify:
    """Finds out whose token it is, as the database has its user now. Asked for each operation."""

    def __init__(
        self, database: Database, tokens: Tokens, provider: ProviderTokens | None, key_uses: KeyUses
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._provider = provider
        self._key_uses = key_uses
        self._users: NextRun[UUID, Known] = NextRun(partial(system.find_users, database))

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
        # When an event wakes a thousand sockets, one statement asks for all.
        known = None if proof.user_id is None else await self._users.load(proof.user_id)
        if known is not None:
            return caller_of_proof(known.user, proof, event_sequence=known.event_sequence)
        return caller_of_proof(await self._by_address(proof), proof)

    async def _by_address(self, proof: Proof) -> UserRow | None:
        if proof.email is None:
            return None
        async with self._database.system_reading() as tx:
            return await system.find_user_by_email(tx, proof.email)

    async def _prove(self, token: str) -> Proof:
        known = self._tokens.known(token)
        if known is not None:
            return known
        with refusing():
            if len(token) > _LONGEST_TOKEN:
                raise jwt.InvalidTokenError
            algorithm = jwt.get_unverified_header(token).get("alg")
        if self._provider is None or algorithm == _ALGORITHM:
            return self._tokens.read(token)
        return await self._provider.read(token)

    async def _by_key(self, token: str) -> Caller:
        caller = await caller_of_key(self._database, token)
        if caller.key is not None:
            self._key_uses.note(caller.key)
        return caller


def bearer(header: object) -> str | None:
    """Return the token of an `Authorization: Bearer TOKEN` value (RFC 6750), None where it has none."""
    if not isinstance(header, str):
        return None
    scheme, _, token = header.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
