"""What the mails of a batch need to know: two statements for all of them, however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, and_, func, or_, select

from db.assessments import AssessmentRow
from db.deliveries import DeliveryRow
from db.enums import Channel, DeliveryStatus, SkipReason
from db.handoffs import HandoffRow
from db.models import accounts, assessments, deliveries, handoffs, sessions, teams, users
from db.prepared import listed, own, run
from db.session import Transaction, columns_of
from db.users import UserRow


@dataclass(frozen=True, slots=True)
class Addressed:
    """A delivery, its recipient, and what else they were or are to be told of its handoff."""

    delivery: DeliveryRow
    recipient: UserRow
    push_id: UUID | None  #: of the push that tells the same round; None: there was none to make
    push_status: DeliveryStatus | None  #: where it stands
    latest_round: int  #: the last one that mails the recipient about the handoff


@dataclass(frozen=True, slots=True)
class Matter:
    """A handoff, and whatever else its mails speak of."""

    handoff: HandoffRow
    assessment: AssessmentRow | None  #: None: none was asked for
    psa_ticket_id: str | None
    account_name: str
    team_name: str | None
    handed_off_by: str
    claimed_by: str | None


_pushes, _others = deliveries.alias("pushes"), deliveries.alias("others")
_claimers = users.alias("claimers")
_OF_DELIVERY, _OF_USER = columns_of(DeliveryRow, deliveries), columns_of(UserRow, users)
_OF_HANDOFF, _OF_ASSESSMENT = columns_of(HandoffRow, handoffs), columns_of(AssessmentRow, assessments)


def _is_of(table: FromClause, id_: ColumnElement[Any], owner: FromClause) -> ColumnElement[bool]:
    return and_(table.c.account_id == owner.c.account_id, table.c.id == id_)


def _addressed() -> Select[Any]:
    """Build the statement of `addressed`.

    The deliveries are looked up first, and everything else by each of them. Left to itself, PostgreSQL began
    with all users and all pushes of the account where it had no statistics: milliseconds for each mail.
    """
    asked = (
        select(*_OF_DELIVERY)
        .where(own(deliveries), listed(deliveries.c.id))
        .cte("asked")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    tells_the_same = and_(
        _pushes.c.account_id == asked.c.account_id,
        _pushes.c.handoff_id == asked.c.handoff_id,
        _pushes.c.recipient_id == asked.c.recipient_id,
        _pushes.c.round == asked.c.round,
        _pushes.c.channel == Channel.PUSH,
    )
    # A round whose mails the recipient turned off tells them nothing.
    latest_round = (
        select(func.max(_others.c.round))
        .where(_others.c.account_id == asked.c.account_id)
        .where(_others.c.handoff_id == asked.c.handoff_id)
        .where(_others.c.recipient_id == asked.c.recipient_id)
        .where(_others.c.channel == Channel.EMAIL)
        .where(or_(_others.c.reason.is_(None), _others.c.reason != SkipReason.OPTED_OUT))
        .scalar_subquery()
    )
    return select(
        *asked.c,
        *_OF_USER,
        select(_pushes.c.id).where(tells_the_same).limit(1).scalar_subquery(),
        select(_pushes.c.status).where(tells_the_same).limit(1).scalar_subquery(),
        func.coalesce(latest_round, -1),
    ).join_from(asked, users, _is_of(users, asked.c.recipient_id, asked))


def _matters() -> Select[Any]:
    names = (sessions.c.psa_ticket_id, accounts.c.name, teams.c.name, users.c.name, _claimers.c.name)
    of_handoff = and_(
        assessments.c.account_id == handoffs.c.account_id, assessments.c.handoff_id == handoffs.c.id
    )
    return (
        select(*_OF_HANDOFF, *_OF_ASSESSMENT, *names)
        .join_from(handoffs, sessions, _is_of(sessions, handoffs.c.session_id, handoffs))
        .join(accounts, accounts.c.id == handoffs.c.account_id)
        .join(users, _is_of(users, handoffs.c.handed_off_by_id, handoffs))
        .outerjoin(teams, _is_of(teams, handoffs.c.team_id, handoffs))
        .outerjoin(_claimers, _is_of(_claimers, handoffs.c.claimed_by_id, handoffs))
        .outerjoin(assessments, of_handoff)
        .where(own(handoffs), listed(handoffs.c.id))
    )


_ADDRESSED, _MATTERS = _addressed(), _matters()


async def addressed(tx: Transaction, delivery_ids: Sequence[UUID]) -> dict[UUID, Addressed]:
    """Return the deliveries of this account among the ids that have a recipient."""
    found = {}
    split = len(_OF_DELIVERY)
    for row in await run(tx, _ADDRESSED, {"ids": delivery_ids}):
        delivery, user = DeliveryRow(*row[:split]), UserRow(*row[split:-3])
        found[delivery.id] = Addressed(delivery, user, row[-3], row[-2], row[-1])
    return found


async def matters(tx: Transaction, handoff_ids: Sequence[UUID]) -> dict[UUID, Matter]:
    """Return the handoffs of this account among the ids, and what their mails speak of."""
    found = await run(tx, _MATTERS, {"ids": handoff_ids})
    return {row[0]: _matter(tuple(row)) for row in found}


def _matter(row: tuple[Any, ...]) -> Matter:
    of_handoff, rest = row[: len(_OF_HANDOFF)], row[len(_OF_HANDOFF) :]
    of_assessment, names = rest[: len(_OF_ASSESSMENT)], rest[len(_OF_ASSESSMENT) :]
    assessment = None if of_assessment[0] is None else AssessmentRow(*of_assessment)
    return Matter(HandoffRow(*of_handoff), assessment, *names)
