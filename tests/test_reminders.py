"""An escalation that nobody claims is told again, in rounds, as the account's policy says."""

import asyncio
from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import insert

from db.enums import DeliveryKind, ReminderAudience
from db.models import account_policies
from db.session import Database
from schema.context import utc_now
from server.due_work import DueWork
from tests.client import Api
from tests.mailing import (
    change_handoffs,
    do_what_is_due,
    handoff_row,
    mails_of,
    make_outbox,
    make_reminders_due,
    open_dashboard,
    remind,
    set_policy,
    set_preferences,
)
from tests.servers.smtp import SmtpServer

COLLEAGUES = ("Adam", "Bob", "Olivia")  #: of Alice, who escalates
REMINDED = ("ESCALATION_REMINDED", None, "reminded everyone: nobody has claimed it")
ESCALATED = ("HANDOFF_CREATED", "Alice", "escalated the session")


async def escalate(api: Api) -> str:
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id)


def text_of(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return " ".join(str(body.get_content()).split())


async def test_each_reminder_is_a_round_that_supersedes_what_is_unsent(api: Api) -> None:
    await set_policy(api, reminderAfter=["PT5M", "PT15M"])
    handoff_id = await escalate(api)

    assert [await remind(api), await remind(api), await remind(api)] == [1, 1, 0]

    superseded = [
        (round_, name, "EMAIL", "SKIPPED", "SUPERSEDED") for round_ in (0, 1) for name in COLLEAGUES
    ]
    pending = [(2, name, "EMAIL", "PENDING", None) for name in COLLEAGUES]
    assert await api.deliveries(handoff_id) == superseded + pending
    assert await api.timeline(handoff_id) == [ESCALATED, REMINDED, REMINDED]


async def test_who_is_at_a_screen_is_reminded_over_both_channels(api: Api) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await escalate(api)
    await open_dashboard(cast.database, cast.bob)

    await remind(api)

    assert [row for row in await api.deliveries(handoff_id) if row[0] == 1] == [
        (1, "Adam", "EMAIL", "PENDING", None),
        (1, "Bob", "EMAIL", "PENDING", None),
        (1, "Bob", "PUSH", "PENDING", None),
        (1, "Olivia", "EMAIL", "PENDING", None),
    ]
    mails = await mails_of(cast.database, cast.account_id, handoff_id, DeliveryKind.REMINDER)
    assert mails[cast.bob.id].due_at - mails[cast.adam.id].due_at == api.node.settings.grace


async def test_only_owners_and_admins_are_reminded_where_the_policy_says_so(api: Api) -> None:
    await set_policy(api, reminderAfter=["PT5M"], remind="OWNERS_AND_ADMINS")
    handoff_id = await escalate(api)

    assert await remind(api) == 1

    # What Bob was to be sent of the escalation still goes: no later round tells him.
    assert await api.deliveries(handoff_id) == [
        (0, "Adam", "EMAIL", "SKIPPED", "SUPERSEDED"),
        (0, "Bob", "EMAIL", "PENDING", None),
        (0, "Olivia", "EMAIL", "SKIPPED", "SUPERSEDED"),
        (1, "Adam", "EMAIL", "PENDING", None),
        (1, "Olivia", "EMAIL", "PENDING", None),
    ]
    whom = "reminded owners and admins: nobody has claimed it"
    assert (await api.timeline(handoff_id))[1:] == [("ESCALATION_REMINDED", None, whom)]


async def test_an_owner_is_not_reminded_of_their_own_escalation(api: Api) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"], remind="OWNERS_AND_ADMINS")
    handoff_id = await api.escalate(cast.olivia, (await cast.start_session()).id)

    await remind(api)

    reminded = await mails_of(cast.database, cast.account_id, handoff_id, DeliveryKind.REMINDER)
    assert set(reminded) == {cast.adam.id}


async def test_the_mail_says_which_reminder_it_is_and_how_to_stop_them(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M", "PT15M"])
    await escalate(api)
    outbox = make_outbox(cast.database, smtp)
    await outbox.send_batch()
    await remind(api)
    await outbox.send_batch()
    await remind(api)

    await outbox.send_batch()

    first, second, third = [mail.message for mail in smtp.mails if mail.recipients == (cast.bob.email,)]
    assert first["List-Unsubscribe"] is None
    for number, message in ((1, second), (2, third)):
        assert message["Subject"] == f"Reminder {number}: VPN drops every hour"
        assert message["List-Unsubscribe"] == f"<https://x.example/quiet/{cast.bob.id}>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert message["References"] == first["References"]
        for kind in ("plain", "html"):
            assert "Nobody has picked this up yet. Alice needs somebody to take over." in text_of(
                message, kind
            )
            assert "because you are a responder of Northwind and nobody has claimed it yet" in text_of(
                message, kind
            )
    assert len({message["Message-ID"] for message in (first, second, third)}) == 3


async def test_two_workers_at_once_remind_once(api: Api, database_url: str) -> None:
    await set_policy(api, reminderAfter=["PT5M", "PT15M"])
    handoff_id = await escalate(api)
    await make_reminders_due(api)
    other, grace = Database(database_url), api.node.settings.grace

    touched = await asyncio.gather(
        *(DueWork(database, grace).do() for database in (api.cast.database, other) * 3)
    )

    await other.dispose()
    assert sum(touched) == 1
    assert await api.timeline(handoff_id) == [ESCALATED, REMINDED]
    assert [row for row in await api.deliveries(handoff_id) if row[0] > 0] == [
        (1, name, "EMAIL", "PENDING", None) for name in COLLEAGUES
    ]


async def test_a_release_begins_the_reminders_anew(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await escalate(api)
    await remind(api)
    await api.claim(cast.bob, handoff_id)
    await api.release(cast.bob, handoff_id)

    assert [await remind(api), await remind(api)] == [1, 0]

    kinds = [kind for kind, *_ in await api.timeline(handoff_id)]
    assert kinds[-2:] == ["HANDOFF_RELEASED", "ESCALATION_REMINDED"]
    await make_outbox(cast.database, smtp).send_batch()
    reminder, again = "Reminder 1: VPN drops every hour", "Escalation again: VPN drops every hour"
    assert {mail.recipients[0]: mail.message["Subject"] for mail in smtp.mails} == {
        cast.bob.email: reminder,
        cast.olivia.email: reminder,
        cast.adam.email: reminder,
        cast.alice.email: again,  # who is told of the release, and never reminded
    }


async def test_a_quiet_reminder_does_not_take_an_unsent_escalation_away(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await set_preferences(api, cast.bob, quietReminders=True)
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await escalate(api)

    await remind(api)
    await make_outbox(cast.database, smtp).send_batch()

    assert [row for row in await api.deliveries(handoff_id) if row[1] == "Bob"] == [
        (0, "Bob", "EMAIL", "SENT", None),
        (1, "Bob", "EMAIL", "SKIPPED", "OPTED_OUT"),
    ]
    told = [mail.message["Subject"] for mail in smtp.mails if mail.recipients == (cast.bob.email,)]
    assert told == ["Escalation: VPN drops every hour"]


async def test_an_account_that_cannot_be_reminded_holds_up_no_other(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    cast = api.cast
    long_due = utc_now() - timedelta(hours=1)
    await api.escalate(cast.charlie, (await cast.start_session(owner=cast.charlie)).id)
    await change_handoffs(cast.database, cast.other_account_id, next_reminder_at=long_due)
    async with cast.database.transaction(cast.other_account_id) as tx:
        broken = {"reminder_after": ["soon"], "remind": ReminderAudience.EVERYONE}
        await tx.execute(insert(account_policies).values(account_id=tx.account_id, **broken))
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await escalate(api)

    assert await remind(api) == 1

    assert await api.timeline(handoff_id) == [ESCALATED, REMINDED]
    assert "due handoff not worked off" in caplog.messages


async def test_what_became_due_meanwhile_is_told_once(api: Api) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M", "PT15M", "PT12H"])
    handoff_id = await escalate(api)
    an_hour_ago = utc_now() - timedelta(hours=1)
    due_since = an_hour_ago + timedelta(minutes=5)
    await change_handoffs(cast.database, cast.account_id, opened_at=an_hour_ago, next_reminder_at=due_since)

    assert [await do_what_is_due(api), await do_what_is_due(api)] == [1, 0]

    assert (await handoff_row(api, handoff_id)).next_reminder_at == an_hour_ago + timedelta(hours=12)
