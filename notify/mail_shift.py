"""A worker's shift: from a first batch of due mails until none is left, all under one lease."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from db import system
from db.deliveries import DeliveryRow
from db.outbox import Attempt
from db.session import Database, new_id
from db.system import Leased
from notify.envelopes import Envelope
from notify.letters import Letter
from notify.mail_forms import write
from notify.mail_ledger import Answer, MailLedger
from notify.mailers import Mailers
from notify.messages import UnusableAddress
from notify.smtp import Mailer, PermanentFault, SendFault

log = logging.getLogger(__name__)

BATCH = 100
LEASE = timedelta(seconds=120)
#: Said of an attempt after which nobody knows whether the mail was accepted.
IN_DOUBT = "The mail server may have it nevertheless."
_LOOK_SECONDS = 0.25  #: how often it is seen whether mails that hang make room for others


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


class MailShift:
    """Leases, begins, hands in and records. `stop` lets it begin nothing more."""

    def __init__(
        self, database: Database, mailers: Mailers, mail: MailSettings, now: Callable[[], datetime]
    ) -> None:
        self.lease = new_id()
        self.leased = 0  #: how many deliveries so far
        self._database = database
        self._mailers = mailers
        self._mail = mail
        self._now = now
        self._ledger = MailLedger(database, now, lasting=LEASE + mailers.timeout)
        self._waiting: list[Leased] = []  #: the next one last
        self._in_hand: dict[asyncio.Task[Answer | None], Mailer] = {}
        self._may_be_more = True  #: the last batch was a full one
        self._all_done = True
        self._stopping = False

    def stop(self) -> None:
        """Finish the mails that are being handed in, and begin no other."""
        self._stopping = True

    async def work(self) -> bool:
        """See each due delivery through, batch after batch. One recipient's failure touches no other's.

        Returns: whether each was seen through. If not, something may wait under the lease.
        """
        await self._lease_more()
        async with asyncio.TaskGroup() as tasks:
            while self._in_hand or (self._waiting and not self._stopping):
                if not self._stopping:
                    await self._begin(tasks)
                if self._in_hand:
                    await self._record(tasks)
        return self._all_done and not self._waiting

    async def _lease_more(self) -> None:
        now = self._now()
        async with self._database.system() as tx:
            found = await system.lease_due(tx, self.lease, now=now, until=now + LEASE, limit=BATCH)
        self._waiting[:0] = reversed(found)
        self.leased += len(found)
        self._may_be_more = len(found) == BATCH

    async def _begin(self, tasks: asyncio.TaskGroup) -> None:
        """Begin as many mails as there are connections free."""
        room = self._mailers.room
        if self._may_be_more and len(self._waiting) < room:
            try:
                await self._lease_more()
            except Exception:
                log.exception("no more deliveries leased")
                self._may_be_more = self._all_done = False
        wanted = [self._waiting.pop() for _ in range(min(room, len(self._waiting)))]
        if not wanted:
            return
        began_at = self._mailers.clock()
        all_begun = await self._ledger.begin(self.lease, wanted)
        self._all_done &= len(all_begun) == len(wanted)
        for begun in all_begun:
            if begun.delivery is None:
                tasks.create_task(self._see_to_reach(begun.account_id, begun.letter.matter.handoff.id))
            else:
                mailer = self._mailers.take(began_at)
                task = tasks.create_task(self._send(begun.letter, begun.delivery, mailer))
                self._in_hand[task] = mailer

    async def _record(self, tasks: asyncio.TaskGroup) -> None:
        """Wait for answers, and record those that came."""
        timeout = _LOOK_SECONDS if self._waiting else None
        done, _ = await asyncio.wait(self._in_hand, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        ended = [(task.result(), self._in_hand.pop(task)) for task in done]
        answers = [answer for answer, _ in ended if answer is not None]
        unrecorded = {answer.delivery.id for answer in await self._ledger.record(self.lease, answers)}
        for answer, mailer in ended:
            if answer is not None and answer.delivery.id in unrecorded:
                self._in_hand[tasks.create_task(self._record_alone(answer, tasks))] = mailer
                continue
            self._mailers.put_back(mailer)
            if answer is not None:
                self._follow_up(answer, tasks)

    async def _record_alone(self, answer: Answer, tasks: asyncio.TaskGroup) -> None:
        """Record what could not be recorded with others, however long that takes."""
        try:
            await self._ledger.record_at_last(self.lease, answer)
        except Exception:
            self._all_done = False
            log.exception("answer not recorded", extra={"delivery_id": str(answer.delivery.id)})
        else:
            self._follow_up(answer, tasks)

    def _follow_up(self, answer: Answer, tasks: asyncio.TaskGroup) -> None:
        if answer.fault is None:
            return
        attempt = answer.attempt
        what = {"delivery_id": str(answer.delivery.id), "attempt": attempt.number, "code": attempt.code}
        log.warning("mail not accepted", extra=what)
        tasks.create_task(self._see_to_reach(answer.account_id, answer.delivery.handoff_id))

    async def _see_to_reach(self, account_id: UUID, handoff_id: UUID) -> None:
        try:
            await self._ledger.tell_if_unreached(account_id, handoff_id)
        except Exception:
            self._all_done = False
            log.exception("reach not seen to", extra={"handoff_id": str(handoff_id)})

    async def _send(self, letter: Letter, delivery: DeliveryRow, mailer: Mailer) -> Answer | None:
        """Write a mail and hand it in; None where that failed for a reason of ours."""
        fault: SendFault | None = None
        try:
            reply = await mailer.send(self._write(letter, delivery))
            code, text = reply.code, reply.text
        except UnusableAddress as error:
            fault = PermanentFault(None, str(error))
            code, text = None, fault.text
        except SendFault as error:
            fault, code, text = error, error.code, error.text
            if error.in_doubt:  # tried again all the same: rather twice, with one Message-ID, than never
                text = f"{text} {IN_DOUBT}"
        except Exception:
            self._all_done = False
            log.exception("mail not sent", extra={"delivery_id": str(delivery.id)})
            return None
        number, accepted = delivery.attempts, fault is None
        attempt = Attempt(number=number, finished_at=self._now(), accepted=accepted, code=code, text=text)
        return Answer(delivery, attempt, fault)

    def _write(self, letter: Letter, delivery: DeliveryRow) -> Envelope:
        links = self._mail.links
        unsubscribe = links.to_quiet(delivery) if letter.is_reminder else None
        mail = letter.mail(link=links.to_act(delivery), unsubscribe=unsubscribe)
        return write(mail, sender=self._mail.sender, now=self._now(), redact=self._mail.redact)
