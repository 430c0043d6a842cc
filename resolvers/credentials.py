"""Secrets that the service makes and hands out once; it keeps a hash of each and never the secret."""

import hashlib
import secrets

#: 256 bits. Too many to be guessed, so a fast hash without salt hides them.
_BYTES = 32
#: How many characters of base64url that is.
LENGTH = 43


def new_secret() -> str:
    """Make a secret of letters, digits, - and _."""
    return secrets.token_urlsafe(_BYTES)


def hash_secret(secret: str) -> str:
    """Return what is kept of a secret: SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()
