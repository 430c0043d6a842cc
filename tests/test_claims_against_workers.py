"""A claim races the workers: after its commit no mail about the handoff begins, and nothing delays it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from db.enums import DeliveryKind, DeliveryStatus, HandoffIntent, SkipReason
from db.models import deliveries
from db.pushes import Push
from db.session import Transaction
from notify.receipts import Receipts
from resolvers import handing_off, handoffs
from resolvers.new_handoffs import NewHandoff
from schema.context import utc_now
from tests.cast import Cast
from tests.client import Api
from tests.mailing import mails_of, make_outbox, open_dashboard
from tests.servers.processes import HandoffProcess
from tests.servers.smtp import SmtpServer, Trouble
from tests.sockets import eventually
from tests.workers import closing, deadlocks, delivery_of, make_worker, start, times_sent, until_settled

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

ESCALATIONS = 40


@dataclass(frozen=True)
class Claimed:
    """What a claim left to the workers."""

    at: datetime  #: when its commit was known
    sending: set[UUID]  #: the deliveries that it found SENDING


@pytest.fixture
def worker(database_url: str, smtp: SmtpServer) -> Iterator[HandoffProcess]:
    """A worker, not started yet."""
    process = make_worker(database_url, smtp)
    with closing(process):
        yield process


async def test_no_mail_of_an_escalation_begins_after_its_claim(
    announcing_api: Api, smtp: SmtpServer, worker: HandoffProcess
) -> None:
    api, cast = announcing_api, announcing_api.cast
    await start(worker)

    async def escalate_and_claim(begun_first: int) -> tuple[str, Claimed]:
        handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
        await until_begun(cast, handoff_id, begun_first)
        return handoff_id, await claim(api, handoff_id)

    claims: dict[str, Claimed] = {}
    for _ in range(ESCALATIONS // 4):
        claims |= dict(await asyncio.gather(*(escalate_and_claim(begun) for begun in range(4))))
    await until_settled(cast.database)

    begun_at = {delivery_of(mail): mail.begun_at for mail in smtp.mails}
    ends = set()
    for handoff_id, claimed in claims.items():
        for row in (await mails_of(cast.database, cast.account_id, handoff_id)).values():
            ends.add(row.status)
            if row.status == DeliveryStatus.SKIPPED:
                assert row.reason == SkipReason.CLAIMED
                assert row.id not in begun_at
            else:
                assert row.status == DeliveryStatus.SENT
                assert row.id in claimed.sending or begun_at[row.id] < claimed.at
        told = await mails_of(cast.database, cast.account_id, handoff_id, DeliveryKind.CLAIMED)
        assert [(row.recipient_id, row.status) for row in told.values()] == [(cast.alice.id, "SENT")]
    assert ends == {DeliveryStatus.SKIPPED, DeliveryStatus.SENT}
    assert set(times_sent(smtp).values()) == {1}


async def test_a_hung_mail_server_delays_no_claim_and_what_was_under_way_is_recorded_as_sent(
    announcing_api: Api, smtp: SmtpServer, worker: HandoffProcess
) -> None:
    api, cast = announcing_api, announcing_api.cast
    smtp.misbehave(Trouble.HANG_AT_DATA)
    await start(worker)
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    await smtp.trouble_met(3)

    claimed = await claim(api, handoff_id)

    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    assert claimed.sending == {row.id for row in stored.values()}
    assert smtp.mails == []
    smtp.behave()
    await until_settled(cast.database)
    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    assert [(row.status, row.reason) for row in stored.values()] == [(DeliveryStatus.SENT, None)] * 3


async def test_a_mail_that_hangs_in_vain_while_somebody_claims_is_not_tried_again(
    api: Api, smtp: SmtpServer
) -> None:
    cast = api.cast
    smtp.misbehave(Trouble.DROP_DURING_DATA)
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    await make_outbox(cast.database, smtp).send_batch()
    smtp.behave()

    await claim(api, handoff_id)

    await make_outbox(cast.database, smtp).send_batch()
    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    skipped = (DeliveryStatus.SKIPPED, SkipReason.CLAIMED, 1)
    assert [(row.status, row.reason, row.attempts) for row in stored.values()] == [skipped] * 3
    told = await mails_of(cast.database, cast.account_id, handoff_id, DeliveryKind.CLAIMED)
    assert times_sent(smtp) == {row.id: 1 for row in told.values()}


async def test_claims_receipts_and_workers_never_wait_for_each_other_in_a_circle(
    announcing_api: Api, smtp: SmtpServer, worker: HandoffProcess
) -> None:
    api, cast = announcing_api, announcing_api.cast
    people = (cast.bob, cast.olivia, cast.adam)
    for user in people:
        await open_dashboard(cast.database, user)
    receipts = Receipts(cast.database, utc_now, batch_seconds=0)
    await receipts.start()
    await start(worker)

    async def escalate_and_claim(number: int) -> None:
        handoff_id = await escalate_without_grace(api)
        for user in people[number % 4 :]:
            receipts.confirmed(cast.account_id, Push(handoff_id, user.id, 0))
        await until_begun(cast, str(handoff_id), number % 3)
        await claim(api, str(handoff_id))

    for _ in range(ESCALATIONS // 8):
        await asyncio.gather(*(escalate_and_claim(number) for number in range(8)))
    await receipts.stop()
    await until_settled(cast.database)

    # PostgreSQL ends a circle by failing one of those who wait: a claim, a receipt or a mail.
    assert await deadlocks(cast.database) == 0
    assert set(times_sent(smtp).values()) == {1}


async def claim(api: Api, handoff_id: str) -> Claimed:
    """Claim a handoff as Bob, and look in the same transaction at what is being sent."""
    async with api.node.database.transaction(api.cast.account_id) as tx:
        await handoffs.claim(tx, api.cast.bob, UUID(handoff_id), now=utc_now())
        found = await _statuses(tx, handoff_id)
    sending = {id_ for id_, status in found.items() if status == DeliveryStatus.SENDING}
    return Claimed(utc_now(), sending)


async def escalate_without_grace(api: Api) -> UUID:
    """Escalate so that the mails to those at a screen are due at once, as when the grace period ends."""
    session = await api.cast.start_session()
    new = NewHandoff(session_id=session.id, intent=HandoffIntent.ESCALATE)
    async with api.node.database.transaction(api.cast.account_id) as tx:
        made = await handing_off.create(tx, api.cast.alice, new, now=utc_now(), grace=timedelta(0))
    return made.handoff.id


async def until_begun(cast: Cast, handoff_id: str, count: int) -> None:
    """Wait until that many deliveries of a handoff wait no longer."""

    async def are_begun() -> bool:
        async with cast.database.reading(cast.account_id) as tx:
            statuses = (await _statuses(tx, handoff_id)).values()
        return sum(status != DeliveryStatus.PENDING for status in statuses) >= count

    await eventually(are_begun)


async def _statuses(tx: Transaction, handoff_id: str) -> dict[UUID, DeliveryStatus]:
    statement = select(deliveries.c.id, deliveries.c.status)
    found = await tx.connection.execute(statement.where(deliveries.c.handoff_id == UUID(handoff_id)))
    return {row.id: row.status for row in found}
