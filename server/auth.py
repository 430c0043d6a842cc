"""Tokens: signed here for people at a terminal, read here from every request and socket."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from resolvers.errors import Unauthenticated
from schema.context import Identity

#: RFC 7518 section 3.2. One algorithm only: a token must not choose how it is checked.
_ALGORITHM = "HS256"
_AUDIENCE = "handoff"
_REQUIRED = ["exp", "sub", "aud"]


class Tokens:
    """Signs and reads tokens with one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def sign(self, user_id: UUID, *, valid_for: timedelta) -> str:
        """Return a token that names the user."""
        now = datetime.now(UTC)
        claims = {"sub": str(user_id), "aud": _AUDIENCE, "iat": now, "exp": now + valid_for}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def read(self, token: str | None) -> Identity:
        """Return whom a token names (RFC 7519).

        Raises:
            Unauthenticated: there is none, or it is not valid, or no longer.
        """
        if not token:
            raise Unauthenticated
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": _REQUIRED},
            )
            return Identity(UUID(claims["sub"]), datetime.fromtimestamp(claims["exp"], UTC))
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("Your token has expired. Get a new one.") from None
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, OSError):
            raise Unauthenticated("Your token is not valid. Get a new one.") from None


def bearer(header: object) -> str | None:
    """Return the token of an `Authorization: Bearer TOKEN` value (RFC 6750), None where it has none."""
    if not isinstance(header, str):
        return None
    scheme, _, token = header.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
