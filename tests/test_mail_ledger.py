"""Mails are begun and recorded together, and one mail's failure touches no other's."""

from uuid import UUID

import pytest
from sqlalchemy import text

from db.enums import DeliveryStatus, Role
from db.session import Database
from notify.mail_shift import BATCH
from resolvers import admin
from schema.context import utc_now
from tests.client import Api
from tests.mailing import mails_of, make_outbox
from tests.servers.smtp import SmtpServer
from tests.test_many_workers import ends, hire
from tests.workers import attempts_at, leased, times_sent


async def test_more_than_a_batch_is_sent_by_one_connection_or_many(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await hire(cast, BATCH + 20)
    await api.escalate(cast.alice, (await cast.start_session()).id)

    sent = await make_outbox(cast.database, smtp, mailers=30).send_batch()

    settled = await ends(cast.database)
    assert sent == len(settled) == BATCH + 23
    assert set(settled.values()) == {(DeliveryStatus.SENT, 1)}
    assert times_sent(smtp) == dict.fromkeys(settled, 1)


async def test_mails_of_several_accounts_are_sent_in_one_batch(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    colleague = "dora@fabrikam.example"
    async with cast.database.transaction(cast.other_account_id) as tx:
        await admin.add_user(tx, email=colleague, name="Dora", role=Role.ENGINEER, now=utc_now())
    await api.escalate(cast.alice, (await cast.start_session()).id)
    await api.escalate(cast.charlie, (await cast.start_session(owner=cast.charlie)).id)

    sent = await make_outbox(cast.database, smtp, mailers=4).send_batch()

    told = {user.email for user in (cast.bob, cast.olivia, cast.adam)}
    assert (sent, {mail.recipients[0] for mail in smtp.mails}) == (4, {*told, colleague})


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_mail_that_cannot_be_begun_touches_no_other(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    planned = await mails_of(cast.database, cast.account_id, handoff_id)
    await refuse_attempts(cast.database, "INSERT", planned[cast.bob.id].id, times=1000)

    assert await make_outbox(cast.database, smtp, mailers=3).send_batch() == 0  # so its loop takes a breath

    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    assert {user_id: (row.status, row.attempts) for user_id, row in stored.items()} == {
        cast.bob.id: (DeliveryStatus.PENDING, 0),
        cast.olivia.id: (DeliveryStatus.SENT, 1),
        cast.adam.id: (DeliveryStatus.SENT, 1),
    }
    assert await leased(cast.database) == 0


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_an_answer_that_cannot_be_recorded_with_others_is_recorded_by_itself(
    api: Api, smtp: SmtpServer
) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    planned = await mails_of(cast.database, cast.account_id, handoff_id)
    await refuse_attempts(cast.database, "UPDATE", planned[cast.bob.id].id, times=2)

    assert await make_outbox(cast.database, smtp, mailers=3).send_batch() == 3

    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    assert {row.status for row in stored.values()} == {DeliveryStatus.SENT}
    for row in stored.values():
        assert await attempts_at(cast.database, row.id) == [(1, True, 250)]
    assert set(times_sent(smtp).values()) == {1}


async def refuse_attempts(database: Database, change: str, delivery_id: UUID, *, times: int) -> None:
    """Let the database refuse a change of the attempts at one delivery, so many times."""
    async with database.owning() as tx:
        for statement in (
            "CREATE SEQUENCE refusals",
            "GRANT USAGE ON SEQUENCE refusals TO PUBLIC",
            f"""CREATE FUNCTION refuse_attempt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.delivery_id = '{delivery_id}' AND nextval('refusals') <= {times} THEN
            RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$""",
            f"""CREATE TRIGGER refuse_attempt BEFORE {change} ON delivery_attempts
            FOR EACH ROW EXECUTE FUNCTION refuse_attempt()""",
        ):
            await tx.execute(text(statement))
