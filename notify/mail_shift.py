"""A worker's shift: from a first batch of due mails until none is left, all under one lease."""

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
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
from notify.mail_headers import UnusableAddress
from notify.mail_ledger import OUR_FAULT, Answer, MailLedger
from notify.mailers import Mailers
from notify.smtp import Mailer, PermanentFault, SendFault, TemporaryFault

log = logging.getLogger(__name__)

BATCH = 100
LEASE = timedelta(seconds=120)
#: Said of an attempt after which nobody knows whether the mail was accepted.
IN_DOUBT = "The mail server may have it nevertheless."
#: While one waits for the database, another hands mails in.
_CREWS = 2
_LOOK_SECONDS = 0.25  #: how often it is seen whether mails that hang make room for others


#: What a crew has begun and not recorded, and over which connection it goes. None: it is recorded by itself.
InHand = dict[asyncio.Task[Answer | None], Mailer]


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
        self._leasing = asyncio.Lock()
        self._may_be_more = True  #: the last batch was a full one
        self._has_room = asyncio.Event()  #: since a crew last waited for that
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
            for _ in range(_CREWS if self._waiting else 0):
                tasks.create_task(self._work_as_crew(tasks))
        return self._all_done and not self._waiting

    @property
    def _goes_on(self) -> bool:
        return not self._stopping and bool(self._waiting or self._may_be_more)

    async def _work_as_crew(self, tasks: asyncio.TaskGroup) -> None:
        """Begin mails, hand them in, record the answers, and again."""
        in_hand: InHand = {}
        while in_hand or self._goes_on:
            if self._goes_on:
                await self._begin(tasks, in_hand)
            if in_hand:
                await self._record(tasks, in_hand)
            elif self._goes_on and not self._mailers.room:
                await self._wait_for_room()

    async def _lease_more(self) -> None:
        now = self._now()
        async with self._database.system() as tx:
            found = await system.lease_due(tx, self.lease, now=now, until=now + LEASE, limit=BATCH)
        # One whose lease ended while it waited here is due again, and is leased anew.
        new = [each for each in found if each not in self._waiting]
        self._waiting[:0] = reversed(new)
        self.leased += len(new)
        self._may_be_more = len(found) == BATCH

    async def _keep_waiting(self, count: int) -> None:
        """Have so many deliveries waiting, if so many are due."""
        async with self._leasing:
            if self._may_be_more and len(self._waiting) < count:
                try:
                    await self._lease_more()
                except Exception:
                    log.exception("no more deliveries leased")
                    self._may_be_more = self._all_done = False

    async def _begin(self, tasks: asyncio.TaskGroup, in_hand: InHand) -> None:
        """Begin a crew's share of mails, as far as there are connections free."""
        share = math.ceil(self._mailers.size / _CREWS)
        await self._keep_waiting(min(share, self._mailers.room))
        began_at, count = self._mailers.clock(), min(share, self._mailers.room, len(self._waiting))
        if self._stopping or not count:
            return
        # Taken before another crew looks for room.
        wanted = {self._waiting.pop(): self._mailers.take(began_at) for _ in range(count)}
        all_begun = await self._ledger.begin(self.lease, list(wanted))
        self._all_done &= len(all_begun) == count
        for begun in all_begun:
            if begun.letter is None or begun.delivery is None:
                tasks.create_task(self._see_to_reach(begun.account_id, begun.handoff_id))
            else:
                mailer = wanted.pop(Leased(begun.account_id, begun.delivery.id))
                in_hand[tasks.create_task(self._send(begun.letter, begun.delivery, mailer))] = mailer
        for unused in wanted.values():
            self._mailers.put_back_unused(unused)
        self._has_room.set()

    async def _wait_for_room(self) -> None:
        """Wait until another crew has put a connection back, or mails that hang make room."""
        self._has_room.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._has_room.wait()

    async def _record(self, tasks: asyncio.TaskGroup, in_hand: InHand) -> None:
        """Wait for answers, and record those that came."""
        timeout = _LOOK_SECONDS if self._waiting else None
        done, _ = await asyncio.wait(in_hand, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        ended = [(task.result(), in_hand.pop(task)) for task in done]
        answers = [answer for answer, _ in ended if answer is not None]
        unrecorded = {answer.delivery.id for answer in await self._ledger.record(self.lease, answers)}
        for answer, mailer in ended:
            if answer is not None and answer.delivery.id in unrecorded:
                in_hand[tasks.create_task(self._record_alone(answer, tasks))] = mailer
                continue
            self._mailers.put_back(mailer)
            self._has_room.set()
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

    async def _send(self, letter: Letter, delivery: DeliveryRow, mailer: Mailer) -> Answer:
        """Write a mail and hand it in."""
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
            log.exception("mail not sent", extra={"delivery_id": str(delivery.id)})
            fault = TemporaryFault(None, OUR_FAULT)
            code, text = None, fault.text
        number, accepted = delivery.attempts, fault is None
        attempt = Attempt(number=number, finished_at=self._now(), accepted=accepted, code=code, text=text)
        return Answer(delivery, attempt, fault)

    def _write(self, letter: Letter, delivery: DeliveryRow) -> Envelope:
        links = self._mail.links
        unsubscribe = links.to_quiet(delivery) if letter.is_reminder else None
        mail = letter.mail(link=links.to_act(delivery), unsubscribe=unsubscribe)
        return write(mail, sender=self._mail.sender, now=self._now(), redact=self._mail.redact)
