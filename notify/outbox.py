"""Sends the mails that are due, and records what came of each.

1. Lease a batch of due deliveries, so that no other worker takes them.
2. For each by itself: check a last time that it is wanted, and mark it SENDING.
3. Hand the mail in. No transaction is open and no lock is held meanwhile.
4. Record the answer at once, before anything else.

A worker that dies leaves its leases behind; when they end, another worker takes over. It may repeat the
one mail that had been accepted and not yet recorded, with the same Message-ID. So may a mail server that
takes a mail and does not say so. Nothing else comes twice.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from db import deliveries, handoffs, outbox, system
from db.deliveries import DeliveryRow, Push
from db.outbox import Attempt
from db.session import Database, Transaction, new_id
from db.system import Leased
from notify import policy, rounds
from notify.letters import Letter, read_letter
from notify.messages import UnusableAddress, render
from notify.smtp import Mailer, PermanentFault, SendFault, TemporaryFault

log = logging.getLogger(__name__)

BATCH = 100
LEASE = timedelta(seconds=120)
#: Said of an attempt after which nobody knows whether the mail was accepted.
IN_DOUBT = "The mail server may have it nevertheless."
_LONGEST_WAIT_SECONDS = 2.0
_SETTLE_TRIES = 9  # doubling from 0.2 s: 102 s together, a little less than the lease


class MailLinks(Protocol):
    """Makes the links of a mail."""

    def to_act(self, delivery: DeliveryRow) -> str:
        """Return where the recipient can claim, or look at, the handoff."""

    def to_quiet(self, delivery: DeliveryRow) -> str:
        """Return where the recipient can turn reminders off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """How mails are written."""

    sender: str  #: `Name <address>` or an address; its domain is that of the Message-IDs
    links: MailLinks
    redact: Callable[[str], str]  #: takes secrets out of a text


class Outbox:
    """One worker's sending loop. Its mailers send side by side; any number of workers may run."""

    def __init__(
        self,
        database: Database,
        mailers: Sequence[Mailer],
        mail: MailSettings,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._mailers = mailers
        self._mail = mail
        self._now = now
        self._unfinished: set[UUID] = set()  #: leases under which something may wait that was not begun
        self._woken = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look for due deliveries now, not at the next poll."""
        self._woken.set()

    def stop(self) -> None:
        """Finish the mails that are being handed in, begin no other, and let `run` return."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Send what is due until stopped. A database that is away is tried again."""
        try:
            while not self._stopping:
                self._woken.clear()
                if not await self._try_batch():
                    await self._wait()
        finally:
            await asyncio.gather(*(mailer.close() for mailer in self._mailers))

    async def send_batch(self) -> int:
        """Lease what is due and see each delivery through; return how many that were."""
        for unfinished in list(self._unfinished):
            await self._give_back(unfinished)
        lease, now = new_id(), self._now()
        self._unfinished.add(lease)  # from now on: the rows may be leased although no answer says so
        async with self._database.system() as tx:
            leased = await system.lease_due(tx, lease, now=now, until=now + LEASE, limit=BATCH)
        waiting = list(reversed(leased))
        all_done = await asyncio.gather(*(self._work_off(waiting, lease, mailer) for mailer in self._mailers))
        if waiting or not all(all_done):
            await self._give_back(lease)
        self._unfinished.discard(lease)
        return len(leased)

    async def _give_back(self, lease: UUID) -> None:
        """End a lease for what was not begun under it: after an outage of the database it is due at once."""
        async with self._database.system() as tx:
            await system.give_back(tx, lease)
        self._unfinished.discard(lease)

    async def _try_batch(self) -> int:
        try:
            return await self.send_batch()
        except Exception:
            log.exception("outbox could not work")
            return 0

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _work_off(self, waiting: list[Leased], lease: UUID, mailer: Mailer) -> bool:
        """Take deliveries until none is left. One recipient's failure touches no other's.

        Returns: whether each was seen through.
        """
        all_done = True
        while waiting and not self._stopping:
            leased = waiting.pop()
            try:
                await self._deliver(leased, lease, mailer)
            except Exception:
                log.exception("delivery failed", extra={"delivery_id": str(leased.id)})
                all_done = False
        return all_done

    async def _deliver(self, leased: Leased, lease: UUID, mailer: Mailer) -> None:
        async with self._database.transaction(leased.account_id) as tx:
            letter = await read_letter(tx, leased.id)
            delivery = await self._begin(tx, letter, lease, mailer)
        if delivery is not None:
            attempt, fault = await self._send(delivery, letter, mailer)
            await self._settle(delivery, lease, attempt, fault)
            if fault is None:
                return
        # A transaction of its own: of two that fail at once, each must see that the other has failed.
        async with self._database.transaction(leased.account_id) as tx:
            handoff_id = letter.handoff.id
            handoff = (await handoffs.by_ids(tx, [handoff_id]))[handoff_id]
            await rounds.tell_if_unreached(tx, handoff, now=self._now())

    async def _begin(
        self, tx: Transaction, letter: Letter, lease: UUID, mailer: Mailer
    ) -> DeliveryRow | None:
        """Check a last time that the mail is wanted, and mark it SENDING; None where it is not.

        From here the lease outlasts a mail server that takes its time, and the recording after it.
        """
        delivery = letter.delivery
        push = Push(delivery.handoff_id, delivery.person_id, delivery.round)
        if letter.push is not None:
            await deliveries.lock(tx, [push])
        reason = policy.reason_to_skip(
            delivery, letter.handoff, letter.recipient, push=letter.push, latest_round=letter.latest_round
        )
        if reason is not None:
            if await outbox.skip(tx, delivery.id, lease, reason):
                await deliveries.fail_push(tx, push)
            return None
        now = self._now()
        begun = await outbox.begin(tx, delivery.id, lease, at=now, until=now + LEASE + mailer.timeout)
        if begun is not None:
            await deliveries.fail_push(tx, push)
        return begun

    async def _send(
        self, delivery: DeliveryRow, letter: Letter, mailer: Mailer
    ) -> tuple[Attempt, SendFault | None]:
        fault: SendFault | None = None
        code: int | None = None
        try:
            links = self._mail.links
            mail = letter.mail(link=links.to_act(delivery), unsubscribe=links.to_quiet(delivery))
            message = render(mail, sender=self._mail.sender, now=self._now(), redact=self._mail.redact)
            reply = await mailer.send(message)
            code, text = reply.code, reply.text
        except UnusableAddress as error:
            fault = PermanentFault(None, str(error))
            text = fault.text
        except SendFault as error:
            fault, code, text = error, error.code, error.text
            if error.in_doubt:  # tried again all the same: rather twice, with one Message-ID, than never
                text = f"{text} {IN_DOUBT}"
        number, accepted = delivery.attempts, fault is None
        attempt = Attempt(number=number, finished_at=self._now(), accepted=accepted, code=code, text=text)
        return attempt, fault

    async def _settle(
        self, delivery: DeliveryRow, lease: UUID, attempt: Attempt, fault: SendFault | None
    ) -> None:
        """Record the answer, again and again while the database is away: unrecorded, the mail goes twice."""
        for wait in (*(0.2 * 2**n for n in range(_SETTLE_TRIES)), None):
            try:
                async with self._database.transaction(delivery.account_id) as tx:
                    await self._record(tx, delivery, lease, attempt, fault)
            except Exception:
                if wait is None:
                    raise
                log.warning("answer not recorded yet", extra={"delivery_id": str(delivery.id)}, exc_info=True)
                await asyncio.sleep(wait)
            else:
                return

    async def _record(
        self,
        tx: Transaction,
        delivery: DeliveryRow,
        lease: UUID,
        attempt: Attempt,
        fault: SendFault | None,
    ) -> None:
        if fault is None:
            await outbox.settle_sent(tx, delivery.id, lease, attempt)
            return
        due_at = None
        if isinstance(fault, TemporaryFault):
            now = attempt.finished_at
            due_at = policy.retry_at(attempt.number, created_at=delivery.created_at, now=now)
        if due_at is None:
            await outbox.settle_failed(tx, delivery.id, lease, attempt)
        else:
            await outbox.settle_later(tx, delivery.id, lease, attempt, due_at=due_at)
        what = {"delivery_id": str(delivery.id), "attempt": attempt.number, "code": attempt.code}
        log.warning("mail not accepted", extra=what)
