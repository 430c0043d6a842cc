"""Managing an account's connections to ticketing systems: for owners and admins.

Credentials come in here and are encrypted at once. Nothing returns them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from db import events, psa_connections, psa_notes
from db.enums import EventKind, PsaProvider, PsaStatus
from db.errors import Taken
from db.events import Event
from db.psa_connections import PsaConnectionRow
from db.session import Database, Transaction, new_id
from db.users import UserRow
from notify.psa.addresses import clean_base_url
from notify.psa.autotask import is_internal_label
from notify.psa.faults import PsaFault
from notify.psa.gateway import Gateway
from notify.psa.vault import CredentialsUnreadable
from resolvers.errors import BadInput, NotFound
from resolvers.inputs import MAX_LABEL, clean_text
from resolvers.permissions import require_admin

_LONGEST_SECRET = 500
_CHECK_SECONDS = 45.0
_UNKNOWN = "No PSA connection of your account has this id."
_UNREADABLE = "The credentials cannot be decrypted: the service lacks their key. Enter them again."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredentials:
    """Credentials of one provider, by name."""

    provider: PsaProvider
    values: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConnection:
    """A connection to be made."""

    name: str
    base_url: str
    config: dict[str, str | None]  #: by name; what is None is left to the provider
    credentials: NewCredentials
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What a test of a connection found."""

    connection: PsaConnectionRow
    works: bool
    message: str


async def create(
    tx: Transaction, gateway: Gateway | None, viewer: UserRow, new: NewConnection, *, now: datetime
) -> PsaConnectionRow:
    """Store a connection. It is tried when somebody tests it; no note goes before that has succeeded.

    Raises:
        Forbidden: the viewer is no owner or admin.
        BadInput: a value cannot be used, the name is taken, or the service has no key to encrypt with.
    """
    require_admin(viewer)
    gateway = _present(gateway)
    connection = PsaConnectionRow(
        account_id=tx.account_id,
        id=new_id(),
        provider=new.credentials.provider,
        name=clean_text("name", new.name, MAX_LABEL),
        base_url=_clean_url("server", new.base_url),
        config=_clean_config(new),
        status=PsaStatus.UNTESTED,
        last_error=None,
        checked_at=None,
        paused=False,
        automatic=new.automatic,
        created_at=now,
    )
    sealed = gateway.seal(connection, _clean_credentials(new.credentials))
    try:
        await psa_connections.add(tx, connection, sealed)
    except Taken:
        raise BadInput(f"There is a PSA connection named {connection.name} already.") from None
    summary = f"connected “{connection.name}” ({connection.provider.value})"
    await _tell(tx, EventKind.PSA_CONNECTION_CREATED, viewer, summary, now=now)
    return connection


async def rotate(
    tx: Transaction,
    gateway: Gateway | None,
    viewer: UserRow,
    connection_id: UUID,
    read_credentials: Callable[[], NewCredentials],
    *,
    now: datetime,
) -> PsaConnectionRow:
    """Replace the credentials of a connection; what waits is tried at once.

    They are read once the connection is known: of one that is not, nothing else is told.

    Raises:
        Forbidden: the viewer is no owner or admin.
        NotFound: the account has no such connection.
        BadInput: they are another provider's or cannot be used, or the service has no key.
    """
    require_admin(viewer)
    gateway = _present(gateway)
    connection = await _find(tx, connection_id)
    credentials = read_credentials()
    if credentials.provider != connection.provider:
        raise BadInput(f"The connection is one to {connection.provider.value}: give its credentials.")
    sealed = gateway.seal(connection, _clean_credentials(credentials))
    values = {"status": PsaStatus.UNTESTED, "last_error": None, "not_before": None}
    changed = await psa_connections.change(tx, connection_id, values, credentials=sealed)
    summary = f"replaced the credentials of “{connection.name}”"
    await _tell(tx, EventKind.PSA_CONNECTION_CHANGED, viewer, summary, now=now)
    return changed or connection


async def set_paused(
    tx: Transaction, viewer: UserRow, connection_id: UUID, *, paused: bool, now: datetime
) -> PsaConnectionRow:
    """Stop or go on sending over a connection. Repeated, it changes nothing.

    Raises:
        Forbidden: the viewer is no owner or admin.
        NotFound: the account has no such connection.
    """
    values: dict[str, Any] = {"paused": paused} if paused else {"paused": False, "not_before": None}
    return await _change(tx, viewer, connection_id, values, "paused" if paused else "resumed", now=now)


async def set_automatic(
    tx: Transaction, viewer: UserRow, connection_id: UUID, *, automatic: bool, now: datetime
) -> PsaConnectionRow:
    """Set whether each escalation gets a note. Repeated, it changes nothing.

    Raises:
        Forbidden: the viewer is no owner or admin.
        NotFound: the account has no such connection.
    """
    what = "made automatic" if automatic else "made manual"
    return await _change(tx, viewer, connection_id, {"automatic": automatic}, what, now=now)


async def remove(tx: Transaction, viewer: UserRow, connection_id: UUID, *, now: datetime) -> PsaConnectionRow:
    """Delete a connection and its credentials.

    Raises:
        Forbidden: the viewer is no owner or admin.
        NotFound: the account has no such connection.
        BadInput: sessions or notes refer to it, and their history must not lose it.
    """
    require_admin(viewer)
    connection = await psa_connections.lock(tx, connection_id)
    if connection is None:
        raise NotFound(_UNKNOWN)
    if await psa_connections.is_used(tx, connection_id):
        raise BadInput(
            f"“{connection.name}” is used by sessions or notes. Pause it instead, or replace its credentials."
        )
    await psa_connections.remove(tx, connection_id)
    await _tell(tx, EventKind.PSA_CONNECTION_DELETED, viewer, f"deleted “{connection.name}”", now=now)
    return connection


async def check(
    database: Database, gateway: Gateway | None, viewer: UserRow, connection_id: UUID, *, now: datetime
) -> Checked:
    """Try a connection now. No transaction is open while the PSA is asked; what came of it is recorded.

    Raises:
        Forbidden: the viewer is no owner or admin.
        NotFound: the account has no such connection.
        BadInput: the service has no key to decrypt with.
    """
    require_admin(viewer)
    gateway = _present(gateway)
    async with database.reading(viewer.account_id) as tx:
        connection = await _find(tx, connection_id)
        sealed = await psa_connections.credentials_of(tx, connection_id)
    works, message = await _ask(gateway, connection, sealed)
    async with database.transaction(viewer.account_id) as tx:
        error = None if works else message
        recorded = await psa_connections.record(tx, connection_id, error=error, at=now)
        if works:
            await psa_notes.end_wait_for_test(tx, connection_id, at=now)
    return Checked(recorded or connection, works, message)


async def _ask(gateway: Gateway, connection: PsaConnectionRow, sealed: str) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(_CHECK_SECONDS), gateway.open(connection, sealed) as psa:
            return True, await psa.check()
    except TimeoutError:
        return False, f"The PSA took longer than {_CHECK_SECONDS:g} seconds in all."
    except PsaFault as fault:
        return False, fault.text
    except CredentialsUnreadable:
        return False, _UNREADABLE


async def _change(
    tx: Transaction,
    viewer: UserRow,
    connection_id: UUID,
    values: dict[str, Any],
    what: str,
    *,
    now: datetime,
) -> PsaConnectionRow:
    require_admin(viewer)
    before = await _find(tx, connection_id)
    changed = await psa_connections.change(tx, connection_id, values)
    if changed is None or changed == before:
        return before
    await _tell(tx, EventKind.PSA_CONNECTION_CHANGED, viewer, f"{what} “{before.name}”", now=now)
    return changed


async def _find(tx: Transaction, connection_id: UUID) -> PsaConnectionRow:
    connection = (await psa_connections.by_ids(tx, [connection_id])).get(connection_id)
    if connection is None:
        raise NotFound(_UNKNOWN)
    return connection


def _present(gateway: Gateway | None) -> Gateway:
    if gateway is None:
        raise BadInput(
            "This service has no key to encrypt credentials with. Its operator sets HANDOFF_ENCRYPTION_KEYS."
        )
    return gateway


def _clean_config(new: NewConnection) -> dict[str, str]:
    config = {}
    for name, value in new.config.items():
        if value is None:
            continue
        field_name = _camel(name)
        config[name] = (
            _clean_url(field_name, value)
            if name.endswith("_server")
            else _clean_plain(field_name, value, MAX_LABEL)
        )
    label = config.get("publish_label")
    if label is not None and not is_internal_label(label):
        raise BadInput(
            "publishLabel must be the label of internal users alone: notes are never for customers."
        )
    return config


def _clean_credentials(given: NewCredentials) -> dict[str, str]:
    return {name: _clean_plain(_camel(name), value, _LONGEST_SECRET) for name, value in given.values.items()}


def _clean_plain(field_name: str, value: str, longest: int) -> str:
    """Return a text that may stand in a request."""
    text = clean_text(field_name, value, longest)
    is_shown = field_name.endswith("Label")  # the rest stands in headers
    if not text.isprintable() or not (is_shown or text.isascii()):
        raise BadInput(f"{field_name} holds a character that cannot be sent.")
    return text


def _clean_url(field_name: str, value: str) -> str:
    try:
        return clean_base_url(value)
    except ValueError as error:
        raise BadInput(f"{field_name} {error}.") from None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


async def _tell(tx: Transaction, kind: EventKind, viewer: UserRow, summary: str, *, now: datetime) -> None:
    await events.append(tx, Event(kind=kind, at=now, summary=summary, actor_id=viewer.id))
