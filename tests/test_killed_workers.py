"""A worker that dies loses no mail, and repeats none but the one that it could not record any more."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import UUID

import pytest
from sqlalchemy import select, text

from db.deliveries import DeliveryRow
from db.enums import DeliveryKind, DeliveryStatus, SkipReason
from db.models import deliveries
from db.session import Database
from schema.context import utc_now
from tests.client import Api
from tests.mailing import change_handoffs, mails_of, make_outbox
from tests.servers.processes import HandoffProcess
from tests.servers.smtp import SmtpServer, Trouble
from tests.sockets import eventually
from tests.workers import (
    attempts_at,
    closing,
    delivery_of,
    end_leases,
    make_worker,
    start,
    times_sent,
    until_leased,
    until_settled,
)

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

Stop = Callable[[Database, SmtpServer, HandoffProcess], Awaitable[None]]


async def connected(_: Database, smtp: SmtpServer, worker: HandoffProcess) -> None:
    """Kill the worker while it waits for the greeting of the mail server."""
    smtp.misbehave(Trouble.HANG_AT_CONNECT)
    await start(worker)
    await smtp.trouble_met()
    worker.kill()
    smtp.behave()


async def in_data(_: Database, smtp: SmtpServer, worker: HandoffProcess) -> None:
    """Kill the worker when it has handed over a whole mail, which the server then does not keep."""
    smtp.misbehave(Trouble.HANG_AT_DATA)
    await start(worker)
    await smtp.trouble_met()
    worker.kill()
    smtp.stop()
    smtp.behave()
    smtp.start()


async def accepted_and_not_heard(_: Database, smtp: SmtpServer, worker: HandoffProcess) -> None:
    """Kill the worker when the server has answered 250, before it reads that."""
    smtp.misbehave(Trouble.HANG_AT_DATA)
    await start(worker)
    await smtp.trouble_met()
    worker.pause()
    smtp.behave()
    await smtp.arrival(1)
    worker.kill()


async def accepted_and_not_recorded(database: Database, smtp: SmtpServer, worker: HandoffProcess) -> None:
    """Kill the worker when it has read the 250, before the record of that is committed."""
    smtp.misbehave(Trouble.HANG_AT_DATA)
    await start(worker)
    await smtp.trouble_met()
    async with database.system() as tx:
        await tx.execute(select(deliveries.c.id).with_for_update())
        smtp.behave()
        await until_somebody_waits_for_a_lock(database)
        worker.kill()


async def test_a_worker_killed_with_nothing_but_leases_leaves_all_mails_to_another(
    api: Api, smtp: SmtpServer, database_url: str
) -> None:
    cast, handoff_id = api.cast, await escalate(api)
    worker, other = make_worker(database_url, smtp), make_worker(database_url, smtp)
    with closing(worker, other):
        async with AsyncExitStack() as stack:
            tx = await stack.enter_async_context(cast.database.system())
            await tx.execute(text("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"))
            await start(worker)
            await until_leased(cast.database, 3)
            worker.kill()
        assert smtp.connections == 0

        assert await end_leases(cast.database) == 3
        await start(other)
        await until_settled(cast.database)

    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    assert [(row.status, row.attempts) for row in stored.values()] == [(DeliveryStatus.SENT, 1)] * 3
    assert times_sent(smtp) == {row.id: 1 for row in stored.values()}


@pytest.mark.parametrize("step", [connected, in_data])
async def test_a_mail_under_way_when_its_worker_is_killed_is_sent_once_by_another(
    api: Api, smtp: SmtpServer, database_url: str, step: Stop
) -> None:
    cast, handoff_id = api.cast, await escalate(api)
    worker, other = make_worker(database_url, smtp, connections=1), make_worker(database_url, smtp)
    with closing(worker, other):
        await step(cast.database, smtp, worker)
        under_way = await only_sending(api, handoff_id)

        assert await end_leases(cast.database) == 3
        await start(other)
        await until_settled(cast.database)

    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    assert {row.status for row in stored.values()} == {DeliveryStatus.SENT}
    assert {row.id: row.attempts for row in stored.values()} == {
        row.id: 2 if row.id == under_way else 1 for row in stored.values()
    }
    assert times_sent(smtp) == {row.id: 1 for row in stored.values()}
    assert await attempts_at(cast.database, under_way) == [(1, False, None), (2, True, 250)]


@pytest.mark.parametrize("step", [accepted_and_not_heard, accepted_and_not_recorded])
async def test_only_the_mail_that_was_accepted_and_not_recorded_is_repeated_with_the_same_id(
    api: Api, smtp: SmtpServer, database_url: str, step: Stop
) -> None:
    cast, handoff_id = api.cast, await escalate(api)
    worker, other = make_worker(database_url, smtp, connections=1), make_worker(database_url, smtp)
    with closing(worker, other):
        await step(cast.database, smtp, worker)
        in_doubt = await only_sending(api, handoff_id)

        assert await end_leases(cast.database) == 3
        await start(other)
        await until_settled(cast.database)

    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    assert {row.status for row in stored.values()} == {DeliveryStatus.SENT}
    assert times_sent(smtp) == {row.id: 2 if row.id == in_doubt else 1 for row in stored.values()}
    first, second = [mail for mail in smtp.mails if delivery_of(mail) == in_doubt]
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.recipients == second.recipients
    assert await attempts_at(cast.database, in_doubt) == [(1, False, None), (2, True, 250)]


async def test_a_worker_killed_before_it_tells_that_nobody_could_be_told_is_made_up_for(
    api: Api, smtp: SmtpServer, database_url: str
) -> None:
    cast = api.cast
    for user in (cast.bob, cast.olivia, cast.adam):
        smtp.refuse(user.email, 550, "no such user")
    handoff_id = await escalate(api)
    worker, other = make_worker(database_url, smtp), make_worker(database_url, smtp)
    with closing(worker, other):
        async with AsyncExitStack() as stack:
            tx = await stack.enter_async_context(cast.database.system())
            await tx.execute(text("LOCK TABLE account_counters IN ACCESS EXCLUSIVE MODE"))
            await start(worker)
            await until_settled(cast.database)
            await until_somebody_waits_for_a_lock(cast.database)
            worker.kill()
        assert {row.status for row in (await mails(api, handoff_id)).values()} == {DeliveryStatus.FAILED}
        assert await mails_of(cast.database, cast.account_id, handoff_id, DeliveryKind.UNREACHED) == {}

        await change_handoffs(cast.database, cast.account_id, reach_check_at=utc_now())
        await start(other)
        (mail,) = await smtp.arrival(1)

    assert mail.recipients == (cast.alice.email,)
    assert mail.message["Subject"] == "Nobody could be told: VPN drops every hour"
    assert (await api.timeline(handoff_id))[1:] == [("ESCALATION_UNREACHED", None, "found nobody to tell")]


async def test_what_a_killed_worker_held_is_left_alone_until_its_lease_ends(
    api: Api, smtp: SmtpServer, database_url: str
) -> None:
    cast, handoff_id = api.cast, await escalate(api)
    worker = make_worker(database_url, smtp, connections=1)
    with closing(worker):
        await in_data(cast.database, smtp, worker)
    other = make_outbox(cast.database, smtp)

    assert await other.send_batch() == 0
    assert smtp.mails == []

    await end_leases(cast.database)
    assert await other.send_batch() == 3
    assert times_sent(smtp) == {row.id: 1 for row in (await mails(api, handoff_id)).values()}


async def test_the_mail_of_a_killed_worker_is_not_sent_when_somebody_claims_meanwhile(
    api: Api, smtp: SmtpServer, database_url: str
) -> None:
    cast, handoff_id = api.cast, await escalate(api)
    worker, other = make_worker(database_url, smtp, connections=1), make_worker(database_url, smtp)
    with closing(worker, other):
        await in_data(cast.database, smtp, worker)
        claimed = await api.claim(cast.bob, handoff_id)
        assert claimed["__typename"] == "ClaimHandoffSuccess"

        await end_leases(cast.database)
        await start(other)
        await until_settled(cast.database)

    stored = await mails(api, handoff_id)
    skipped = (DeliveryStatus.SKIPPED, SkipReason.CLAIMED)
    assert [(row.status, row.reason) for row in stored.values()] == [skipped] * 3
    told = await mails_of(cast.database, cast.account_id, handoff_id, DeliveryKind.CLAIMED)
    assert times_sent(smtp) == {told[cast.alice.id].id: 1}


async def test_a_worker_that_is_asked_to_stop_finishes_its_mail_and_gives_back_the_rest(
    api: Api, smtp: SmtpServer, database_url: str
) -> None:
    cast, handoff_id = api.cast, await escalate(api)
    worker = make_worker(database_url, smtp, connections=1)
    smtp.misbehave(Trouble.HANG_AT_DATA)
    with closing(worker):
        await start(worker)
        await smtp.trouble_met()
        stopping = asyncio.create_task(asyncio.to_thread(worker.stop))
        await until_said(worker, "worker stopping")
        smtp.behave()

        assert await stopping == 0

    (mail,) = smtp.mails
    stored = {row.id: (row.status, row.attempts) for row in (await mails(api, handoff_id)).values()}
    assert stored.pop(delivery_of(mail)) == (DeliveryStatus.SENT, 1)
    assert list(stored.values()) == [(DeliveryStatus.PENDING, 0)] * 2
    assert await make_outbox(cast.database, smtp).send_batch() == 2
    assert set(times_sent(smtp).values()) == {1}


async def escalate(api: Api) -> str:
    """Escalate a session of Alice's, with nobody at a screen: three mails are due."""
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id)


async def mails(api: Api, handoff_id: str) -> dict[UUID, DeliveryRow]:
    """Return the mails of the escalation by recipient."""
    return await mails_of(api.cast.database, api.cast.account_id, handoff_id)


async def only_sending(api: Api, handoff_id: str) -> UUID:
    """Return the one delivery that is recorded as being sent; the others wait."""
    stored = (await mails(api, handoff_id)).values()
    assert sorted(row.status for row in stored) == ["PENDING", "PENDING", "SENDING"]
    return next(row.id for row in stored if row.status == DeliveryStatus.SENDING)


async def until_somebody_waits_for_a_lock(database: Database) -> None:
    """Wait until a statement of another process waits for a row."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    async def waits() -> bool:
        async with database.system_reading() as tx:
            return bool(await tx.fetch_value(waiting))

    await eventually(waits)


async def until_said(process: HandoffProcess, words: str) -> None:
    """Wait until a process has logged the words."""

    async def has_said() -> bool:
        return words in process.stderr

    await eventually(has_said)
