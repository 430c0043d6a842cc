"""Each person decides how they are told; one channel stays open, and what is turned off is on record."""

import asyncio
from typing import Any

import pytest

from tests.client import Api
from tests.mailing import (
    SET_PREFERENCES,
    mails_of,
    make_due,
    make_outbox,
    open_dashboard,
    remind,
    set_policy,
    set_preferences,
)
from tests.servers.smtp import SmtpServer

PREFERENCES = "{ notificationPreferences { mutePush muteEmail quietReminders } }"
ALL_ON = {"mutePush": False, "muteEmail": False, "quietReminders": False}
ONE_CHANNEL = "Only one of mutePush and muteEmail can be on: escalations must be able to reach you."


async def escalate(api: Api) -> str:
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id)


async def told_to_bob(api: Api, handoff_id: str) -> list[tuple[int, str, str, str | None]]:
    """Return round, channel, status and reason of what Bob is told."""
    rows = await api.deliveries(handoff_id)
    return [
        (round_, channel, status, reason) for round_, name, channel, status, reason in rows if name == "Bob"
    ]


async def preferences_of(api: Api, name: str) -> Any:  # noqa: ANN401
    return (await api.ask(getattr(api.cast, name), PREFERENCES)).only()


@pytest.mark.parametrize("name", ["bob", "vera"])
async def test_everybody_sets_their_own_preferences_and_no_one_elses(api: Api, name: str) -> None:
    before = await api.cast.last_event()

    answer = await set_preferences(api, getattr(api.cast, name), mutePush=True, quietReminders=True)

    wanted = ALL_ON | {"mutePush": True, "quietReminders": True}
    assert answer.only() == {"preferences": wanted}
    assert await preferences_of(api, name) == wanted
    assert await preferences_of(api, "olivia") == ALL_ON
    assert await api.cast.last_event() == before + 1


async def test_preferences_need_a_signed_in_user(api: Api) -> None:
    answers = [
        await api.ask(None, SET_PREFERENCES, input={"mutePush": True}),
        await api.ask(None, PREFERENCES),
    ]

    assert [answer.codes for answer in answers] == [["UNAUTHENTICATED"]] * 2


async def test_what_is_left_out_or_null_stays(api: Api) -> None:
    await set_preferences(api, api.cast.bob, muteEmail=True)

    answer = await api.ask(api.cast.bob, SET_PREFERENCES, input={"muteEmail": None, "quietReminders": True})

    assert answer.only() == {"preferences": ALL_ON | {"muteEmail": True, "quietReminders": True}}


async def test_what_changes_nothing_writes_nothing(api: Api) -> None:
    await set_preferences(api, api.cast.bob, mutePush=True)
    before = await api.cast.all_rows()

    answer = await set_preferences(api, api.cast.bob, mutePush=True, muteEmail=False)

    assert answer.only() == {"preferences": ALL_ON | {"mutePush": True}}
    assert await api.cast.all_rows() == before


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        ({}, {"mutePush": True, "muteEmail": True}),
        ({"mutePush": True}, {"muteEmail": True}),
        ({"muteEmail": True}, {"mutePush": True, "quietReminders": True}),
    ],
)
async def test_both_channels_cannot_be_off(
    api: Api, stored: dict[str, bool], wanted: dict[str, bool]
) -> None:
    await set_preferences(api, api.cast.bob, **stored)
    before = await api.cast.all_rows()

    answer = await set_preferences(api, api.cast.bob, **wanted)

    assert answer.data is None
    assert [error["message"] for error in answer.errors] == [ONE_CHANNEL]
    assert answer.codes == ["BAD_USER_INPUT"]
    assert await api.cast.all_rows() == before


async def test_two_changes_in_one_request_know_of_each_other(api: Api) -> None:
    document = """mutation {
      first: updateNotificationPreferences(input: { mutePush: true }) { preferences { mutePush } }
      second: updateNotificationPreferences(input: { mutePush: false, muteEmail: true }) {
        preferences { mutePush muteEmail quietReminders }
      }
    }"""

    answer = await api.ask(api.cast.bob, document)

    assert not answer.errors
    assert await preferences_of(api, "bob") == ALL_ON | {"muteEmail": True}


async def test_two_requests_at_once_never_turn_both_channels_off(api: Api) -> None:
    for _ in range(5):
        answers = await asyncio.gather(
            set_preferences(api, api.cast.bob, mutePush=True),
            set_preferences(api, api.cast.bob, muteEmail=True),
        )

        (refused,) = [answer for answer in answers if answer.errors]
        assert refused.refusal() == ("BAD_USER_INPUT", ONE_CHANNEL)
        stored = await preferences_of(api, "bob")
        assert stored["mutePush"] != stored["muteEmail"]
        assert not (await set_preferences(api, api.cast.bob, mutePush=False, muteEmail=False)).errors


async def test_who_mutes_pushes_gets_the_mail_at_once(api: Api) -> None:
    cast = api.cast
    await set_preferences(api, cast.bob, mutePush=True)
    await open_dashboard(cast.database, cast.bob)

    handoff_id = await escalate(api)

    assert await told_to_bob(api, handoff_id) == [
        (0, "EMAIL", "PENDING", None),
        (0, "PUSH", "SKIPPED", "OPTED_OUT"),
    ]
    mail = (await mails_of(cast.database, cast.account_id, handoff_id))[cast.bob.id]
    assert mail.due_at == mail.created_at


@pytest.mark.parametrize("is_online", [True, False], ids=["online", "offline"])
async def test_who_mutes_mails_gets_none(api: Api, smtp: SmtpServer, is_online: bool) -> None:
    cast = api.cast
    await set_preferences(api, cast.bob, muteEmail=True)
    if is_online:
        await open_dashboard(cast.database, cast.bob)

    handoff_id = await escalate(api)

    push = [(0, "PUSH", "PENDING", None)] if is_online else []
    email = (0, "EMAIL", "PENDING", None) if is_online else (0, "EMAIL", "SKIPPED", "OPTED_OUT")
    assert await told_to_bob(api, handoff_id) == [email, *push]
    await make_due(cast.database, cast.account_id)
    await make_outbox(cast.database, smtp).send_batch()
    assert (cast.bob.email,) not in [mail.recipients for mail in smtp.mails]
    unconfirmed = [(0, "PUSH", "FAILED", None)] if is_online else []
    assert await told_to_bob(api, handoff_id) == [(0, "EMAIL", "SKIPPED", "OPTED_OUT"), *unconfirmed]


async def test_who_mutes_mails_still_learns_that_nobody_could_be_told(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await set_preferences(api, cast.alice, muteEmail=True)
    for user in (cast.bob, cast.olivia, cast.adam):
        smtp.refuse(user.email, 550, "no such user")
    handoff_id = await escalate(api)
    outbox = make_outbox(cast.database, smtp)

    assert [await outbox.send_batch(), await outbox.send_batch()] == [3, 1]

    (mail,) = smtp.mails
    assert mail.recipients == (cast.alice.email,)
    assert mail.message["Subject"] == "Nobody could be told: VPN drops every hour"
    assert (0, "Alice", "EMAIL", "SENT", None) in await api.deliveries(handoff_id)


async def test_who_mutes_mails_is_not_mailed_who_claimed(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await set_preferences(api, cast.alice, muteEmail=True)
    handoff_id = await escalate(api)

    await api.claim(cast.bob, handoff_id)
    await make_outbox(cast.database, smtp).send_batch()

    assert smtp.mails == []
    assert (0, "Alice", "EMAIL", "SKIPPED", "OPTED_OUT") in await api.deliveries(handoff_id)


@pytest.mark.parametrize("is_online", [True, False], ids=["online", "offline"])
async def test_quiet_reminders_are_pushed_only(api: Api, is_online: bool) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"])
    await set_preferences(api, cast.bob, quietReminders=True)
    handoff_id = await escalate(api)
    if is_online:
        await open_dashboard(cast.database, cast.bob)

    await remind(api)

    push = [(1, "PUSH", "PENDING", None)] if is_online else []
    assert await told_to_bob(api, handoff_id) == [
        (0, "EMAIL", "PENDING", None),
        (1, "EMAIL", "SKIPPED", "OPTED_OUT"),
        *push,
    ]


async def test_muting_mails_counts_for_those_not_sent_yet(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    await set_preferences(api, cast.bob, muteEmail=True)

    await make_outbox(cast.database, smtp).send_batch()

    assert await told_to_bob(api, handoff_id) == [(0, "EMAIL", "SKIPPED", "OPTED_OUT")]
    assert {mail.recipients[0] for mail in smtp.mails} == {cast.olivia.email, cast.adam.email}


async def test_quieting_reminders_counts_for_those_not_sent_yet(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await escalate(api)
    outbox = make_outbox(cast.database, smtp)
    await outbox.send_batch()
    await remind(api)
    await set_preferences(api, cast.bob, quietReminders=True)

    await outbox.send_batch()

    assert await told_to_bob(api, handoff_id) == [
        (0, "EMAIL", "SENT", None),
        (1, "EMAIL", "SKIPPED", "OPTED_OUT"),
    ]
    assert [mail.recipients for mail in smtp.mails].count((cast.bob.email,)) == 1


async def test_quiet_reminders_do_not_keep_an_escalation_away(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await set_preferences(api, cast.bob, quietReminders=True)
    handoff_id = await escalate(api)

    await make_outbox(cast.database, smtp).send_batch()

    assert await told_to_bob(api, handoff_id) == [(0, "EMAIL", "SENT", None)]


async def test_turning_mails_on_again_brings_back_none_that_was_skipped(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await set_preferences(api, cast.bob, muteEmail=True)
    handoff_id = await escalate(api)
    await set_preferences(api, cast.bob, muteEmail=False)

    await make_outbox(cast.database, smtp).send_batch()

    assert await told_to_bob(api, handoff_id) == [(0, "EMAIL", "SKIPPED", "OPTED_OUT")]
    assert {mail.recipients[0] for mail in smtp.mails} == {cast.olivia.email, cast.adam.email}
