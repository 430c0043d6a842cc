"""Any number of workers share what is due: each mail is sent by one of them, once."""

import asyncio
from collections import Counter
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from db.enums import DeliveryStatus, Role
from db.models import deliveries, users
from db.session import Database, new_id
from schema.context import utc_now
from tests.cast import Cast
from tests.client import Api
from tests.mailing import make_outbox
from tests.servers.smtp import SmtpServer, Trouble
from tests.workers import closing, leased, make_worker, start, times_sent, until_settled

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@pytest.mark.parametrize("responders", [300, pytest.param(1000, marks=pytest.mark.long)])
async def test_two_workers_share_what_is_due_and_each_mail_is_sent_once(
    announcing_api: Api, smtp: SmtpServer, database_url: str, responders: int
) -> None:
    api, cast = announcing_api, announcing_api.cast
    await hire(cast, responders - 3)
    workers = [make_worker(database_url, smtp, sender=f"{name}@msp.example") for name in ("one", "two")]

    with closing(*workers):
        await start(*workers)
        await api.escalate(cast.alice, (await cast.start_session()).id)
        await smtp.arrival(responders, 60)
        await until_settled(cast.database)

    settled = await ends(cast.database)
    assert Counter(settled.values()) == {(DeliveryStatus.SENT, 1): responders}
    assert times_sent(smtp) == dict.fromkeys(settled, 1)
    assert {mail.sender for mail in smtp.mails} == {"one@msp.example", "two@msp.example"}


async def test_a_worker_passes_over_what_another_holds(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    smtp.misbehave(Trouble.HANG_AT_DATA)
    await api.escalate(cast.alice, (await cast.start_session()).id)
    one = asyncio.create_task(make_outbox(cast.database, smtp, mailers=1).send_batch())
    await smtp.trouble_met()

    assert await make_outbox(cast.database, smtp).send_batch() == 0

    assert (len(smtp.mails), await leased(cast.database)) == (0, 3)
    smtp.behave()
    assert await one == 3
    assert set(times_sent(smtp).values()) == {1}


async def hire(cast: Cast, count: int) -> None:
    """Add that many engineers to the account."""
    rows = [
        {
            "account_id": cast.account_id,
            "id": new_id(),
            "email": f"engineer{number}@northwind.example",
            "name": f"Engineer {number}",
            "role": Role.ENGINEER,
            "created_at": utc_now(),
        }
        for number in range(count)
    ]
    async with cast.database.transaction(cast.account_id) as tx:
        await tx.execute(insert(users), rows)


async def ends(database: Database) -> dict[UUID, tuple[DeliveryStatus, int]]:
    """Return status and attempts of every delivery."""
    async with database.system_reading() as tx:
        found = await tx.connection.execute(
            select(deliveries.c.id, deliveries.c.status, deliveries.c.attempts)
        )
        return {row.id: (row.status, row.attempts) for row in found}
