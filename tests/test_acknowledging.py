"""A person tells that they have seen an escalation: it is on record, and no mail follows."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from db.enums import Channel
from db.models import deliveries
from schema.context import utc_now
from tests.client import Api
from tests.mailing import ACKNOWLEDGE, make_due, make_outbox, open_dashboard, remind, set_policy
from tests.servers.smtp import SmtpServer

UNKNOWN = "01890000-0000-7000-8000-000000000000"
SEEN = ("HANDOFF_ACKNOWLEDGED", "Bob", "has seen it")
ESCALATED = ("HANDOFF_CREATED", "Alice", "escalated the session")


async def escalate(api: Api) -> str:
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id)


async def acknowledge(api: Api, handoff_id: str) -> Any:  # noqa: ANN401
    return (await api.ask(api.cast.bob, ACKNOWLEDGE, id=handoff_id)).only()


async def test_a_push_is_delivered_and_the_mail_is_not_needed(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await open_dashboard(cast.database, cast.bob)
    handoff_id = await escalate(api)
    before = utc_now()

    answer = await acknowledge(api, handoff_id)

    assert answer == {"handoff": {"id": handoff_id, "state": "OPEN"}}
    assert await api.deliveries(handoff_id) == [
        (0, "Adam", "EMAIL", "PENDING", None),
        (0, "Bob", "EMAIL", "SKIPPED", "PUSH_DELIVERED"),
        (0, "Bob", "PUSH", "DELIVERED", None),
        (0, "Olivia", "EMAIL", "PENDING", None),
    ]
    assert await api.timeline(handoff_id) == [ESCALATED, SEEN]
    times = select(deliveries.c.sent_at, deliveries.c.delivered_at, deliveries.c.attempts)
    async with cast.database.reading(cast.account_id) as tx:
        is_push = (deliveries.c.handoff_id == UUID(handoff_id), deliveries.c.channel == Channel.PUSH)
        ((sent_at, delivered_at, attempts),) = await tx.connection.execute(times.where(*is_push))
    assert before <= sent_at == delivered_at <= utc_now()
    assert attempts == 1
    await make_due(cast.database, cast.account_id)
    await make_outbox(cast.database, smtp).send_batch()
    assert {mail.recipients[0] for mail in smtp.mails} == {cast.adam.email, cast.olivia.email}


async def test_who_was_offline_needs_no_mail_either(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    handoff_id = await escalate(api)

    await acknowledge(api, handoff_id)
    await make_outbox(cast.database, smtp).send_batch()

    assert await api.deliveries(handoff_id) == [
        (0, "Adam", "EMAIL", "SENT", None),
        (0, "Bob", "EMAIL", "SKIPPED", "PUSH_DELIVERED"),
        (0, "Bob", "PUSH", "DELIVERED", None),
        (0, "Olivia", "EMAIL", "SENT", None),
    ]


async def test_a_mail_that_was_sent_stays_sent(api: Api, smtp: SmtpServer) -> None:
    handoff_id = await escalate(api)
    await make_outbox(api.cast.database, smtp).send_batch()

    await acknowledge(api, handoff_id)

    sent = [(0, name, "EMAIL", "SENT", None) for name in ("Adam", "Bob", "Olivia")]
    assert await api.deliveries(handoff_id) == sent
    assert await api.timeline(handoff_id) == [ESCALATED, SEEN]


async def test_it_is_recorded_once_a_round(api: Api) -> None:
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await escalate(api)
    for _ in range(2):
        await acknowledge(api, handoff_id)
    await remind(api)

    for _ in range(2):
        await acknowledge(api, handoff_id)

    reminded = ("ESCALATION_REMINDED", None, "reminded everyone: nobody has claimed it")
    assert await api.timeline(handoff_id) == [ESCALATED, SEEN, reminded, SEEN]
    assert [row for row in await api.deliveries(handoff_id) if row[1] == "Bob"] == [
        (0, "Bob", "EMAIL", "SKIPPED", "PUSH_DELIVERED"),
        (0, "Bob", "PUSH", "DELIVERED", None),
        (1, "Bob", "EMAIL", "SKIPPED", "PUSH_DELIVERED"),
        (1, "Bob", "PUSH", "DELIVERED", None),
    ]


async def test_ten_at_once_are_recorded_once(api: Api) -> None:
    handoff_id = await escalate(api)

    answers = await asyncio.gather(*(acknowledge(api, handoff_id) for _ in range(10)))

    assert answers == [{"handoff": {"id": handoff_id, "state": "OPEN"}}] * 10
    assert await api.timeline(handoff_id) == [ESCALATED, SEEN]


async def test_each_persons_acknowledgement_is_their_own(api: Api) -> None:
    handoff_id = await escalate(api)

    await acknowledge(api, handoff_id)
    assert not (await api.ask(api.cast.adam, ACKNOWLEDGE, id=handoff_id)).errors

    assert await api.timeline(handoff_id) == [
        ESCALATED,
        SEEN,
        ("HANDOFF_ACKNOWLEDGED", "Adam", "has seen it"),
    ]
    assert ("Olivia", "EMAIL", "PENDING") in [row[1:4] for row in await api.deliveries(handoff_id)]


@pytest.mark.parametrize("state", ["CLAIMED", "CLOSED"])
async def test_of_what_does_not_wait_any_more_nothing_is_recorded(api: Api, state: str) -> None:
    cast = api.cast
    session = await cast.start_session()
    handoff_id = await api.escalate(cast.alice, session.id)
    await api.claim(cast.olivia, handoff_id)
    if state == "CLOSED":
        await api.escalate(cast.olivia, session.id)
    before = await cast.all_rows()

    answer = await acknowledge(api, handoff_id)

    assert answer == {"handoff": {"id": handoff_id, "state": state}}
    assert await cast.all_rows() == before


async def test_what_was_parked_cannot_be_acknowledged(api: Api) -> None:
    cast = api.cast
    parked = (await api.create(cast.alice, (await cast.start_session()).id, "PARK"))["handoff"]["id"]
    before = await cast.all_rows()

    answer = await api.ask(cast.bob, ACKNOWLEDGE, id=parked)

    assert answer.data is None
    assert answer.refusal() == (
        "BAD_USER_INPUT",
        "This handoff was parked: parking tells no one, so there is nothing to acknowledge.",
    )
    assert await cast.all_rows() == before


async def test_a_viewer_is_forbidden_to_acknowledge(api: Api) -> None:
    handoff_id = await escalate(api)
    before = await api.cast.all_rows()

    answer = await api.ask(api.cast.vera, ACKNOWLEDGE, id=handoff_id)

    assert answer.data is None
    assert [error["message"] for error in answer.errors] == ["Engineer or admin access required"]
    assert answer.codes == ["FORBIDDEN"]
    assert await api.cast.all_rows() == before


@pytest.mark.parametrize("which", ["foreign", "unknown", "no id at all"])
async def test_what_is_not_of_the_account_is_not_found(api: Api, which: str) -> None:
    own = await escalate(api)
    handoff_id = {"foreign": own, "unknown": UNKNOWN}.get(which, which)
    before = await api.cast.all_rows()

    answer = await api.ask(api.cast.charlie, ACKNOWLEDGE, id=handoff_id)

    assert answer.data is None
    assert [error["message"] for error in answer.errors] == ["No handoff of your account has this id."]
    assert answer.codes == ["NOT_FOUND"]
    assert await api.cast.all_rows() == before
