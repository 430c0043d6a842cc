"""The one who escalates learns, loudly and once a round, that nobody can be told."""

import asyncio
from uuid import UUID

import pytest

from db import pushes
from db.enums import DeliveryKind, DeliveryStatus, Role, SkipReason
from db.handoffs import REACH_CHECK_EVERY
from db.pushes import Push
from schema.context import utc_now
from tests.client import Api
from tests.mailing import (
    ACKNOWLEDGE,
    change_deliveries,
    change_handoffs,
    do_what_is_due,
    handoff_row,
    mails_of,
    make_due,
    make_outbox,
    open_dashboard,
    remind,
    set_policy,
    set_preferences,
)
from tests.servers.smtp import SmtpServer

UNREACHED = ("ESCALATION_UNREACHED", None, "found nobody to tell")


async def escalate(api: Api) -> str:
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id)


async def told_of_it(api: Api, handoff_id: str) -> dict[str, str]:
    """Return where the mails stand that tell that nobody could be told, by the recipient's name."""
    cast = api.cast
    names = {user.id: user.name for user in cast.responders}
    mails = await mails_of(cast.database, cast.account_id, handoff_id, DeliveryKind.UNREACHED)
    return {names[user_id]: row.status.value for user_id, row in mails.items()}


async def leave_alone(api: Api) -> None:
    """Deactivate every responder but Alice."""
    cast = api.cast
    for user in (cast.bob, cast.olivia, cast.adam):
        await cast.change(user, active=False)


def refuse_everybody(api: Api, smtp: SmtpServer) -> None:
    for user in (api.cast.bob, api.cast.olivia, api.cast.adam):
        smtp.refuse(user.email, 550, "no such user")


async def make_check_due(api: Api) -> None:
    """Let as much time pass as the next look at who could be told waits for."""
    await change_handoffs(api.cast.database, api.cast.account_id, reach_check_at=utc_now())


async def unreached_events(api: Api, handoff_id: str) -> int:
    return (await api.timeline(handoff_id)).count(UNREACHED)


async def test_an_escalation_with_nobody_to_tell_says_so_at_once(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await leave_alone(api)

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    assert answer["reach"] == {"online": 0, "email": 0, "unreachable": True}
    handoff_id = answer["handoff"]["id"]
    assert (await api.timeline(handoff_id))[1:] == [UNREACHED]
    await make_outbox(cast.database, smtp).send_batch()
    (mail,) = smtp.mails
    assert mail.recipients == (cast.alice.email,)
    assert mail.message["Subject"] == "Nobody could be told: VPN drops every hour"
    body = mail.message.get_body(("plain",))
    assert body is not None
    assert "None of the responders could be told of this. Call somebody." in body.get_content()


async def test_parking_with_nobody_to_tell_is_quiet(api: Api) -> None:
    await leave_alone(api)

    answer = await api.create(api.cast.alice, (await api.cast.start_session()).id, "PARK")

    assert await api.deliveries(answer["handoff"]["id"]) == []
    assert len(await api.timeline(answer["handoff"]["id"])) == 1


@pytest.mark.parametrize("mailers", [1, 3], ids=["one after the other", "at the same moment"])
async def test_when_every_mail_is_refused_the_escalator_is_told_once(
    api: Api, smtp: SmtpServer, mailers: int
) -> None:
    cast = api.cast
    refuse_everybody(api, smtp)
    handoff_id = await escalate(api)
    outbox = make_outbox(cast.database, smtp, mailers=mailers)

    await outbox.send_batch()

    assert await told_of_it(api, handoff_id) == {"Alice": "PENDING"}
    assert await unreached_events(api, handoff_id) == 1
    await outbox.send_batch()
    assert [mail.recipients for mail in smtp.mails] == [(cast.alice.email,)]
    assert await unreached_events(api, handoff_id) == 1


async def test_a_refused_mail_to_the_escalator_is_no_reason_for_another(api: Api, smtp: SmtpServer) -> None:
    refuse_everybody(api, smtp)
    smtp.refuse(api.cast.alice.email, 550, "no such user")
    handoff_id = await escalate(api)
    outbox = make_outbox(api.cast.database, smtp)

    assert [await outbox.send_batch() for _ in range(3)] == [3, 1, 0]

    assert await told_of_it(api, handoff_id) == {"Alice": "FAILED"}
    assert await unreached_events(api, handoff_id) == 1


async def test_each_round_that_reaches_nobody_is_told_of(api: Api, smtp: SmtpServer) -> None:
    refuse_everybody(api, smtp)
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await escalate(api)
    outbox = make_outbox(api.cast.database, smtp)
    await outbox.send_batch()
    await outbox.send_batch()
    await remind(api)

    await outbox.send_batch()
    await outbox.send_batch()

    assert await unreached_events(api, handoff_id) == 2
    assert [mail.recipients for mail in smtp.mails] == [(api.cast.alice.email,)] * 2


async def test_one_confirmed_push_is_enough(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await open_dashboard(cast.database, cast.bob)
    refuse_everybody(api, smtp)
    handoff_id = await escalate(api)
    async with cast.database.transaction(cast.account_id) as tx:
        await pushes.confirm(tx, [Push(UUID(handoff_id), cast.bob.id, 0)], at=utc_now())

    await make_outbox(cast.database, smtp).send_batch()

    assert await told_of_it(api, handoff_id) == {}
    assert await unreached_events(api, handoff_id) == 0


async def test_a_person_who_has_seen_it_is_enough(api: Api, smtp: SmtpServer) -> None:
    refuse_everybody(api, smtp)
    handoff_id = await escalate(api)
    assert not (await api.ask(api.cast.bob, ACKNOWLEDGE, id=handoff_id)).errors

    await make_outbox(api.cast.database, smtp).send_batch()

    assert await told_of_it(api, handoff_id) == {}
    assert await unreached_events(api, handoff_id) == 0


async def test_while_one_mail_may_still_arrive_there_is_hope(api: Api, smtp: SmtpServer) -> None:
    refuse_everybody(api, smtp)
    smtp.refuse(api.cast.adam.email, 451, "try again later", times=1)
    handoff_id = await escalate(api)
    outbox = make_outbox(api.cast.database, smtp)
    await outbox.send_batch()
    assert await unreached_events(api, handoff_id) == 0
    smtp.refuse(api.cast.adam.email, 550, "no such user")
    await make_due(api.cast.database, api.cast.account_id)

    await outbox.send_batch()

    assert await unreached_events(api, handoff_id) == 1
    assert await told_of_it(api, handoff_id) == {"Alice": "PENDING"}


async def test_the_clock_tells_what_a_worker_that_died_did_not(api: Api) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    await change_deliveries(cast.database, cast.account_id, status=DeliveryStatus.FAILED, error="refused")
    assert await do_what_is_due(api) == 0
    await make_check_due(api)

    assert sum(await asyncio.gather(*(do_what_is_due(api) for _ in range(3)))) == 1

    assert await told_of_it(api, handoff_id) == {"Alice": "PENDING"}
    assert await unreached_events(api, handoff_id) == 1
    assert (await handoff_row(api, handoff_id)).reach_check_at is None


async def test_the_clock_looks_again_while_one_mail_may_still_arrive(api: Api) -> None:
    handoff_id = await escalate(api)
    await make_check_due(api)
    before = utc_now()

    assert [await do_what_is_due(api), await do_what_is_due(api)] == [1, 0]

    assert await unreached_events(api, handoff_id) == 0
    check_at = (await handoff_row(api, handoff_id)).reach_check_at
    assert check_at is not None
    assert check_at >= before + REACH_CHECK_EVERY


@pytest.mark.parametrize("end", ["told", "told of already"])
async def test_the_clock_tells_nothing_twice_and_then_looks_no_more(
    api: Api, smtp: SmtpServer, end: str
) -> None:
    if end == "told of already":
        refuse_everybody(api, smtp)
    handoff_id = await escalate(api)
    await make_outbox(api.cast.database, smtp).send_batch()
    before = await api.timeline(handoff_id)
    await make_check_due(api)

    assert [await do_what_is_due(api), await do_what_is_due(api)] == [1, 0]

    assert await api.timeline(handoff_id) == before
    assert (await handoff_row(api, handoff_id)).reach_check_at is None


async def test_each_round_is_looked_at_by_the_clock(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    refuse_everybody(api, smtp)
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await escalate(api)
    await make_outbox(cast.database, smtp).send_batch()
    await make_check_due(api)
    await do_what_is_due(api)
    await remind(api)
    await change_deliveries(cast.database, cast.account_id, status=DeliveryStatus.FAILED, error="refused")
    await make_check_due(api)

    assert await do_what_is_due(api) == 1

    assert await unreached_events(api, handoff_id) == 2


async def test_what_was_parked_is_not_looked_at(api: Api) -> None:
    parked = (await api.create(api.cast.alice, (await api.cast.start_session()).id, "PARK"))["handoff"]["id"]

    await api.claim(api.cast.bob, parked)
    await api.release(api.cast.bob, parked)

    assert (await handoff_row(api, parked)).reach_check_at is None


@pytest.mark.parametrize("change", [{"active": False}, {"role": Role.VIEWER}, {"mute_email": True}])
async def test_who_may_not_be_told_any_more_does_not_count(
    api: Api, smtp: SmtpServer, change: dict[str, object]
) -> None:
    cast = api.cast
    await open_dashboard(cast.database, cast.bob)
    refuse_everybody(api, smtp)
    handoff_id = await escalate(api)
    await cast.change(cast.bob, **change)
    await make_due(cast.database, cast.account_id)

    await make_outbox(cast.database, smtp).send_batch()

    assert ("Bob", "PUSH", "FAILED") in [row[1:4] for row in await api.deliveries(handoff_id)]
    assert await unreached_events(api, handoff_id) == 1


async def test_the_last_responders_muted_mail_is_told_of_at_once(api: Api) -> None:
    cast = api.cast
    for user in (cast.bob, cast.olivia, cast.adam):
        await set_preferences(api, user, muteEmail=True)

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    assert answer["reach"] == {"online": 0, "email": 3, "unreachable": True}
    handoff_id = answer["handoff"]["id"]
    assert (await api.timeline(handoff_id))[1:] == [UNREACHED]
    mails = await mails_of(cast.database, cast.account_id, handoff_id)
    assert {(row.status, row.reason) for row in mails.values()} == {
        (DeliveryStatus.SKIPPED, SkipReason.OPTED_OUT)
    }


@pytest.mark.parametrize("way", ["at a screen", "mails not muted", "parked"])
async def test_one_open_channel_is_reach_enough(api: Api, way: str) -> None:
    cast = api.cast
    for user in (cast.bob, cast.olivia, cast.adam):
        await set_preferences(api, user, muteEmail=user != cast.bob or way != "mails not muted")
    if way == "at a screen":
        await open_dashboard(cast.database, cast.bob)

    intent = "PARK" if way == "parked" else "ESCALATE"
    answer = await api.create(cast.alice, (await cast.start_session()).id, intent)

    online, email = {"at a screen": (1, 2), "mails not muted": (0, 3), "parked": (0, 0)}[way]
    assert answer["reach"] == {"online": online, "email": email, "unreachable": False}
    assert len(await api.timeline(answer["handoff"]["id"])) == 1


async def test_a_screen_that_is_muted_does_not_make_up_for_muted_mails(api: Api) -> None:
    cast = api.cast
    for user in (cast.olivia, cast.adam):
        await set_preferences(api, user, muteEmail=True)
    await set_preferences(api, cast.bob, mutePush=True)
    await open_dashboard(cast.database, cast.bob)

    by_mail = (await api.create(cast.alice, (await cast.start_session()).id))["reach"]
    await cast.change(cast.bob, active=False)
    by_nothing = (await api.create(cast.alice, (await cast.start_session()).id))["reach"]

    assert by_mail == {"online": 1, "email": 2, "unreachable": False}
    assert by_nothing == {"online": 0, "email": 2, "unreachable": True}


async def test_a_claim_takes_the_news_of_nobody_back(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    refuse_everybody(api, smtp)
    handoff_id = await escalate(api)
    outbox = make_outbox(cast.database, smtp)
    await outbox.send_batch()

    await api.claim(cast.bob, handoff_id)
    await outbox.send_batch()

    assert await told_of_it(api, handoff_id) == {"Alice": "SKIPPED"}
    assert [mail.message["Subject"] for mail in smtp.mails] == ["Claimed by Bob: VPN drops every hour"]
