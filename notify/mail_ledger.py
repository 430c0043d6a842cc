"""What a worker writes down before and after it hands mails in, for many of them at once.

Each account's in a transaction of its own. What fails for several is done again for each by itself, so that
one mail's failure touches no other's.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from db import deliveries, handoffs, mail_beginnings, outbox
from db.deliveries import DeliveryRow
from db.enums import DeliveryStatus
from db.errors import driver_fault, is_outage
from db.letters import addressed
from db.outbox import Attempt, Settlement
from db.pushes import fail_pushes
from db.session import Database, Transaction
from db.system import Leased
from notify import policy, rounds
from notify.letters import Letter, read_letters
from notify.send_faults import SendFault, TemporaryFault
from notify.settling import until_recorded

log = logging.getLogger(__name__)

#: Said of an attempt that failed before the mail server was spoken to.
OUR_FAULT = "A fault of the service: its log says more."
_TRANSACTIONS_AT_ONCE = 4  # the API may share the process, and its connections to the database


class _OfAccount(Protocol):
    @property
    def account_id(self) -> UUID: ...


A = TypeVar("A", bound=_OfAccount)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Begun:
    """A mail that is about to be handed in, is not wanted any more, or is put off."""

    account_id: UUID
    handoff_id: UUID
    letter: Letter | None  #: None: it could not be read, and is tried again later
    delivery: DeliveryRow | None  #: as it is SENDING; None: it is put off, not wanted, or another worker's


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of handing a mail in."""

    delivery: DeliveryRow
    attempt: Attempt
    fault: SendFault | None

    @property
    def account_id(self) -> UUID:
        """Whose mail it was."""
        return self.delivery.account_id

    @property
    def settlement(self) -> Settlement:
        """What becomes of the delivery."""
        attempt, due_at = self.attempt, None
        if isinstance(self.fault, TemporaryFault):
            created_at, now = self.delivery.created_at, attempt.finished_at
            due_at = policy.retry_at(attempt.number, created_at=created_at, now=now)
        status = DeliveryStatus.SENT if self.fault is None else DeliveryStatus.FAILED
        status = status if due_at is None else DeliveryStatus.PENDING
        return Settlement(delivery_id=self.delivery.id, attempt=attempt, status=status, due_at=due_at)


class MailLedger:
    """The steps of a worker under its leases."""

    def __init__(self, database: Database, now: Callable[[], datetime], *, lasting: timedelta) -> None:
        """Make it. `lasting` is how long a mail that was begun is left alone by other workers."""
        self._database = database
        self._now = now
        self._lasting = lasting
        self._free = asyncio.Semaphore(_TRANSACTIONS_AT_ONCE)

    async def begin(self, lease: UUID, leased: Sequence[Leased]) -> list[Begun]:
        """Check a last time that mails are wanted, and mark those SENDING.

        What fails is logged. A mail that fails by itself for a reason of ours is put off, as one is that the
        mail server refuses for now; where the database is away, it is left out, and left as it was.
        """
        groups = await asyncio.gather(*(self._begin_or_each(lease, group) for group in by_account(leased)))
        return [begun for group in groups for begun in group]

    async def record(self, lease: UUID, answers: Sequence[Answer]) -> list[Answer]:
        """Record what came of mails; return those of which that failed, each to be recorded by itself."""
        groups = list(by_account(answers))
        kept = await asyncio.gather(*(self._try_to_record(lease, group) for group in groups))
        return [
            answer for group, is_kept in zip(groups, kept, strict=True) if not is_kept for answer in group
        ]

    async def record_at_last(self, lease: UUID, answer: Answer) -> None:
        """Record an answer, again and again while the database is away: unrecorded, the mail goes twice."""
        await until_recorded(lambda: self._record(lease, [answer]), answer.delivery.id)

    async def tell_if_unreached(self, account_id: UUID, handoff_id: UUID) -> None:
        """See whether anybody can still be told of a handoff, when a mail about it was not sent.

        In a transaction of its own: of two that fail at once, each must see that the other has failed.
        """
        async with self._free, self._database.transaction(account_id) as tx:
            handoff = (await handoffs.by_ids(tx, [handoff_id]))[handoff_id]
            await rounds.tell_if_unreached(tx, handoff, now=self._now())

    async def _begin_or_each(self, lease: UUID, leased: Sequence[Leased]) -> list[Begun]:
        try:
            return await self._begin(lease, leased)
        except Exception as error:
            what = {"delivery_ids": [str(each.id) for each in leased]}
            log.exception("deliveries not begun", extra=what)
            fault = driver_fault(error)
        if len(leased) == 1:
            return [] if fault is not None and is_outage(fault) else await self._put_off(lease, leased[0])
        alone = await asyncio.gather(*(self._begin_or_each(lease, [each]) for each in leased))
        return [begun for group in alone for begun in group]

    async def _begin(self, lease: UUID, leased: Sequence[Leased]) -> list[Begun]:
        account_id = leased[0].account_id
        async with self._free, self._database.transaction(account_id) as tx:
            letters = await read_letters(tx, [each.id for each in leased])
            wanted = [letter for letter in letters if letter.reason_to_skip is None]
            if len(wanted) < len(letters) or any(map(_is_taken_over, wanted)):
                await _lock(tx, letters)
            for letter in letters:
                await _skip(tx, lease, letter)
            begun = await self._mark(tx, lease, wanted)
        return [
            Begun(account_id, letter.matter.handoff.id, letter, begun.get(letter.delivery.id))
            for letter in letters
        ]

    async def _put_off(self, lease: UUID, leased: Leased) -> list[Begun]:
        """Record an attempt that failed for a reason of ours; leave out, and log, what cannot be recorded."""
        try:
            async with self._free, self._database.transaction(leased.account_id) as tx:
                push_id = (await addressed(tx, [leased.id]))[leased.id].push_id
                await deliveries.lock_ids(tx, [leased.id] if push_id is None else [leased.id, push_id])
                now = self._now()
                tried = await mail_beginnings.begin_all(tx, {leased.id: push_id}, lease, at=now, until=now)
                answers = [_failed_by_us(delivery, now) for delivery in tried.values()]
                await outbox.settle_all(tx, lease, [answer.settlement for answer in answers])
        except Exception:
            log.exception("deliveries not begun", extra={"delivery_ids": [str(leased.id)]})
            return []
        return [Begun(leased.account_id, answer.delivery.handoff_id, None, None) for answer in answers]

    async def _mark(self, tx: Transaction, lease: UUID, wanted: Sequence[Letter]) -> dict[UUID, DeliveryRow]:
        """Mark mails SENDING.

        From here the lease outlasts a mail server that takes its time, and the recording after it.
        """
        if not wanted:
            return {}
        now, pushes = self._now(), {letter.delivery.id: letter.to.push_id for letter in wanted}
        return await mail_beginnings.begin_all(tx, pushes, lease, at=now, until=now + self._lasting)

    async def _try_to_record(self, lease: UUID, answers: Sequence[Answer]) -> bool:
        try:
            await self._record(lease, answers)
        except Exception:
            what = {"delivery_ids": [str(answer.delivery.id) for answer in answers]}
            log.warning("answers not recorded together", extra=what, exc_info=True)
            return False
        return True

    async def _record(self, lease: UUID, answers: Sequence[Answer]) -> None:
        async with self._free, self._database.transaction(answers[0].account_id) as tx:
            await outbox.settle_all(tx, lease, [answer.settlement for answer in answers])


def _is_taken_over(letter: Letter) -> bool:
    """Tell whether a mail had been begun by a worker that is dead.

    A claim leaves it alone. So that one that commits first is seen, what begins the mail again must not have
    waited for a lock meanwhile.
    """
    return letter.delivery.status == DeliveryStatus.SENDING


def _failed_by_us(delivery: DeliveryRow, now: datetime) -> Answer:
    fault, number = TemporaryFault(None, OUR_FAULT), delivery.attempts
    attempt = Attempt(number=number, finished_at=now, accepted=False, code=None, text=fault.text)
    return Answer(delivery, attempt, fault)


async def _lock(tx: Transaction, letters: Sequence[Letter]) -> None:
    """Lock all deliveries that are about to change, before more than one of them is changed."""
    pushes = [letter.to.push_id for letter in letters if letter.to.push_id is not None]
    if len(letters) > 1 or pushes:
        await deliveries.lock_ids(tx, [letter.delivery.id for letter in letters] + pushes)


async def _skip(tx: Transaction, lease: UUID, letter: Letter) -> None:
    """Skip a mail that is not wanted any more; one that is, is left alone."""
    reason, push_id = letter.reason_to_skip, letter.to.push_id
    if (
        reason is not None
        and await outbox.skip(tx, letter.delivery.id, lease, reason)
        and push_id is not None
    ):
        await fail_pushes(tx, [push_id])


def by_account(items: Iterable[A]) -> Iterable[list[A]]:
    """Put together what belongs to one account."""
    groups: dict[UUID, list[A]] = {}
    for item in items:
        groups.setdefault(item.account_id, []).append(item)
    return groups.values()
