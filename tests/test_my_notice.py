"""Each person may ask of a handoff whether they were told, and why or why not."""

import re
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from db.enums import DeliveryStatus, SkipReason
from db.models import deliveries
from db.users import UserRow
from tests.client import Api
from tests.mailing import ACKNOWLEDGE, make_outbox, open_dashboard, remind, set_policy
from tests.servers.smtp import SmtpServer

NOTICE = """query ($id: ID!) { handoff(id: $id) {
  myNotice { told reason deliveries { round channel status reason recipient { name } } }
} }"""
SKIPPED = {
    SkipReason.PUSH_DELIVERED: "your dashboard confirmed it, so no mail was needed",
    SkipReason.CLAIMED: "somebody claimed it before it was sent",
    SkipReason.RELEASED: "it came back to the queue before it was sent",
    SkipReason.CLOSED: "it was closed before it was sent",
    SkipReason.RECIPIENT_INACTIVE: "you were deactivated",
    SkipReason.ROLE_CHANGED: "you were no responder any more",
    SkipReason.OPTED_OUT: "you turned it off in your preferences",
    SkipReason.SUPERSEDED: "a later round told it again",
}


async def escalate(api: Api) -> str:
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id)


async def notice_of(api: Api, viewer: UserRow, handoff_id: str) -> Any:  # noqa: ANN401
    return (await api.ask(viewer, NOTICE, id=handoff_id)).only()["myNotice"]


def sent(round_: int, status: str, reason: str | None = None, *, channel: str = "EMAIL") -> dict[str, Any]:
    """Return a delivery of Bob's, as the API shows it."""
    shown = {"round": round_, "channel": channel, "status": status, "reason": reason}
    return shown | {"recipient": {"name": "Bob"}}


async def test_a_mail_that_is_due_says_when(api: Api) -> None:
    handoff_id = await escalate(api)

    notice = await notice_of(api, api.cast.bob, handoff_id)

    assert (notice["told"], notice["deliveries"]) == (False, [sent(0, "PENDING")])
    assert re.fullmatch(r"EMAIL \(round 0\): due \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.", notice["reason"])


async def test_a_mail_that_was_sent_told_them(api: Api, smtp: SmtpServer) -> None:
    handoff_id = await escalate(api)
    await make_outbox(api.cast.database, smtp).send_batch()

    assert await notice_of(api, api.cast.bob, handoff_id) == {
        "told": True,
        "reason": "EMAIL (round 0): sent.",
        "deliveries": [sent(0, "SENT")],
    }


async def test_a_mail_that_was_refused_says_what_the_server_said(api: Api, smtp: SmtpServer) -> None:
    smtp.refuse(api.cast.bob.email, 550, "no such user")
    handoff_id = await escalate(api)
    await make_outbox(api.cast.database, smtp).send_batch()

    notice = await notice_of(api, api.cast.bob, handoff_id)

    assert (notice["told"], notice["deliveries"]) == (False, [sent(0, "FAILED")])
    assert notice["reason"].startswith("EMAIL (round 0): failed, ")
    assert "no such user" in notice["reason"]


async def test_each_channel_and_round_is_explained_oldest_first(api: Api) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"])
    await open_dashboard(cast.database, cast.bob)
    handoff_id = await escalate(api)
    assert not (await api.ask(cast.bob, ACKNOWLEDGE, id=handoff_id)).errors
    await cast.change(cast.bob, quiet_reminders=True)
    await remind(api)

    notice = await notice_of(api, cast.bob, handoff_id)

    assert notice["told"] is True
    assert notice["deliveries"] == [
        sent(0, "DELIVERED", channel="PUSH"),
        sent(0, "SKIPPED", "PUSH_DELIVERED"),
        sent(1, "PENDING", channel="PUSH"),
        sent(1, "SKIPPED", "OPTED_OUT"),
    ]
    assert re.fullmatch(
        r"PUSH \(round 0\): delivered\. "
        r"EMAIL \(round 0\): skipped, your dashboard confirmed it, so no mail was needed\. "
        r"PUSH \(round 1\): due [-: 0-9]+ UTC\. "
        r"EMAIL \(round 1\): skipped, you turned it off in your preferences\.",
        notice["reason"],
    )


@pytest.mark.parametrize("reason", SkipReason)
async def test_what_was_skipped_says_why(api: Api, reason: SkipReason) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    async with cast.database.transaction(cast.account_id) as tx:
        bobs = (deliveries.c.handoff_id == UUID(handoff_id), deliveries.c.recipient_id == cast.bob.id)
        skipped = {"status": DeliveryStatus.SKIPPED, "reason": reason}
        await tx.execute(update(deliveries).where(*bobs).values(skipped))

    assert await notice_of(api, cast.bob, handoff_id) == {
        "told": False,
        "reason": f"EMAIL (round 0): skipped, {SKIPPED[reason]}.",
        "deliveries": [sent(0, "SKIPPED", reason.value)],
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("alice", "You passed it on yourself."),
        ("vera", "You are a viewer, and viewers are not told."),
        ("ina", "You were no responder of the account when it was told."),
    ],
)
async def test_whoever_was_sent_nothing_learns_why(api: Api, name: str, reason: str) -> None:
    handoff_id = await escalate(api)
    user = await api.cast.change(getattr(api.cast, name), active=True)

    notice = await notice_of(api, user, handoff_id)

    assert notice == {"told": False, "reason": reason, "deliveries": []}


async def test_the_escalator_was_told_of_the_claim(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    await api.claim(cast.bob, handoff_id)
    await make_outbox(cast.database, smtp).send_batch()

    notice = await notice_of(api, cast.alice, handoff_id)

    assert notice == {
        "told": True,
        "reason": "EMAIL (round 0): sent.",
        "deliveries": [sent(0, "SENT") | {"recipient": {"name": "Alice"}}],
    }


@pytest.mark.parametrize("name", ["alice", "bob", "vera"])
async def test_of_what_was_parked_nobody_was_told(api: Api, name: str) -> None:
    cast = api.cast
    parked = (await api.create(cast.alice, (await cast.start_session()).id, "PARK"))["handoff"]["id"]

    notice = await notice_of(api, getattr(cast, name), parked)

    assert notice == {
        "told": False,
        "reason": "It was parked, and parking tells no one.",
        "deliveries": [],
    }


async def test_nobody_of_another_account_may_ask(api: Api) -> None:
    answer = await api.ask(api.cast.charlie, NOTICE, id=await escalate(api))

    assert (answer.data, answer.codes) == ({"handoff": None}, ["NOT_FOUND"])
