"""Pushes in the ledger: what was written to a socket of its recipient, and whether they have it."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Update,
    Uuid,
    and_,
    case,
    column,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
    values,
)
from sqlalchemy.dialects import postgresql, sqlite

from db import deliveries as ledger
from db.deliveries import has_id
from db.enums import ASKING_KINDS, Channel, DeliveryStatus, SkipReason
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

    A mail that is SENDING is left to its worker, who does not try it again. A push that was given up stays
    so, unless its receipt came in time to spare the mail. Whoever was offline when the round began, and has
    seen later what they had missed, has no PUSH: it is stored unless their mail is SENT, so that the ledger
    tells that they know. The caller has locked the pushes.
    """
    if not pushes:
        return
    await _spare_mails(tx, pushes)
    delivered = await _deliver(tx, pushes, at=at)
    await _add_delivered(tx, [push for push in pushes if push not in delivered], at=at)


async def _spare_mails(tx: Transaction, pushes: Sequence[Push]) -> None:
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
    )
    await tx.execute(statement)


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


async def _add_delivered(tx: Transaction, missed: Sequence[Push], *, at: datetime) -> None:
    """Store as delivered what the ledger has a mail of and no push; one that was turned off stays so.

    A mail that was SENT tells by itself that its recipient was told, and who acknowledges what they read in
    it had no push. What spared its mail was due when that was; the rest was due when its recipient came.
    """
    if not missed:
        return
    asked = values(
        column("id", Uuid), *(column(field.name, deliveries.c[field.name].type) for field in fields(Push))
    )
    given = asked.data([(new_id(), *astuple(push)) for push in missed]).cte("given")
    mail = deliveries.alias("mail")
    now, is_spared = literal(at, UtcDateTime), mail.c.reason == SkipReason.PUSH_DELIVERED
    due_at = case((is_spared, mail.c.first_due_at), else_=now)
    row = {
        "account_id": mail.c.account_id,
        "id": given.c.id,
        "handoff_id": mail.c.handoff_id,
        "recipient_id": mail.c.recipient_id,
        "round": mail.c.round,
        "kind": mail.c.kind,
        "channel": literal(Channel.PUSH, deliveries.c.channel.type),
        "status": literal(DeliveryStatus.DELIVERED, deliveries.c.status.type),
        "attempts": literal(1),
        "first_due_at": due_at,
        "due_at": due_at,
        "created_at": now,
        "sent_at": now,
        "delivered_at": now,
    }
    mails = (
        select(*row.values())
        .join_from(given, mail, and_(*(given.c[field.name] == mail.c[field.name] for field in fields(Push))))
        .where(tx.own(mail), mail.c.channel == Channel.EMAIL, mail.c.kind.in_(ASKING_KINDS))
        .where(mail.c.status != DeliveryStatus.SENT)
    )
    insert_new = postgresql.insert if tx.is_postgresql else sqlite.insert
    await tx.execute(insert_new(deliveries).from_select(list(row), mails).on_conflict_do_nothing())


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
