"""Offline responders get a mail about an escalation, each by themselves, whatever the mail server does."""

import asyncio
from datetime import timedelta

import pytest

from db.enums import DeliveryStatus, SkipReason
from notify.outbox import IN_DOUBT
from schema.context import utc_now
from tests.cast import deactivate
from tests.client import Api
from tests.mailing import change_deliveries, mails_of, make_due, make_outbox, outbox_for
from tests.servers.processes import free_port
from tests.servers.smtp import SmtpServer, Trouble
from tests.workers import attempts_at, times_sent


async def test_every_responder_but_the_escalator_gets_one_mail(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    session = await cast.start_session("Outlook asks for the password again and again", in_team=True)
    handoff_id = await api.escalate(cast.alice, session.id, notes="Profile rebuilt twice", priority="URGENT")

    await make_outbox(cast.database, smtp).send_batch()

    told = {user.email for user in (cast.bob, cast.olivia, cast.adam)}
    assert sorted(mail.recipients[0] for mail in smtp.mails) == sorted(told)
    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    assert {row.status for row in stored.values()} == {DeliveryStatus.SENT}
    assert all(row.sent_at is not None and row.attempts == 1 for row in stored.values())


async def test_a_mail_says_what_why_and_where(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    session = await cast.start_session("Outlook asks for the password again and again", in_team=True)
    handoff_id = await api.escalate(cast.alice, session.id, notes="Profile rebuilt twice", priority="URGENT")

    await make_outbox(cast.database, smtp).send_batch()

    mail = next(mail for mail in smtp.mails if mail.recipients == (cast.bob.email,))
    stored = (await mails_of(cast.database, cast.account_id, handoff_id))[cast.bob.id]
    assert "Outlook asks for the password again and again" in mail.message["Subject"]
    assert mail.message["Message-ID"] == f"<delivery-{stored.id}@msp.example>"
    for kind in ("plain", "html"):
        body = mail.message.get_body((kind,))
        assert body is not None
        text = " ".join(body.get_content().split())
        for said in (
            "Profile rebuilt twice",
            "urgent",
            f"https://x.example/{handoff_id}",
            "Networks",
            "Alice",
        ):
            assert said.lower() in text.lower()
        assert "You get this because you are a responder of Northwind" in text


async def test_parking_mails_nobody(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await api.create(cast.alice, (await cast.start_session()).id, intent="PARK")

    assert await make_outbox(cast.database, smtp).send_batch() == 0

    assert smtp.connections == 0


async def test_one_refused_mailbox_does_not_touch_the_others(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    smtp.refuse(cast.bob.email, 550, "no such user")
    smtp.refuse(cast.adam.email, 451, "try again later")
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)

    await make_outbox(cast.database, smtp).send_batch()

    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    assert [mail.recipients for mail in smtp.mails] == [(cast.olivia.email,)]
    refused, later = stored[cast.bob.id], stored[cast.adam.id]
    assert (refused.status, refused.attempts) == (DeliveryStatus.FAILED, 1)
    assert "no such user" in (refused.error or "")
    assert (later.status, later.attempts) == (DeliveryStatus.PENDING, 1)
    assert "try again later" in (later.error or "")
    assert later.due_at > later.created_at


async def test_a_mail_refused_for_now_goes_at_the_next_try(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    smtp.refuse(cast.bob.email, 451, "try again later", times=1)
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    outbox = make_outbox(cast.database, smtp)
    await outbox.send_batch()

    await make_due(cast.database, cast.account_id)
    await outbox.send_batch()

    bob = (await mails_of(cast.database, cast.account_id, handoff_id))[cast.bob.id]
    assert (bob.status, bob.attempts, bob.error) == (DeliveryStatus.SENT, 2, None)
    ids = [mail.message["Message-ID"] for mail in smtp.mails]
    assert len(ids) == len(set(ids)) == 3


@pytest.mark.parametrize(
    ("hours", "attempts", "status"), [(9, 1, "PENDING"), (9, 12, "FAILED"), (1, 30, "PENDING")]
)
async def test_a_mail_is_given_up_after_hours_and_many_attempts_not_because_no_worker_ran(
    api: Api, smtp: SmtpServer, hours: int, attempts: int, status: str
) -> None:
    cast = api.cast
    smtp.refuse(cast.bob.email, 451, "greylisted, try again later")
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    began_at = utc_now() - timedelta(hours=hours)
    await change_deliveries(cast.database, cast.account_id, created_at=began_at, attempts=attempts - 1)

    await make_outbox(cast.database, smtp).send_batch()

    bob = (await mails_of(cast.database, cast.account_id, handoff_id))[cast.bob.id]
    assert (bob.status, bob.attempts) == (status, attempts)


@pytest.mark.parametrize(
    ("trouble", "copies"), [(Trouble.DROP_BEFORE_REPLY, 2), (Trouble.DROP_DURING_DATA, 1)]
)
async def test_a_mail_that_may_have_been_taken_is_sent_again_with_the_same_id_and_says_so(
    api: Api, smtp: SmtpServer, trouble: Trouble, copies: int
) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    smtp.misbehave(trouble)
    await make_outbox(cast.database, smtp, mailers=1).send_batch()
    smtp.behave()
    doubtful = await mails_of(cast.database, cast.account_id, handoff_id)
    assert [row.status for row in doubtful.values()] == [DeliveryStatus.PENDING] * 3
    assert all(
        (row.error or "").endswith(f"(while handing over the mail) {IN_DOUBT}") for row in doubtful.values()
    )
    await make_due(cast.database, cast.account_id)

    await make_outbox(cast.database, smtp).send_batch()

    stored = (await mails_of(cast.database, cast.account_id, handoff_id)).values()
    assert [row.status for row in stored] == [DeliveryStatus.SENT] * 3
    assert times_sent(smtp) == {row.id: copies for row in stored}
    for row in stored:
        assert await attempts_at(cast.database, row.id) == [(1, True, None), (2, True, 250)]


async def test_a_refusal_leaves_no_doubt(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    smtp.refuse_mail(451, "try again later", times=1)
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)

    await make_outbox(cast.database, smtp, mailers=1).send_batch()

    stored = (await mails_of(cast.database, cast.account_id, handoff_id)).values()
    assert {row.error for row in stored} == {None, "try again later"}


async def test_a_server_that_is_absent_delays_nothing_and_loses_nothing(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)

    await outbox_for(cast.database, f"smtp+plain://127.0.0.1:{free_port()}?timeout=2").send_batch()

    stored = await mails_of(cast.database, cast.account_id, handoff_id)
    assert {row.status for row in stored.values()} == {DeliveryStatus.PENDING}
    assert {row.attempts for row in stored.values()} == {1}


async def test_a_hung_server_delays_neither_a_handoff_nor_a_claim(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    smtp.misbehave(Trouble.HANG_AT_DATA)
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    sending = asyncio.create_task(make_outbox(cast.database, smtp, mailers=1).send_batch())
    await smtp.trouble_met(1)

    second = await api.escalate(cast.alice, (await cast.start_session("Datastore full")).id)
    claimed = await api.claim(cast.bob, handoff_id)

    assert claimed["__typename"] == "ClaimHandoffSuccess"
    assert not sending.done()
    smtp.behave()
    await sending
    # The one that was under way may finish; of the claimed handoff nothing else begins.
    first = await mails_of(cast.database, cast.account_id, handoff_id)
    assert sorted(row.status for row in first.values()) == ["SENT", "SKIPPED", "SKIPPED"]
    assert {row.reason for row in first.values()} == {None, SkipReason.CLAIMED}
    assert len(await mails_of(cast.database, cast.account_id, second)) == 3


async def test_nothing_is_sent_to_someone_deactivated_after_the_escalation(
    api: Api, smtp: SmtpServer
) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    async with cast.database.transaction(cast.account_id) as tx:
        await deactivate(tx, cast.bob)

    await make_outbox(cast.database, smtp).send_batch()

    bob = (await mails_of(cast.database, cast.account_id, handoff_id))[cast.bob.id]
    assert (bob.status, bob.reason) == (DeliveryStatus.SKIPPED, SkipReason.RECIPIENT_INACTIVE)
    assert len(smtp.mails) == 2


async def test_a_release_mails_everybody_but_the_releaser_again(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    await api.claim(cast.bob, handoff_id)
    await api.release(cast.bob, handoff_id, "shift ends")

    await make_outbox(cast.database, smtp).send_batch()

    told = {user.email for user in (cast.alice, cast.olivia, cast.adam)}
    assert {mail.recipients[0] for mail in smtp.mails} == told
    assert len(smtp.mails) == 3
