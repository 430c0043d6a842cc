"""Mails are begun and recorded together, and one mail's failure touches no other's."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from db.enums import DeliveryKind, DeliveryStatus, Role
from db.session import Database
from notify.mail_ledger import OUR_FAULT
from notify.mail_shift import BATCH
from notify.policy import FEWEST_ATTEMPTS, GIVE_UP_AFTER
from resolvers import admin
from schema.context import utc_now
from tests.client import Api
from tests.mailing import change_handoffs, mails_of, make_due, make_outbox
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


#: What no mail can be written of: the one is noticed when it is read, the other when it is written.
UNREADABLE: dict[str, Any] = {}
UNWRITABLE: dict[str, Any] = {"branch_map": [], "active_branch_id": None}


@pytest.mark.parametrize("snapshot", [UNREADABLE, UNWRITABLE])
async def test_a_mail_that_fails_for_a_reason_of_ours_is_tried_later_and_others_go(
    api: Api, smtp: SmtpServer, snapshot: dict[str, Any]
) -> None:
    cast = api.cast
    broken = await escalate_broken(api, snapshot)
    sound = await api.escalate(cast.alice, (await cast.start_session()).id)
    outbox, began_at = make_outbox(cast.database, smtp), utc_now()

    assert [await outbox.send_batch(), await outbox.send_batch()] == [6, 0]

    stored = await mails_of(cast.database, cast.account_id, broken)
    for row in stored.values():
        assert (row.status, row.error) == (DeliveryStatus.PENDING, OUR_FAULT)
        assert row.due_at > began_at + timedelta(seconds=2)
        assert await attempts_at(cast.database, row.id) == [(1, True, None)]
    others = await mails_of(cast.database, cast.account_id, sound)
    assert [row.status for row in others.values()] == [DeliveryStatus.SENT] * 3
    assert await leased(cast.database) == 0


@pytest.mark.parametrize("snapshot", [UNREADABLE, UNWRITABLE])
async def test_a_mail_that_fails_for_a_reason_of_ours_is_given_up_at_last_and_the_escalator_told(
    api: Api, smtp: SmtpServer, snapshot: dict[str, Any]
) -> None:
    cast = api.cast
    broken = await escalate_broken(api, snapshot)
    long_ago = utc_now() - GIVE_UP_AFTER
    await make_due(cast.database, cast.account_id, created_at=long_ago, attempts=FEWEST_ATTEMPTS - 1)

    await make_outbox(cast.database, smtp).send_batch()

    stored = await mails_of(cast.database, cast.account_id, broken)
    assert {(row.status, row.error) for row in stored.values()} == {(DeliveryStatus.FAILED, OUR_FAULT)}
    told = await mails_of(cast.database, cast.account_id, broken, DeliveryKind.UNREACHED)
    assert list(told) == [cast.alice.id]


async def escalate_broken(api: Api, snapshot: dict[str, Any]) -> str:
    """Escalate, and let what is stored of it be such that no mail about it can be written."""
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    await change_handoffs(cast.database, cast.account_id, snapshot=snapshot)
    return handoff_id


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
