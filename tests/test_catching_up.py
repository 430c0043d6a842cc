"""Who was offline and is pushed what they missed: the ledger has that push, once, and says so."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from db import pushes
from db.enums import Channel
from db.models import deliveries
from db.pushes import Push
from db.users import UserRow
from schema.context import utc_now
from tests.client import Api
from tests.live import Live
from tests.mailing import make_due, make_outbox, open_dashboard, remind, set_policy, set_preferences
from tests.servers.smtp import SmtpServer, Trouble
from tests.sockets import ESCALATIONS, eventually

TOLD = """query ($id: ID!) { handoff(id: $id) {
  myNotice { told reason deliveries { channel status reason } }
} }"""
CHANNELS = """query ($from: DateTime!, $to: DateTime!) {
  escalationStats(from: $from, to: $to) { channels { channel sent delivered skipped medianSeconds } }
}"""
SPARED = ("EMAIL", "SKIPPED", "PUSH_DELIVERED")
DELIVERED = ("PUSH", "DELIVERED", None)


async def test_a_push_that_was_missed_and_replayed_is_in_the_ledger(live: Live) -> None:
    cast, before = live.cast, utc_now()
    cursor = await live.cursor()
    handoff_id = await live.escalate_new()
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=cursor)
        assert (await pushed.next_event())["handoff"]["id"] == handoff_id

        await eventually(lambda: is_told(live, cast.bob, handoff_id))

    mail, push = await rows_of(live, cast.bob, handoff_id)
    assert [shown(row) for row in (mail, push)] == [SPARED, DELIVERED]
    assert (push.kind, push.round, push.attempts, push.error) == (mail.kind, mail.round, 1, None)
    assert before <= mail.created_at == push.first_due_at <= push.sent_at == push.delivered_at <= utc_now()
    assert (push.created_at, push.due_at) == (push.sent_at, push.first_due_at)
    assert (await live.ask(cast.bob, TOLD, id=handoff_id)).only()["myNotice"] == {
        "told": True,
        "reason": "EMAIL (round 0): skipped, your dashboard confirmed it, so no mail was needed. "
        "PUSH (round 0): delivered.",
        "deliveries": [
            {"channel": "EMAIL", "status": "SKIPPED", "reason": "PUSH_DELIVERED"},
            {"channel": "PUSH", "status": "DELIVERED", "reason": None},
        ],
    }
    assert (await channel_figures(live, before))["PUSH"] == {
        "sent": 0,
        "delivered": 1,
        "skipped": 0,
        "medianSeconds": (push.delivered_at - mail.created_at).total_seconds(),
    }


async def test_of_ten_that_confirm_at_once_one_stores_the_push(api: Api) -> None:
    cast = api.cast
    handoff_ids = [await escalate(api) for _ in range(3)]
    missed = [Push(UUID(id_), user.id, 0) for id_ in handoff_ids for user in (cast.bob, cast.adam)]

    await asyncio.gather(
        *(confirm(api, missed) for _ in range(5)), *(confirm(api, missed[::-1]) for _ in range(5))
    )

    for handoff_id in handoff_ids:
        assert await api.deliveries(handoff_id) == [
            (0, "Adam", *SPARED),
            (0, "Adam", *DELIVERED),
            (0, "Bob", *SPARED),
            (0, "Bob", *DELIVERED),
            (0, "Olivia", "EMAIL", "PENDING", None),
        ]


async def test_of_those_confirmed_together_only_the_push_that_was_missed_is_added(api: Api) -> None:
    cast = api.cast
    missed = await escalate(api)
    await open_dashboard(cast.database, cast.bob)
    seen = await escalate(api)
    before = [row.id for row in await rows_of(api, cast.bob, seen)]

    await confirm(api, [Push(UUID(handoff_id), cast.bob.id, 0) for handoff_id in (missed, seen)])

    assert [shown(row) for row in await rows_of(api, cast.bob, missed)] == [SPARED, DELIVERED]
    rows = await rows_of(api, cast.bob, seen)
    assert ([row.id for row in rows], {shown(row) for row in rows}) == (before, {SPARED, DELIVERED})


async def test_the_push_tells_what_the_mail_would_have_told(api: Api) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await escalate(api)
    await remind(api)

    await confirm(api, [Push(UUID(handoff_id), cast.bob.id, 1)])

    rows = [(row.round, row.kind, *shown(row)) for row in await rows_of(api, cast.bob, handoff_id)]
    assert rows == [
        (0, "ESCALATION", "EMAIL", "SKIPPED", "SUPERSEDED"),
        (1, "REMINDER", *SPARED),
        (1, "REMINDER", *DELIVERED),
    ]


async def test_a_push_that_was_turned_off_stays_turned_off(api: Api) -> None:
    cast = api.cast
    await open_dashboard(cast.database, cast.bob)
    await set_preferences(api, cast.bob, mutePush=True)
    handoff_id = await escalate(api)

    await confirm(api, [Push(UUID(handoff_id), cast.bob.id, 0)])

    rows = await rows_of(api, cast.bob, handoff_id)
    assert {shown(row) for row in rows} == {SPARED, ("PUSH", "SKIPPED", "OPTED_OUT")}


async def test_who_has_turned_mails_off_and_sees_what_they_missed_was_told(live: Live) -> None:
    cast = live.cast
    for user in (cast.bob, cast.olivia, cast.adam):
        await set_preferences(live, user, muteEmail=True)
    cursor, before = await live.cursor(), utc_now()
    handoff_id = await live.escalate_new()
    assert await unreached(live, before) == 1
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=cursor)
        assert (await pushed.next_event())["handoff"]["id"] == handoff_id

        await eventually(lambda: has_push(live, cast.bob, handoff_id))

    mail, push = await rows_of(live, cast.bob, handoff_id)
    assert [shown(row) for row in (mail, push)] == [("EMAIL", "SKIPPED", "OPTED_OUT"), DELIVERED]
    assert push.first_due_at == push.due_at == push.sent_at == push.delivered_at
    assert (await live.ask(cast.bob, TOLD, id=handoff_id)).only()["myNotice"]["told"]
    assert await unreached(live, before) == 0


async def test_a_receipt_while_the_mail_is_handed_in_ends_its_tries(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    smtp.misbehave(Trouble.HANG_AT_DATA)
    handoff_id = await escalate(api)
    outbox = make_outbox(cast.database, smtp, mailers=3)
    sending = asyncio.create_task(outbox.send_batch())
    await smtp.trouble_met(3)

    await confirm(api, [Push(UUID(handoff_id), cast.bob.id, 0)])
    smtp.stop()
    await sending
    smtp.behave()
    smtp.start()
    await make_due(cast.database, cast.account_id)
    await outbox.send_batch()

    mail, push = await rows_of(api, cast.bob, handoff_id)
    assert [shown(row) for row in (mail, push)] == [SPARED, DELIVERED]
    assert mail.attempts == 1


async def test_a_push_that_is_seen_where_the_mail_was_refused_is_in_the_ledger(
    api: Api, smtp: SmtpServer
) -> None:
    cast = api.cast
    smtp.refuse(cast.bob.email, 550, "no such user")
    handoff_id = await escalate(api)
    await make_outbox(cast.database, smtp).send_batch()

    await confirm(api, [Push(UUID(handoff_id), cast.bob.id, 0)])

    mail, push = await rows_of(api, cast.bob, handoff_id)
    assert [shown(row) for row in (mail, push)] == [("EMAIL", "FAILED", None), DELIVERED]
    # It was late for nobody: it was due when Bob came.
    assert push.first_due_at == push.sent_at


async def test_a_receipt_after_the_mail_was_sent_adds_no_push(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    await make_outbox(cast.database, smtp).send_batch()
    before = await cast.all_rows()

    await confirm(api, [Push(UUID(handoff_id), cast.bob.id, 0)])

    assert await cast.all_rows() == before


async def test_a_receipt_of_what_somebody_was_not_to_be_told_adds_no_push(api: Api) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    before = await cast.all_rows()

    await confirm(api, [Push(UUID(handoff_id), user.id, 0) for user in (cast.alice, cast.vera)])
    await confirm(api, [Push(UUID(handoff_id), cast.bob.id, 1)])

    assert await cast.all_rows() == before


async def escalate(api: Api) -> str:
    """Let Alice escalate a new session."""
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id)


async def confirm(api: Api, missed: list[Push]) -> None:
    """Record receipts, as a node does."""
    async with api.cast.database.transaction(api.cast.account_id) as tx:
        await pushes.lock(tx, missed)
        await pushes.confirm(tx, missed, at=utc_now())


async def has_push(api: Api, user: UserRow, handoff_id: str) -> bool:
    """Tell whether a push to a person is in the ledger."""
    return any(row.channel == Channel.PUSH for row in await rows_of(api, user, handoff_id))


async def unreached(api: Api, since: datetime) -> int:
    """Return how many escalations since then are open, and nobody knows of them."""
    audit = "query ($since: DateTime!) { deliveryAudit(since: $since) { unreached } }"
    return int((await api.ask(api.cast.adam, audit, since=since.isoformat())).only()["unreached"])


async def is_told(api: Api, user: UserRow, handoff_id: str) -> bool:
    """Tell whether what a person is told has been settled."""
    return all(row.status != "PENDING" for row in await rows_of(api, user, handoff_id))


async def rows_of(api: Api, user: UserRow, handoff_id: str) -> list[Row[Any]]:
    """Return what a person is told of a handoff as it is stored, in the order in which it was."""
    mine = (deliveries.c.handoff_id == UUID(handoff_id), deliveries.c.recipient_id == user.id)
    async with api.cast.database.reading(api.cast.account_id) as tx:
        found = await tx.connection.execute(select(deliveries).where(*mine).order_by(deliveries.c.created_at))
        return list(found.all())


def shown(row: Row[Any]) -> tuple[Channel, str, str | None]:
    """Return where a delivery stands."""
    return row.channel, row.status, row.reason


async def channel_figures(api: Api, since: datetime) -> dict[str, Any]:
    """Return what the statistics say of the escalations since then, by channel."""
    until = utc_now() + timedelta(seconds=1)
    asked = await api.ask(api.cast.vera, CHANNELS, **{"from": since.isoformat(), "to": until.isoformat()})
    return {figures.pop("channel"): figures for figures in asked.only()["channels"]}
