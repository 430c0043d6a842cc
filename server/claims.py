"""From the claims of a token (RFC 7519) to what it proves, the same for every signer."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from resolvers.errors import Unauthenticated
from resolvers.identity import Proof


@contextmanager
def refusing() -> Iterator[None]:
    """Turn whatever is wrong with a token into one of two sentences.

    A token is text that anybody can make up: deep nesting, numbers beyond all times, and half characters
    are faults of the token as well.
    """
    try:
        yield
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("Your token has expired. Get a new one.") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError, RecursionError):
        raise Unauthenticated("Your token is not valid. Get a new one.") from None


def proof_of(claims: dict[str, Any], *, email: str | None, leeway: timedelta = timedelta(0)) -> Proof:
    """Return what verified claims prove; `email` is an address that the signer vouches for.

    Raises:
        ValueError, TypeError, OverflowError, OSError: a claim is not what it has to be.
    """
    issued_at = claims.get("iat")
    return Proof(
        user_id=_id_of(claims["sub"]),
        email=email,
        issued_at=None if issued_at is None else datetime.fromtimestamp(issued_at, UTC),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC) + leeway,
    )


def _id_of(subject: str) -> UUID | None:
    """Return the user's id, None where the signer names its users otherwise."""
    try:
        return UUID(subject)
    except ValueError:
        return None
