"""Puts the notes that are due into their tickets, each once, and records what came of each.

1. Lease the connections that have notes due and have passed a test: one worker at a time talks to a PSA.
2. For each note of a connection, one after the other: mark it SENDING.
3. If it was tried before, whatever became of that, look for its marker in the ticket. Only a note that is
   surely not there is sent. No transaction is open meanwhile.
4. Record the answer at once, in one transaction.

A worker that dies leaves its leases behind; when they end, another takes over, and looks first.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db import handoffs, outbox, psa_connections, psa_leases, psa_notes
from db.enums import DeliveryStatus, EventKind
from db.events import append_about
from db.outbox import Attempt, Settlement
from db.psa_connections import PsaConnectionRow
from db.psa_leases import LeasedConnection
from db.psa_notes import NoteRow
from db.session import Database, Transaction, new_id
from notify.backoff import pause_after
from notify.psa.faults import NoteVisible, PsaAmbiguous, PsaFault, PsaRefused, PsaUnavailable, TicketRefused
from notify.psa.gateway import Gateway
from notify.psa.note_text import marker_of, read_facts, write_note
from notify.psa.port import Connector
from notify.psa.vault import CredentialsUnreadable
from notify.settling import until_recorded

log = logging.getLogger(__name__)

#: After this long a note that the PSA does not take for now is given up.
GIVE_UP_AFTER = timedelta(hours=24)
#: Each note extends the lease by this; it outlasts `_LONGEST_NOTE_SECONDS` and the recording after it.
LEASE = timedelta(seconds=300)
_LONGEST_NOTE_SECONDS = 120.0
_CONNECTIONS_AT_ONCE = 4
_NOTES_A_TURN = 20
#: What may have been carried out may take a while to show.
_AMBIGUOUS_WAITS = timedelta(seconds=30)
#: How long the other notes of a connection wait, at most, when the PSA did not take one for now.
_CONNECTION_WAITS = timedelta(seconds=60)
_UNREADABLE_WAITS = timedelta(minutes=10)
_UNREADABLE = "The credentials cannot be decrypted: the service lacks their key. Enter them again."


class _LeaseLost(Exception):  # noqa: N818 (an outcome, not a fault)
    """Another worker has taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSettings:
    """How notes are written."""

    link_of: Callable[[UUID], str]  #: where a handoff is read
    redact: Callable[[str], str]  #: takes the secrets out of a text


class NoteOutbox:
    """One worker's notes, apart from its mails: a slow PSA delays no mail."""

    def __init__(
        self, database: Database, gateway: Gateway, notes: NoteSettings, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._notes = notes
        self._now = now
        self._stopping = False
        #: What connectors found out, by connection and credentials.
        self._memories: dict[tuple[UUID, str], dict[str, str]] = {}

    def stop(self) -> None:
        """Finish the notes that are under way, and begin no other.

        Who does not wait for them may cut `send_due` off: their leases end, and another worker looks for
        their markers first.
        """
        self._stopping = True

    async def send_due(self) -> int:
        """Lease connections with notes due, and send those; return how many notes were tried."""
        lease, now = new_id(), self._now()
        async with self._database.system() as tx:
            leased = await psa_leases.lease_due(
                tx, lease, now=now, until=now + LEASE, limit=_CONNECTIONS_AT_ONCE
            )
        if not leased:
            return 0
        try:
            return sum(await asyncio.gather(*(self._take_turn(connection, lease) for connection in leased)))
        finally:
            async with self._database.system() as tx:
                await psa_leases.give_back(tx, lease)

    async def _take_turn(self, leased: LeasedConnection, lease: UUID) -> int:
        """Send the notes of one connection. Its failure touches no other's."""
        try:
            return await self._send_notes(leased, lease)
        except Exception:
            log.exception("notes of a connection not sent", extra={"connection_id": str(leased.id)})
            return 0

    async def _send_notes(self, leased: LeasedConnection, lease: UUID) -> int:
        async with self._database.reading(leased.account_id) as tx:
            connection = (await psa_connections.by_ids(tx, [leased.id]))[leased.id]
            sealed = await psa_connections.credentials_of(tx, leased.id)
        memory = self._memories.setdefault((leased.id, sealed), {})
        tried = 0
        try:
            async with self._gateway.open(connection, sealed, memory) as psa:
                while tried < _NOTES_A_TURN and not self._stopping:
                    note = await self._begin(connection, lease)
                    if note is None:
                        break
                    tried += 1
                    if not await self._deliver(connection, note, lease, psa):
                        break
        except CredentialsUnreadable:
            async with self._database.transaction(leased.account_id) as tx:
                later = self._now() + _UNREADABLE_WAITS
                await psa_connections.record(
                    tx, leased.id, error=_UNREADABLE, at=self._now(), not_before=later
                )
        return tried

    async def _begin(self, connection: PsaConnectionRow, lease: UUID) -> NoteRow | None:
        async with self._database.transaction(connection.account_id) as tx:
            now = self._now()
            due = await psa_notes.next_due(tx, connection.id, now=now)
            if due is None:
                return None
            return await psa_notes.begin(tx, connection.id, due, lease, at=now, until=now + LEASE)

    async def _deliver(
        self, connection: PsaConnectionRow, note: NoteRow, lease: UUID, psa: Connector
    ) -> bool:
        """Send and record one note; return whether the PSA may be asked for more."""
        note_id: str | None = None
        fault: PsaFault | None = None
        try:
            async with asyncio.timeout(_LONGEST_NOTE_SECONDS):
                note_id = await self._send(note, psa)
        except PsaFault as error:
            fault = error
        except TimeoutError:
            fault = PsaAmbiguous(f"The PSA took longer than {_LONGEST_NOTE_SECONDS:g} seconds in all.")
        await self._settle(connection, note, lease, note_id, fault)
        return fault is None or isinstance(fault, PsaRefused)

    async def _send(self, note: NoteRow, psa: Connector) -> str:
        marker = marker_of(note)
        if note.attempts > 1:
            found = await psa.find_note(note.psa_ticket_id, marker)
            if found is not None:
                return found
        async with self._database.reading(note.account_id) as tx:
            facts = await read_facts(tx, note)
        link = self._notes.link_of(note.handoff_id)
        text = write_note(facts, marker=marker, link=link, redact=self._notes.redact)
        return await psa.add_note(note.psa_ticket_id, text)

    async def _settle(
        self,
        connection: PsaConnectionRow,
        note: NoteRow,
        lease: UUID,
        note_id: str | None,
        fault: PsaFault | None,
    ) -> None:
        """Record the answer, again and again while the database is away."""

        async def record() -> None:
            async with self._database.transaction(note.account_id) as tx:
                if fault is None:
                    await self._record_note(tx, connection, note, lease, str(note_id))
                else:
                    await self._record_fault(tx, connection, note, lease, fault)

        try:
            await until_recorded(record, note.id, unless=_LeaseLost)
        except _LeaseLost:
            log.warning("note recorded by another worker", extra={"delivery_id": str(note.id)})

    async def _record_note(
        self, tx: Transaction, connection: PsaConnectionRow, note: NoteRow, lease: UUID, note_id: str
    ) -> None:
        now = self._now()
        await psa_connections.record(tx, connection.id, error=None, at=now)
        handoff = await handoffs.note_pushed(tx, note.handoff_id, note_id)
        said = f"note {note_id} in ticket {note.psa_ticket_id}"
        settlement = _settlement(note, DeliveryStatus.SENT, now, text=said)
        if handoff is None or not await outbox.settle(tx, lease, settlement):
            raise _LeaseLost
        summary = f"put a note into ticket {note.psa_ticket_id} of {connection.name}"
        await append_about(tx, EventKind.PSA_NOTE_PUSHED, handoff, None, summary, at=now)

    async def _record_fault(
        self, tx: Transaction, connection: PsaConnectionRow, note: NoteRow, lease: UUID, fault: PsaFault
    ) -> None:
        now = self._now()
        due_at = retry_at(fault, note.attempts, asked_at=note.first_due_at, now=now)
        more: dict[str, object] = {}
        if fault.retry_after is not None:
            more["not_before"] = now + timedelta(seconds=fault.retry_after)
        elif due_at is not None:
            more["not_before"] = min(due_at, now + _CONNECTION_WAITS)
        if isinstance(fault, NoteVisible):
            more["paused"] = True  # no other note may become visible before somebody has looked
        if not isinstance(fault, TicketRefused):
            await psa_connections.record(tx, connection.id, error=fault.text, at=now, **more)
        status = DeliveryStatus.FAILED if due_at is None else DeliveryStatus.PENDING
        settlement = _settlement(note, status, now, code=fault.code, text=fault.text, due_at=due_at)
        await outbox.settle(tx, lease, settlement)
        what = {"delivery_id": str(note.id), "attempt": note.attempts, "code": fault.code}
        log.warning("note not accepted", extra=what)


def retry_at(fault: PsaFault, attempt: int, *, asked_at: datetime, now: datetime) -> datetime | None:
    """Return when to try a note again after the given failed attempt (1 is the first); None to give up.

    Not before the time that the PSA asks for, nor sooner than in half a minute where the note may be there
    already.
    """
    if not isinstance(fault, PsaUnavailable) or now - asked_at >= GIVE_UP_AFTER:
        return None
    pause = max(pause_after(attempt), timedelta(seconds=fault.retry_after or 0.0))
    return now + (max(pause, _AMBIGUOUS_WAITS) if isinstance(fault, PsaAmbiguous) else pause)


def _settlement(
    note: NoteRow,
    status: DeliveryStatus,
    at: datetime,
    *,
    code: int | None = None,
    text: str,
    due_at: datetime | None = None,
) -> Settlement:
    accepted = status == DeliveryStatus.SENT
    attempt = Attempt(number=note.attempts, finished_at=at, accepted=accepted, code=code, text=text)
    return Settlement(delivery_id=note.id, attempt=attempt, status=status, due_at=due_at)
