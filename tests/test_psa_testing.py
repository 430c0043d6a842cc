"""No note goes over a connection before it has passed a test; a ticket's fault is that of its note alone."""

from datetime import timedelta

import pytest

from db.enums import DeliveryStatus, PsaStatus
from db.psa_notes import UNTESTED
from notify.psa.outbox import GIVE_UP_AFTER
from schema.context import utc_now
from tests.cast import Cast
from tests.mailing import change_deliveries
from tests.psa import ROTATE, Desk, connected, credentials_of, halo_desk, halo_psa
from tests.servers.psa import PsaServer, answered

server = pytest.fixture(halo_psa)
desk = pytest.fixture(halo_desk)


@pytest.mark.parametrize("automatic", [False, True])
async def test_nothing_goes_over_a_connection_before_it_has_passed_a_test(
    server: PsaServer, database_url: str, cast: Cast, automatic: bool
) -> None:
    async with connected(
        "haloPsa", server, database_url, cast, automatic=automatic, has_passed=False
    ) as desk:
        handoff_id = await desk.escalate()
        asked = (await desk.push(handoff_id))["delivery"]
        await desk.make_due()
        too_early = await desk.outbox.send_due()
        asked_before = list(server.asked)
        # As if it had waited for longer than a note is tried for.
        waited = utc_now() - GIVE_UP_AFTER - timedelta(hours=1)
        await change_deliveries(cast.database, cast.account_id, first_due_at=waited)

        server.misbehave(answered("POST", "/auth/token", 400, {"error": "invalid_client"}))
        await desk.test_connection()
        still_too_early = await desk.outbox.send_due()
        await desk.test_connection()
        tested = await desk.note(handoff_id)
        sent = await desk.outbox.send_due()

        assert (too_early, still_too_early, sent, asked_before) == (0, 0, 1, [])
        assert (asked["status"], asked["error"], asked["attempts"]) == ("PENDING", UNTESTED, 0)
        assert (tested.status, tested.error) == (DeliveryStatus.PENDING, None)
        assert (await desk.note(handoff_id)).status == DeliveryStatus.SENT


async def test_a_connection_that_passed_once_is_used_with_other_credentials(
    desk: Desk, server: PsaServer
) -> None:
    handoff_id = await desk.pushed()
    wanted = {"connectionId": desk.connection_id, "haloPsa": credentials_of("haloPsa")}
    rotated = (await desk.api.ask(desk.api.cast.adam, ROTATE, input=wanted)).only()["psaConnection"]

    await desk.outbox.send_due()

    assert rotated["status"] == "UNTESTED"
    assert (await desk.note(handoff_id)).status == DeliveryStatus.SENT


@pytest.mark.parametrize("ticket", ["not a number", "4711"])
async def test_a_ticket_that_cannot_be_is_the_fault_of_its_note_alone(
    desk: Desk, server: PsaServer, ticket: str
) -> None:
    await desk.test_connection()
    wrong, right = await desk.pushed(ticket), await desk.pushed()

    await desk.outbox.send_due()

    connection = await desk.connection()
    assert (await desk.note(wrong)).status == DeliveryStatus.FAILED
    assert (await desk.note(right)).status == DeliveryStatus.SENT
    again = await desk.pushed(ticket)
    await desk.outbox.send_due()
    assert (await desk.note(again)).status == DeliveryStatus.FAILED
    assert (connection.status, connection.last_error) == (PsaStatus.WORKING, None)
    assert await desk.connection() == connection
