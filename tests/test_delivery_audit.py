"""The audit of what became of the escalations agrees with whoever counts by hand."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from db.deliveries import DeliveryRow
from db.enums import (
    DeliveryKind,
    DeliveryStatus,
    HandoffIntent,
    HandoffState,
    SkipReason,
)
from db.handoffs import HandoffRow
from db.models import deliveries, handoffs
from db.session import columns_of
from db.users import UserRow
from schema.context import utc_now
from tests.client import Answer, Api
from tests.deliveries_by_chance import some_delivery
from tests.mailing import ACKNOWLEDGE, change_deliveries, make_outbox
from tests.servers.smtp import SmtpServer

AUDIT = """query ($since: DateTime!) { deliveryAudit(since: $since) {
  escalations settled overdue unreached medianLagSeconds p99LagSeconds
} }"""
NOTHING = {
    "escalations": 0,
    "settled": 0,
    "overdue": 0,
    "unreached": 0,
    "medianLagSeconds": None,
    "p99LagSeconds": None,
}
OPEN = (DeliveryStatus.PENDING, DeliveryStatus.SENDING)
TOLD = (DeliveryStatus.SENT, DeliveryStatus.DELIVERED)


async def ask(api: Api, user: UserRow, since: datetime) -> Answer:
    return await api.ask(user, AUDIT, since=since.isoformat())


async def audit(api: Api, since: datetime | None = None) -> Any:  # noqa: ANN401
    return (await ask(api, api.cast.adam, since or utc_now() - timedelta(hours=1))).only()


async def escalate(api: Api) -> str:
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id)


async def test_an_account_without_escalations_has_nothing_to_audit(api: Api) -> None:
    await api.create(api.cast.alice, (await api.cast.start_session()).id, "PARK")

    assert await audit(api) == NOTHING


async def test_what_is_still_to_be_sent_is_not_settled(api: Api) -> None:
    await escalate(api)

    assert await audit(api) == NOTHING | {"escalations": 1}


async def test_what_was_sent_is_settled_and_its_lag_is_told(api: Api, smtp: SmtpServer) -> None:
    await escalate(api)
    await make_outbox(api.cast.database, smtp).send_batch()
    began_at = utc_now() - timedelta(minutes=10)
    await change_deliveries(
        api.cast.database,
        api.cast.account_id,
        first_due_at=began_at,
        sent_at=began_at + timedelta(seconds=1.5),
    )

    assert await audit(api) == NOTHING | {
        "escalations": 1,
        "settled": 1,
        "medianLagSeconds": 1.5,
        "p99LagSeconds": 1.5,
    }


async def test_what_is_more_than_a_minute_late_is_overdue(api: Api) -> None:
    await escalate(api)
    # Tried again and again: it is due later each time, and late since the first.
    await change_deliveries(
        api.cast.database, api.cast.account_id, first_due_at=utc_now() - timedelta(seconds=61)
    )

    assert await audit(api) == NOTHING | {"escalations": 1, "overdue": 1}


async def test_what_nobody_took_is_unreached(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    for user in (cast.bob, cast.olivia, cast.adam):
        smtp.refuse(user.email, 550, "no such user")
    await escalate(api)
    outbox = make_outbox(cast.database, smtp)
    await outbox.send_batch()
    await outbox.send_batch()

    found = await audit(api)

    # The mail that told Alice so is no escalation that arrived.
    assert {name: found[name] for name in ("escalations", "settled", "unreached")} == {
        "escalations": 1,
        "settled": 1,
        "unreached": 1,
    }


async def test_what_somebody_has_seen_is_not_unreached(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    for user in (cast.olivia, cast.adam):
        smtp.refuse(user.email, 550, "no such user")
    handoff_id = await escalate(api)
    assert not (await api.ask(cast.bob, ACKNOWLEDGE, id=handoff_id)).errors
    await make_outbox(cast.database, smtp).send_batch()

    found = await audit(api)

    lag = found["medianLagSeconds"]
    assert lag > 0
    assert found == NOTHING | {"escalations": 1, "settled": 1, "medianLagSeconds": lag, "p99LagSeconds": lag}


@pytest.mark.parametrize("end", ["claimed", "resolved by the claimer"])
async def test_what_somebody_claimed_before_anything_arrived_is_not_unreached(api: Api, end: str) -> None:
    cast = api.cast
    session = await cast.start_session()
    await api.claim(cast.bob, await api.escalate(cast.alice, session.id))
    if end == "resolved by the claimer":
        (await api.change(cast.bob, "resolveSession", sessionId=str(session.id))).only()

    assert await audit(api) == NOTHING | {"escalations": 1, "settled": 1}


async def test_what_was_claimed_and_came_back_is_unreached_if_the_new_round_arrives_nowhere(
    api: Api, smtp: SmtpServer
) -> None:
    cast = api.cast
    for user in cast.responders:
        smtp.refuse(user.email, 550, "no such user")
    handoff_id = await escalate(api)
    await api.claim(cast.bob, handoff_id)
    await api.release(cast.bob, handoff_id)
    await make_outbox(cast.database, smtp).send_batch()

    found = await audit(api)

    assert (found["settled"], found["unreached"]) == (1, 1)


async def test_what_was_resolved_before_anything_was_sent_is_not_unreached(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    await api.escalate(cast.alice, session.id)
    (await api.change(cast.alice, "resolveSession", sessionId=str(session.id))).only()

    assert await audit(api) == NOTHING | {"escalations": 1, "settled": 1}


async def test_what_reached_nobody_is_unreached_until_its_session_is_resolved(
    api: Api, smtp: SmtpServer
) -> None:
    cast = api.cast
    for user in (cast.bob, cast.olivia, cast.adam):
        smtp.refuse(user.email, 550, "no such user")
    session = await cast.start_session()
    await api.escalate(cast.alice, session.id)
    await make_outbox(cast.database, smtp).send_batch()
    assert (await audit(api))["unreached"] == 1

    (await api.change(cast.alice, "resolveSession", sessionId=str(session.id))).only()

    assert (await audit(api))["unreached"] == 0


@pytest.mark.parametrize("name", ["bob", "vera"])
async def test_only_admins_may_audit(api: Api, name: str) -> None:
    answer = await ask(api, getattr(api.cast, name), utc_now())

    assert answer.data is None
    assert [error["message"] for error in answer.errors] == ["Admin access required"]
    assert answer.codes == ["FORBIDDEN"]


async def test_a_time_without_a_zone_is_refused(api: Api) -> None:
    answer = await ask(api, api.cast.adam, datetime(2026, 1, 31, 9, 30))  # noqa: DTZ001 (the point of it)

    assert answer.data is None
    assert [error["message"] for error in answer.errors] == [
        "since needs a time zone, like 2026-01-31T09:30:00Z."
    ]
    assert answer.codes == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("hours", [-11, 14])
async def test_a_time_in_another_zone_is_the_same_instant(api: Api, hours: int) -> None:
    await escalate(api)
    there = utc_now().astimezone(timezone(timedelta(hours=hours)))

    found = [await audit(api, there + timedelta(minutes=minutes)) for minutes in (-5, 5)]

    assert found == [NOTHING | {"escalations": 1}, NOTHING]


async def test_nothing_of_another_account_is_counted(api: Api) -> None:
    cast = api.cast
    await api.escalate(cast.charlie, (await cast.start_session(owner=cast.charlie)).id)

    assert await audit(api) == NOTHING


async def shuffle(api: Api, choose: random.Random, now: datetime) -> None:
    """Let every handoff and delivery of the account be anything."""
    account_id = api.cast.account_id
    async with api.cast.database.transaction(account_id) as tx:
        for (id_,) in (await tx.connection.execute(select(handoffs.c.id))).all():
            if choose.random() < 0.1:
                await tx.execute(delete(deliveries).where(deliveries.c.handoff_id == id_))
            intent = choose.choice([*HandoffIntent, HandoffIntent.ESCALATE])
            created_at = now - timedelta(minutes=choose.uniform(0, 120))
            changed = {"created_at": created_at, "intent": intent, "next_reminder_at": None}
            if choose.random() < 0.3:
                changed |= {
                    "state": HandoffState.CLAIMED,
                    "claimed_by_id": api.cast.bob.id,
                    "claimed_at": now,
                    "closed_at": None,
                }
            elif choose.random() < 0.3:
                changed |= {"state": HandoffState.CLOSED, "closed_at": now}
            await tx.execute(update(handoffs).where(handoffs.c.id == id_).values(changed))
        for (id_,) in (await tx.connection.execute(select(deliveries.c.id))).all():
            changed = some_delivery(choose, now)
            await tx.execute(update(deliveries).where(deliveries.c.id == id_).values(changed))


@dataclass(frozen=True)
class Rows:
    """All that an account has to audit."""

    handoffs: list[HandoffRow]
    deliveries: list[tuple[DeliveryRow, datetime]]  #: each with when it was due first


async def read_all(api: Api) -> Rows:
    async with api.cast.database.reading(api.cast.account_id) as tx:
        found = await tx.fetch_all(select(*columns_of(HandoffRow, handoffs)), HandoffRow)
        statement = select(*columns_of(DeliveryRow, deliveries), deliveries.c.first_due_at)
        rows = (await tx.connection.execute(statement)).all()
    return Rows(found, [(DeliveryRow(*row[:-1]), row[-1]) for row in rows])


def nearest_rank(values: list[float], share: Fraction) -> float | None:
    """Return the least value that at least this share of the values does not exceed."""
    return min(
        (value for value in values if sum(other <= value for other in values) >= share * len(values)),
        default=None,
    )


def count_by_hand(rows: Rows, since: datetime, now: datetime) -> dict[str, Any]:
    counted: dict[str, Any] = dict(NOTHING)
    lags = []
    for handoff in rows.handoffs:
        if handoff.intent == HandoffIntent.PARK or handoff.created_at < since:
            continue
        of_it = [(row, due_at) for row, due_at in rows.deliveries if row.handoff_id == handoff.id]
        asking = [pair for pair in of_it if pair[0].kind in (DeliveryKind.ESCALATION, DeliveryKind.REMINDER)]
        waits = [due_at for row, due_at in asking if row.status in OPEN]
        told = [row for row, _ in asking if row.status in TOLD or row.reason == SkipReason.PUSH_DELIVERED]
        counted["escalations"] += 1
        counted["settled"] += not waits
        counted["overdue"] += any(now - due_at > timedelta(minutes=1) for due_at in waits)
        counted["unreached"] += not waits and not told and handoff.state == HandoffState.OPEN
        lags += [max((row.sent_at - due_at).total_seconds(), 0) for row, due_at in of_it if row.sent_at]
    counted["medianLagSeconds"] = nearest_rank(lags, Fraction(1, 2))
    counted["p99LagSeconds"] = nearest_rank(lags, Fraction(99, 100))
    return counted


@pytest.mark.parametrize("seed", range(2))
async def test_the_audit_agrees_with_whoever_counts_by_hand(api: Api, seed: int) -> None:
    choose, now = random.Random(seed), utc_now()  # noqa: S311 (deliveries, not secrets)
    for _ in range(12):
        await escalate(api)
    for _ in range(3):
        await shuffle(api, choose, now)
        rows = await read_all(api)
        for since in [now - timedelta(minutes=minutes) for minutes in (0, 40, 121)]:
            assert await audit(api, since) == count_by_hand(rows, since, now)
