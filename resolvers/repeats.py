"""Requests that are sent again, as their idempotency key tells: answered with what the first one made."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from uuid import UUID

from db import idempotency
from db.idempotency import KeyRow
from db.session import Transaction
from db.users import UserRow
from resolvers.errors import BadInput
from resolvers.inputs import MAX_LABEL, clean_text


async def first_session(
    tx: Transaction,
    viewer: UserRow,
    key: str | None,
    asked: Mapping[str, object],
    session_id: UUID,
    *,
    now: datetime,
) -> UUID | None:
    """Return the session of the viewer's first request with the key; None where this is the first.

    Then the key is stored with `session_id`; where there is no key, nothing is. `asked` is the whole input,
    with the name of the mutation.

    Raises:
        BadInput: the key cannot be stored, or was used with another input.
    """
    cleaned = clean_key(key)
    if cleaned is None:
        return None
    whole = fingerprint(asked)
    known = await idempotency.use(tx, viewer.id, cleaned, whole, session_id, at=now)
    if known is None:
        return None
    require_same(known, whole)
    return known.session_id


def clean_key(key: str | None) -> str | None:
    """Return a key as it is stored, None for none.

    Raises:
        BadInput: it cannot be stored.
    """
    return None if key is None else clean_text("idempotencyKey", key, MAX_LABEL)


def fingerprint(asked: Mapping[str, object]) -> str:
    """Return a digest of a whole input, which may hold dataclasses; equal for equal inputs."""
    whole = json.dumps(asked, default=_plain, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def require_same(known: KeyRow, fingerprint: str) -> None:
    """Refuse another input than the one that the key was used with.

    Raises:
        BadInput: it is another one.
    """
    if known.fingerprint != fingerprint:
        raise BadInput("idempotencyKey was used with another input in the last 24 hours. Use a new key.")


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)
