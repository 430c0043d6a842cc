"""Credentials of PSAs, encrypted at rest.

Fernet (AES-128-CBC with HMAC-SHA256) under the first of the operator's keys; every key still decrypts, so
that keys can be changed. What is encrypted names the connection and where its credentials go: a text that
is moved to another connection in the database, or whose connection is pointed at another address there,
opens no more.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class CredentialsUnreadable(Exception):  # noqa: N818 (an outcome, not a fault)
    """The credentials cannot be decrypted: their key is gone, or somebody changed the stored text."""


class Vault:
    """Seals and opens credentials."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the keys, the one that encrypts first.

        Raises:
            ValueError: there is none, or one is not 32 bytes in base64url. The message holds no key.
        """
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise ValueError("each key must be 32 random bytes in base64url") from None

    def seal(self, connection_id: UUID, goes_to: str, credentials: Mapping[str, str]) -> str:
        """Encrypt credentials for one connection."""
        held = {"of": _binding(connection_id, goes_to), "credentials": dict(credentials)}
        return self._fernet.encrypt(json.dumps(held).encode()).decode()

    def open(self, connection_id: UUID, goes_to: str, sealed: str) -> dict[str, str]:
        """Decrypt the credentials of a connection.

        Raises:
            CredentialsUnreadable: they were sealed under another key, or for another connection or address.
        """
        try:
            held = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise CredentialsUnreadable from None
        if not hmac.compare_digest(held["of"], _binding(connection_id, goes_to)):
            raise CredentialsUnreadable
        return {str(name): str(value) for name, value in held["credentials"].items()}

    def renew(self, sealed: str) -> str:
        """Encrypt anew, under the first key.

        Raises:
            CredentialsUnreadable: no key opens it.
        """
        try:
            return self._fernet.rotate(sealed).decode()
        except InvalidToken:
            raise CredentialsUnreadable from None


def derived_key(secret: str) -> str:
    """Make a key from another secret of 32 random bytes or more, for a demo that has no keys of its own."""
    derived = hmac.digest(secret.encode(), b"handoff psa credentials", "sha256")
    return base64.urlsafe_b64encode(derived).decode()


def _binding(connection_id: UUID, goes_to: str) -> str:
    return hashlib.sha256(f"{connection_id} {goes_to}".encode()).hexdigest()
