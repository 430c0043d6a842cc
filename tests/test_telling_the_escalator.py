"""The one who escalates learns that somebody else has it."""

from db.enums import DeliveryKind, DeliveryStatus
from tests.client import Api
from tests.mailing import mails_of, make_outbox
from tests.servers.smtp import SmtpServer


async def escalate(api: Api) -> str:
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id)


async def test_the_escalator_is_mailed_who_claimed_it(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    handoff_id = await escalate(api)

    await api.claim(cast.bob, handoff_id)
    await make_outbox(cast.database, smtp).send_batch()

    (mail,) = smtp.mails
    assert mail.recipients == (cast.alice.email,)
    assert mail.message["Subject"] == "Claimed by Bob: VPN drops every hour"
    assert mail.message["List-Unsubscribe"] is None
    for kind in ("plain", "html"):
        body = mail.message.get_body((kind,))
        assert body is not None
        text = " ".join(body.get_content().split())
        assert "Bob has picked this up." in text
        assert "You get this because you passed the session on." in text
    mails = await mails_of(cast.database, cast.account_id, handoff_id, DeliveryKind.CLAIMED)
    assert {mail.recipient_id: mail.status for mail in mails.values()} == {cast.alice.id: DeliveryStatus.SENT}


async def test_whoever_claims_their_own_escalation_is_told_nothing(api: Api) -> None:
    cast = api.cast
    handoff_id = await escalate(api)

    await api.claim(cast.alice, handoff_id)

    assert await mails_of(cast.database, cast.account_id, handoff_id, DeliveryKind.CLAIMED) == {}


async def test_nobody_is_told_of_a_claim_of_what_was_parked(api: Api) -> None:
    cast = api.cast
    parked = (await api.create(cast.alice, (await cast.start_session()).id, "PARK"))["handoff"]["id"]

    await api.claim(cast.bob, parked)

    assert await api.deliveries(parked) == []


async def test_a_released_claim_is_not_told_of_and_the_next_one_is(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    await api.claim(cast.bob, handoff_id)
    await api.release(cast.bob, handoff_id)
    await api.claim(cast.olivia, handoff_id)

    await make_outbox(cast.database, smtp).send_batch()

    (mail,) = smtp.mails
    assert mail.message["Subject"] == "Claimed by Olivia: VPN drops every hour"
    assert [row for row in await api.deliveries(handoff_id) if row[1] == "Alice"] == [
        (0, "Alice", "EMAIL", "SKIPPED", "RELEASED"),
        (1, "Alice", "EMAIL", "SENT", None),
        (1, "Alice", "EMAIL", "SKIPPED", "CLAIMED"),
    ]


async def test_the_winners_second_click_mails_nobody_again(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    outbox = make_outbox(cast.database, smtp)
    await api.claim(cast.bob, handoff_id)
    await outbox.send_batch()

    await api.claim(cast.bob, handoff_id)
    await api.claim(cast.olivia, handoff_id)
    await outbox.send_batch()

    assert len(smtp.mails) == 1
