"""The public keys of an identity provider (RFC 7517), and the tokens that it signs with them.

The keys are read when the process starts, every few minutes after that, and when a token names one that
is not known. The last good set is kept while the provider is away; a copy of it in a file lets a process
start meanwhile.
"""

import asyncio
import json
import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWKClient
from jwt.exceptions import PyJWTError

from resolvers.errors import TokenUnchecked
from resolvers.identity import Proof
from server.claims import proof_of, refusing

log = logging.getLogger(__name__)

#: A key of another kind is passed over, so that no token chooses how it is checked (RFC 8725, section 3.1).
ALGORITHMS = ("RS256", "ES256", "EdDSA")
#: How far the provider's clock may be from ours.
CLOCK_SKEW = timedelta(seconds=30)
FETCH_SECONDS = 5.0
#: Keys that the provider has withdrawn are refused after this long.
REFRESH_SECONDS = 300.0
#: As long as there is no key at all, the provider is asked this often.
RETRY_SECONDS = 5.0
#: Anyone can make up the name of a key, so a name that is not known costs a request only so often.
UNKNOWN_SECONDS = 30.0
_SHORTEST_RSA = 2048  # bits; RFC 7518 section 3.3
_REQUIRED = ["exp", "sub", "aud", "iss"]


class KeySet:
    """The keys by their names. Start it once; stop it once."""

    def __init__(self, source: str, cache: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Describe the keys; nothing is read before `start`.

        Args:
            source: The URL of a JWKS document, or its file.
            cache: Where the last good set of a URL is kept.
            clock: Seconds that only grow.
        """
        self._source = source
        self._is_url = source.startswith(("https://", "http://"))
        self._cache = cache
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._asked_at = -math.inf  #: when a name that was not known last cost a request
        self._reading = asyncio.Lock()
        self._was_read = asyncio.Event()  #: or tried to be
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take what is in the cache, and begin to read."""
        if self._is_url:
            self._keys = _usable(await asyncio.to_thread(self._recall))
        self._task = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def find(self, name: str) -> PyJWK | None:
        """Return the key with this name, None where the provider has none."""
        if name not in self._keys:
            await self._was_read.wait()
            async with self._reading:
                await self._look_for(name)
        return self._keys.get(name)

    @property
    def is_empty(self) -> bool:
        """Whether there was no good set yet."""
        return not self._keys

    async def _look_for(self, name: str) -> None:
        now = self._clock()
        if name not in self._keys and now - self._asked_at >= UNKNOWN_SECONDS:
            self._asked_at = now
            await self._read()

    async def _keep_fresh(self) -> None:
        while True:
            async with self._reading:
                await self._read()
            self._was_read.set()
            await asyncio.sleep(RETRY_SECONDS if self.is_empty else REFRESH_SECONDS)

    async def _read(self) -> None:
        """Read the document; one that cannot be had, or holds no key that can be used, changes nothing."""
        try:
            async with asyncio.timeout(2 * FETCH_SECONDS):
                document = await asyncio.to_thread(self._load)
        except (PyJWTError, OSError, ValueError, RecursionError) as error:
            log.warning("keys of the identity provider not read", extra={"why": type(error).__name__})
            return
        keys = _usable(document)
        if not keys:
            log.warning("the identity provider has no key that can be used")
            return
        self._keys = keys
        if self._is_url:
            await asyncio.to_thread(self._remember, document)

    def _load(self) -> object:
        """Fetch or read the document. PyJWT's client follows no redirects: they could lead anywhere."""
        if self._is_url:
            return PyJWKClient(self._source, cache_jwk_set=False, timeout=FETCH_SECONDS).fetch_data()
        return json.loads(Path(self._source).read_bytes())

    def _remember(self, document: object) -> None:
        """Keep a copy; whoever starts meanwhile reads the old one or the new one, whole."""
        draft = self._cache.with_name(f".{self._cache.name}.{uuid4()}.tmp")
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as stream:
                json.dump({"source": self._source, "document": document}, stream)
            draft.replace(self._cache)
        except OSError as error:
            log.warning("keys of the identity provider not kept", extra={"why": error.strerror})
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def _recall(self) -> object:
        """Return the copy, if it is one of this source."""
        try:
            kept = json.loads(self._cache.read_bytes())
            return kept["document"] if kept["source"] == self._source else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None


class ProviderTokens:
    """Reads the tokens of an identity provider (OpenID Connect, or any other signer of JWTs)."""

    def __init__(self, keys: KeySet, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def read(self, token: str) -> Proof:
        """Return what a token proves.

        Raises:
            TokenUnchecked: there is no key of the provider yet.
            Unauthenticated: the provider did not sign it, not for this service, or it is valid no longer.
        """
        with refusing():
            name = jwt.get_unverified_header(token).get("kid")
        key = await self._keys.find(name) if isinstance(name, str) else None
        if key is None and self._keys.is_empty:
            raise TokenUnchecked
        with refusing():
            if key is None:
                raise jwt.InvalidTokenError
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=CLOCK_SKEW,
                options={"require": _REQUIRED},
            )
            return proof_of(claims, email=_verified_email(claims), leeway=CLOCK_SKEW)


def keys_in_file(file: Path) -> dict[str, PyJWK]:
    """Return the keys of a file that can be used, by their names.

    Raises:
        OSError, ValueError, RecursionError: it cannot be read.
    """
    return _usable(json.loads(file.read_bytes()))


def _usable(document: object) -> dict[str, PyJWK]:
    """Return the keys of a document by their names: public, for signing, of an algorithm that is allowed."""
    listed = document.get("keys") if isinstance(document, dict) else None
    found: dict[str, PyJWK] = {}
    for described in listed if isinstance(listed, list) else []:
        key = _read_key(described)
        if key is not None and key.key_id is not None:
            found.setdefault(key.key_id, key)
    return found


def _read_key(described: object) -> PyJWK | None:
    if not isinstance(described, dict) or not isinstance(described.get("kid"), str):
        return None
    try:
        key = PyJWK(described)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if key.algorithm_name not in ALGORITHMS or key.public_key_use not in ("sig", None):
        return None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < _SHORTEST_RSA:
        return None
    return key


def _verified_email(claims: dict[str, Any]) -> str | None:
    """Return the address that the provider vouches for (OpenID Connect Core 1.0, section 5.1)."""
    email = claims.get("email")
    # Some providers write the flag as a string.
    is_denied = str(claims.get("email_verified", True)).lower() != "true"
    return email if isinstance(email, str) and email and not is_denied else None
