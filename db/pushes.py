"""Pushes in the ledger: what was written to a socket of its recipient, and whether they have it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Update, and_, case, exists, func, literal, or_, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from db import deliveries as ledger
from db.deliveries import has_id
from db.enums import ASKING_KINDS, Channel, DeliveryKind, DeliveryStatus, SkipReason
from db.models import deliveries
from db.session import Transaction, columns_of, new_id
from db.types import UtcDateTime

_IS_UNCONFIRMED = deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENT))


@dataclass(frozen=True, slots=True)
class Push:
    """What a push tells whom: one round of one handoff."""

    handoff_id: UUID
    recipient_id: UUID
    round: int


async def lock(tx: Transaction, pushes: Sequence[Push]) -> None:
    """Lock all that these rounds tell these recipients, before more than one delivery is changed.

    Whoever changes several locks them in the order of their ids: no two then wait for each other.
    """
    await ledger.lock(tx, _is_among(pushes))


async def mark_sent(tx: Transaction, pushes: Sequence[Push], *, at: datetime) -> None:
    """Record that pushes were written to a socket of their recipients."""
    if pushes:
        await tx.execute(
            update(deliveries)
            .where(*_of_pushes(tx, pushes, Channel.PUSH), deliveries.c.status == DeliveryStatus.PENDING)
            .values(status=DeliveryStatus.SENT, sent_at=at, attempts=deliveries.c.attempts + 1)
        )


async def confirm(tx: Transaction, pushes: Sequence[Push], *, at: datetime) -> None:
    """Record that recipients have their pushes: the PUSH is DELIVERED, a mail that asks the same is SKIPPED.

    A mail that is SENDING is left to its worker. A push that was given up stays so, unless its receipt came
    in time to spare the mail. Whoever was offline when the round began, and has seen later what they had
    missed, has no PUSH: it is stored where it spares a mail. The caller has locked the pushes.
    """
    if not pushes:
        return
    spared = await _spare_mails(tx, pushes)
    delivered = await _deliver(tx, pushes, at=at)
    await _add_delivered(tx, [mail for mail in spared if mail.push not in delivered], at=at)


@dataclass(frozen=True, slots=True)
class _Spared:
    """A mail that is not needed."""

    handoff_id: UUID
    recipient_id: UUID
    round: int
    kind: DeliveryKind
    first_due_at: datetime

    @property
    def push(self) -> Push:
        """What spared it."""
        return Push(self.handoff_id, self.recipient_id, self.round)


async def _spare_mails(tx: Transaction, pushes: Sequence[Push]) -> list[_Spared]:
    statement = (
        update(deliveries)
        .where(*_of_pushes(tx, pushes, Channel.EMAIL), deliveries.c.kind.in_(ASKING_KINDS))
        .where(deliveries.c.status == DeliveryStatus.PENDING)
        .values(
            status=DeliveryStatus.SKIPPED,
            reason=SkipReason.PUSH_DELIVERED,
            lease_until=None,
            leased_by=None,
        )
        .returning(*columns_of(_Spared, deliveries))
    )
    return await tx.fetch_all(statement, _Spared)


async def _deliver(tx: Transaction, pushes: Sequence[Push], *, at: datetime) -> set[Push]:
    """Record what stands in the ledger as delivered; return what that was."""
    statement = (
        update(deliveries)
        .where(*_of_pushes(tx, pushes, Channel.PUSH))
        .where(or_(_IS_UNCONFIRMED, and_(deliveries.c.status == DeliveryStatus.FAILED, _has_spared_mail())))
        .values(
            status=DeliveryStatus.DELIVERED,
            error=None,
            sent_at=func.coalesce(deliveries.c.sent_at, literal(at, UtcDateTime)),
            delivered_at=at,
            attempts=case((deliveries.c.attempts == 0, 1), else_=deliveries.c.attempts),
        )
        .returning(*columns_of(Push, deliveries))
    )
    return set(await tx.fetch_all(statement, Push))


async def _add_delivered(tx: Transaction, spared: Sequence[_Spared], *, at: datetime) -> None:
    """Store the pushes that spared these mails, due when those were; one that was turned off stays so.

    Nobody else stores them meanwhile: a mail is spared once.
    """
    if not spared:
        return
    insert_new = postgresql.insert if tx.is_postgresql else sqlite.insert
    same = {
        "account_id": tx.account_id,
        "channel": Channel.PUSH,
        "status": DeliveryStatus.DELIVERED,
        "attempts": 1,
        "created_at": at,
        "sent_at": at,
        "delivered_at": at,
    }
    rows = [same | asdict(mail) | {"id": new_id(), "due_at": mail.first_due_at} for mail in spared]
    await tx.execute(insert_new(deliveries).on_conflict_do_nothing(), rows)


def _has_spared_mail() -> ColumnElement[bool]:
    """Return the condition that the mail that stands in for a push was skipped for it."""
    mail = deliveries.alias("mail")
    return exists().where(
        mail.c.account_id == deliveries.c.account_id,
        mail.c.handoff_id == deliveries.c.handoff_id,
        mail.c.recipient_id == deliveries.c.recipient_id,
        mail.c.round == deliveries.c.round,
        mail.c.channel == Channel.EMAIL,
        mail.c.reason == SkipReason.PUSH_DELIVERED,
    )


async def fail_pushes(tx: Transaction, push_ids: Sequence[UUID]) -> None:
    """Record that nobody confirmed pushes within the grace period."""
    if push_ids:
        await tx.execute(failing_pushes(tx.own(deliveries), has_id(push_ids)))


def failing_pushes(*conditions: ColumnElement[bool]) -> Update:
    """Return the statement of `fail_pushes` for the pushes that fulfil the conditions."""
    return (
        update(deliveries)
        .where(*conditions, _IS_UNCONFIRMED)
        .values(status=DeliveryStatus.FAILED, error="NO_RECEIPT")
    )


def _of_pushes(tx: Transaction, pushes: Sequence[Push], channel: Channel) -> tuple[ColumnElement[bool], ...]:
    return tx.own(deliveries), deliveries.c.channel == channel, _is_among(pushes)


def _is_among(pushes: Sequence[Push]) -> ColumnElement[bool]:
    what = tuple_(deliveries.c.handoff_id, deliveries.c.recipient_id, deliveries.c.round)
    return what.in_([(push.handoff_id, push.recipient_id, push.round) for push in pushes])
