"""A handoff's note is put into its ticket once, whatever happens on the way, and the ledger tells."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from db.enums import DeliveryStatus, EventKind, PsaStatus
from db.models import deliveries, psa_connections
from notify.psa.outbox import GIVE_UP_AFTER
from schema.context import utc_now
from tests.assessing import SAID, Told, assess
from tests.cast import Cast
from tests.client import Api
from tests.mailing import make_outbox
from tests.psa import PSAS, Desk, connected, halo_desk, halo_psa, make_notes_worker, marker, running_psa
from tests.servers.psa import PsaServer, Trouble, answered, dropped, hanging, said
from tests.servers.smtp import SmtpServer
from tests.workers import attempts_at

ADD = {"connectWise": "/notes", "autotask": "/Notes", "haloPsa": "/api/actions"}
TEXT = {"connectWise": "text", "autotask": "description", "haloPsa": "note"}


server = pytest.fixture(halo_psa)
desk = pytest.fixture(halo_desk)


@pytest.mark.parametrize("psa", PSAS)
async def test_a_note_that_was_asked_for_is_put_into_the_ticket(
    psa: str, tmp_path: Path, database_url: str, cast: Cast
) -> None:
    with running_psa(psa, tmp_path / "psa") as server:
        async with connected(psa, server, database_url, cast) as desk:
            handoff_id = await desk.escalate(notes="The modem was replaced.", priority="HIGH")
            asked = await desk.push(handoff_id)
            sent = await desk.outbox.send_due()
            again = await desk.push(handoff_id)
            connection = await desk.connection()
            timeline = await desk.api.timeline(handoff_id)

    assert sent == 1
    (note,) = server.notes
    text = note[TEXT[psa]]
    assert "VPN drops every hour" in text
    assert "The modem was replaced." in text
    assert text.endswith(marker(handoff_id))
    pending = {"channel": "PSA_NOTE", "kind": "PSA_NOTE", "round": 0, "recipient": None, "reason": None}
    assert asked == {
        "__typename": "PushHandoffToPsaSuccess",
        "delivery": {
            **pending,
            "id": asked["delivery"]["id"],
            "status": "PENDING",
            "error": None,
            "attempts": 0,
            "handoff": {"id": handoff_id, "psaNotePushed": False, "psaNoteId": None},
        },
    }
    assert again["delivery"] == asked["delivery"] | {
        "status": "SENT",
        "attempts": 1,
        "handoff": {"id": handoff_id, "psaNotePushed": True, "psaNoteId": str(note["id"])},
    }
    assert (connection.status, connection.last_error) == (PsaStatus.WORKING, None)
    assert timeline[-2:] == [
        ("PSA_NOTE_REQUESTED", "Bob", "asked for a note in ticket 42"),
        ("PSA_NOTE_PUSHED", None, "put a note into ticket 42 of Tickets"),
    ]


async def test_a_note_says_what_the_session_knows(desk: Desk, server: PsaServer) -> None:
    api, session_id = desk.api, await desk.start_session()
    await api.change(api.cast.alice, "updateSession", sessionId=session_id, stepCount=4, confidenceTier="LOW")
    for label, status, reason in (("DNS", "ruled_out", "It resolves."), ("Modem", "open", None)):
        branch = {"label": label, "status": status, "statusReason": reason}
        await api.change(api.cast.alice, "addSessionBranch", sessionId=session_id, **branch)
    handoff_id = await api.escalate(api.cast.alice, session_id, notes="Ask Ms. Berg.\n[handoff:x#0]")
    at = (await api.handoff(handoff_id))["createdAt"]
    await desk.push(handoff_id)

    await desk.outbox.send_due()

    assert server.notes[0]["note"].replace("&gt;", ">") == (
        f"Handoff: escalated by Alice, {at[:10]} {at[11:16]} UTC. Priority NORMAL.\n\n"
        "Problem: VPN drops every hour\n"
        "Steps taken: 4. Confidence in the diagnosis: LOW.\n\n"
        "Notes of the engineer:\nAsk Ms. Berg.\n(handoff:x#0]\n\n"
        "Lines of investigation:\n- DNS (ruled_out, being worked on): It resolves.\n- Modem (open)\n\n"
        f"https://x.example/handoffs/{handoff_id}\n{marker(handoff_id)}"
    )


async def test_an_automatic_note_waits_a_little_and_tells_the_assessment(
    server: PsaServer, database_url: str, cast: Cast
) -> None:
    settings: dict[str, Any] = {"assessor": "rules", "assessment_wait": 60}
    async with connected("haloPsa", server, database_url, cast, automatic=True, **settings) as desk:
        session_id = await desk.start_session()
        said = {"messages": [{"role": "USER", "content": SAID}], "sessionId": session_id}
        (await desk.api.change(cast.alice, "appendSessionMessages", **said)).only()
        await desk.api.escalate(cast.alice, session_id)
        waiting = await desk.outbox.send_due()
        await assess(desk.api, Told())
        await desk.make_due()

        await desk.outbox.send_due()

    assert waiting == 0
    (note,) = server.notes
    assert (
        "Assessment (made by told/1, not by a person, confidence MEDIUM):\n"
        "Likely cause: The old password is cached.\n"
        "Already tried:\n- Rebuilt the profile: no change\n"
        "To do next:\n- Clear the Credential Manager\n"
    ) in note["note"]


async def test_what_people_wrote_is_redacted_and_the_marker_is_not(desk: Desk, server: PsaServer) -> None:
    handoff_id = await desk.pushed(notes="Password: hunter2 " + "x" * 19_000)
    worker = make_notes_worker(desk.api, redact=lambda text: text.replace("hunter2", "[redacted]") * 2)

    await worker.send_due()

    text = server.notes[0]["note"]
    assert "hunter2" not in text
    assert len(text) == 30_000
    assert text.endswith(f"…\n\nhttps://x.example/handoffs/{handoff_id}\n{marker(handoff_id)}")


@pytest.mark.parametrize(
    "trouble",
    [
        dropped("POST", "/api/actions", carry_out=True),
        answered("POST", "/api/actions", 502, carry_out=True),
        said("POST", "/api/actions", b"<html>", carry_out=True),
        said("POST", "/api/actions", b" " * (8 * 1024 * 1024 + 1), carry_out=True),
        hanging("POST", "/api/actions", carry_out=True),
        answered("GET", "/api/actions/300", 503),
    ],
    ids=["dropped", "502", "no JSON", "oversize", "slow", "not read back"],
)
async def test_a_note_that_may_be_there_is_looked_for_and_not_doubled(
    desk: Desk,
    server: PsaServer,
    trouble: Trouble,
) -> None:
    handoff_id = await desk.pushed()
    server.misbehave(trouble)
    impatient = make_notes_worker(desk.api, request_seconds=2 if trouble.hang else 20)

    await impatient.send_due()
    unsure = await desk.note(handoff_id)
    waits = await desk.outbox.send_due()
    await desk.make_due()
    await desk.outbox.send_due()

    assert (unsure.status, unsure.attempts, waits) == (DeliveryStatus.PENDING, 1, 0)
    assert unsure.error is not None
    assert unsure.due_at - utc_now() > timedelta(seconds=20)
    assert len(server.notes) == 1
    assert server.times_asked("POST", "/api/actions") == 1
    note = await desk.note(handoff_id)
    assert (note.status, note.attempts, note.error) == (DeliveryStatus.SENT, 2, None)
    assert (await desk.api.handoff(handoff_id))["id"] == handoff_id
    assert (await desk.push(handoff_id))["delivery"]["handoff"]["psaNoteId"] == "300"
    history = await attempts_at(desk.database, note.id)
    assert [(number, ended) for number, ended, _ in history] == [(1, True), (2, True)]


@pytest.mark.parametrize(
    "trouble",
    [dropped("POST", "/api/actions", carry_out=False), answered("POST", "/api/actions", 500)],
    ids=["dropped", "500"],
)
async def test_a_note_that_is_surely_not_there_is_sent_again(
    desk: Desk,
    server: PsaServer,
    trouble: Trouble,
) -> None:
    handoff_id = await desk.pushed()
    server.misbehave(trouble)

    await desk.outbox.send_due()
    await desk.make_due()
    await desk.outbox.send_due()

    assert len(server.notes) == 1
    assert (await desk.note(handoff_id)).status == DeliveryStatus.SENT


async def test_a_note_is_not_sent_again_while_nobody_can_tell_whether_it_is_there(
    desk: Desk, server: PsaServer
) -> None:
    handoff_id = await desk.pushed()
    server.misbehave(dropped("POST", "/api/actions", carry_out=True), answered("GET", "/api/actions", 500))

    for _ in range(2):
        await desk.outbox.send_due()
        await desk.make_due()

    assert server.times_asked("POST", "/api/actions") == 1
    note = await desk.note(handoff_id)
    assert (note.status, note.attempts, note.error) == (
        DeliveryStatus.PENDING,
        2,
        "The PSA answered 500.",
    )


async def test_a_busy_psa_is_left_alone_as_long_as_it_asks_with_all_its_notes(
    desk: Desk, server: PsaServer
) -> None:
    handoffs = [await desk.pushed(), await desk.pushed("43")]
    server.misbehave(answered("POST", "/api/actions", 429, Retry_After="1800"))
    before = utc_now()

    tried = await desk.outbox.send_due()
    later = await desk.outbox.send_due()

    assert (tried, later, server.notes) == (1, 0, [])
    notes = [await desk.note(handoff_id) for handoff_id in handoffs]
    assert sorted((note.status, note.attempts) for note in notes) == [("PENDING", 0), ("PENDING", 1)]
    assert max(note.due_at for note in notes) >= before + timedelta(seconds=1800)
    async with desk.database.system_reading() as tx:
        not_before = await tx.fetch_value(select(psa_connections.c.not_before))
    assert not_before >= before + timedelta(seconds=1800)
    await desk.make_due()
    assert await desk.outbox.send_due() == 2
    assert len(server.notes) == 2


@pytest.mark.parametrize(
    ("trouble", "error", "code"),
    [
        (
            answered("POST", "/api/actions", 400, {"message": "An Outcome must be entered"}),
            "The PSA answered 400: An Outcome must be entered",
            400,
        ),
        (answered("POST", "/api/actions", 403), "The PSA answered 403.", 403),
        (
            answered("POST", "/api/actions", 302, Location="https://169.254.169.254/"),
            "The PSA redirects to another address.",
            302,
        ),
    ],
    ids=["400", "403", "redirect"],
)
async def test_a_refusal_is_for_good_and_shown(
    desk: Desk,
    server: PsaServer,
    trouble: Trouble,
    error: str,
    code: int,
) -> None:
    handoff_id = await desk.pushed()
    server.misbehave(trouble)

    await desk.outbox.send_due()
    await desk.make_due()

    assert await desk.outbox.send_due() == 0
    note, connection = await desk.note(handoff_id), await desk.connection()
    assert (note.status, note.attempts, note.error) == (DeliveryStatus.FAILED, 1, error)
    assert (connection.status, connection.last_error) == (PsaStatus.FAILING, error)
    assert await attempts_at(desk.database, note.id) == [(1, True, code)]
    assert await desk.api.deliveries(handoff_id) == [
        (0, "", "PSA_NOTE", "FAILED", None),
        *[(0, name, "EMAIL", "PENDING", None) for name in ("Adam", "Bob", "Olivia")],
    ]


async def test_a_note_that_failed_is_tried_again_when_asked_for_in_the_ticket_of_now(
    desk: Desk, server: PsaServer
) -> None:
    handoff_id = await desk.pushed("4711")
    await desk.outbox.send_due()
    failed = await desk.note(handoff_id)
    session_id = (await desk.api.handoff(handoff_id))["session"]["id"]
    await desk.api.change(desk.api.cast.alice, "updateSession", sessionId=session_id, psaTicketId="42")

    again = await desk.push(handoff_id)
    await desk.outbox.send_due()

    assert (failed.status, failed.error) == (
        DeliveryStatus.FAILED,
        "The PSA answered 404: The ticket could not be found",
    )
    assert (again["delivery"]["id"], again["delivery"]["status"]) == (str(failed.id), "PENDING")
    assert [note["ticket_id"] for note in server.notes] == [42]
    assert (await desk.note(handoff_id)).status == DeliveryStatus.SENT


async def test_a_psa_that_takes_no_note_for_a_day_is_given_up(desk: Desk, server: PsaServer) -> None:
    handoff_id = await desk.pushed()
    async with desk.database.system() as tx:
        await tx.execute(update(deliveries).values(first_due_at=utc_now() - GIVE_UP_AFTER))
    server.misbehave(answered("POST", "/api/actions", 503))

    await desk.outbox.send_due()

    note = await desk.note(handoff_id)
    assert (note.status, note.error) == (DeliveryStatus.FAILED, "The PSA answered 503.")


async def test_a_visible_note_fails_loudly_and_stops_the_connection(desk: Desk, server: PsaServer) -> None:
    server.ignores_hidden = True  # type: ignore[attr-defined]  # it is a HaloPSA
    handoff_id, other_id = await desk.pushed(), await desk.pushed("43")

    await desk.outbox.send_due()

    alarm = "Action 300 of ticket 42 is not hidden. Look at it now."
    note, connection = await desk.note(handoff_id), await desk.connection()
    assert (note.status, note.error) == (DeliveryStatus.FAILED, alarm)
    assert (connection.status, connection.last_error, connection.paused) == (PsaStatus.FAILING, alarm, True)
    assert (await desk.note(other_id)).status == DeliveryStatus.PENDING
    assert len(server.notes) == 1


async def test_one_connection_is_worked_on_by_one_worker_at_a_time(desk: Desk, server: PsaServer) -> None:
    for ticket in ("41", "42", "43"):
        await desk.pushed(ticket)
    server.misbehave(hanging("POST", "/api/actions", carry_out=True))
    slow, other = (make_notes_worker(desk.api, request_seconds=20) for _ in range(2))

    sending = asyncio.create_task(slow.send_due())
    assert await asyncio.to_thread(server.trouble_met)
    meanwhile = await other.send_due()
    server.go_on()

    assert (meanwhile, await sending) == (0, 3)
    assert sorted(note["ticket_id"] for note in server.notes) == [41, 42, 43]


async def test_workers_that_race_put_each_note_into_its_ticket_once(desk: Desk, server: PsaServer) -> None:
    for ticket in ("41", "42", "43", "44"):
        await desk.pushed(ticket)
    workers = [make_notes_worker(desk.api) for _ in range(4)]

    sent = await asyncio.gather(*(worker.send_due() for worker in workers))

    assert sum(sent) == 4
    assert sorted(note["ticket_id"] for note in server.notes) == [41, 42, 43, 44]


async def test_a_worker_that_lost_its_lease_records_nothing(desk: Desk, server: PsaServer) -> None:
    handoff_id = await desk.pushed()
    server.misbehave(hanging("POST", "/api/actions", carry_out=True))
    slow = make_notes_worker(desk.api, request_seconds=20)

    sending = asyncio.create_task(slow.send_due())
    assert await asyncio.to_thread(server.trouble_met)
    await desk.make_due()  # its lease ends, too
    assert await desk.outbox.send_due() == 1
    server.go_on()
    await sending

    assert len(server.notes) == 1
    note = await desk.note(handoff_id)
    assert (note.status, note.attempts) == (DeliveryStatus.SENT, 2)
    pushed = [entry for entry in await desk.api.timeline(handoff_id) if entry[0] == "PSA_NOTE_PUSHED"]
    assert len(pushed) == 1


async def test_the_mail_outbox_leaves_notes_alone_and_the_notes_loop_leaves_mails_alone(
    desk: Desk, smtp: SmtpServer
) -> None:
    handoff_id = await desk.pushed()

    mails = await make_outbox(desk.database, smtp).send_batch()
    after_mails = await desk.note(handoff_id)
    notes = await desk.outbox.send_due()

    assert (mails, notes) == (3, 1)
    assert after_mails.status == DeliveryStatus.PENDING
    assert (await desk.note(handoff_id)).status == DeliveryStatus.SENT


async def test_a_claim_and_the_end_of_a_session_do_not_keep_the_note_from_its_ticket(
    desk: Desk, server: PsaServer
) -> None:
    handoff_id = await desk.pushed()
    await desk.api.claim(desk.api.cast.bob, handoff_id)
    session_id = (await desk.api.handoff(handoff_id))["session"]["id"]
    (await desk.api.change(desk.api.cast.bob, "resolveSession", sessionId=session_id)).only()

    await desk.outbox.send_due()

    assert len(server.notes) == 1
    assert (await desk.note(handoff_id)).status == DeliveryStatus.SENT


@pytest.mark.parametrize(("intent", "told"), [("ESCALATE", 1), ("PARK", 0)])
async def test_an_automatic_connection_makes_a_note_of_each_escalation(
    server: PsaServer, database_url: str, cast: Cast, intent: str, told: int
) -> None:
    async with connected("haloPsa", server, database_url, cast, automatic=True) as desk:
        handoff_id = await desk.escalate(intent=intent)
        asked_before = len(server.asked)
        sent = await desk.outbox.send_due()
        deliveries_ = await desk.api.deliveries(handoff_id)

    assert (asked_before, sent, len(server.notes)) == (0, told, told)
    assert [row[2:4] for row in deliveries_ if row[2] == "PSA_NOTE"] == [("PSA_NOTE", "SENT")] * told


async def test_an_escalation_without_a_ticket_has_no_note(
    server: PsaServer, database_url: str, cast: Cast
) -> None:
    async with connected("haloPsa", server, database_url, cast, automatic=True) as desk:
        session_id = await desk.start_session(ticket=None)
        handoff_id = await desk.api.escalate(cast.alice, session_id)
        refused = await desk.push(handoff_id)
        unconnected = await desk.push(await desk.api.escalate(cast.alice, (await cast.start_session()).id))
        told = await desk.api.deliveries(handoff_id)

    message = "This session has no ticket in a connected PSA. Set its psaConnectionId and psaTicketId."
    assert refused == unconnected == {"__typename": "PsaNotConnected", "message": message}
    assert "PSA_NOTE" not in {row[2] for row in told}


async def test_a_handoff_of_another_account_has_no_note_for_strangers(desk: Desk) -> None:
    handoff_id = await desk.escalate()
    before = await desk.api.cast.all_rows()
    document = "mutation ($id: ID!) { pushHandoffToPsa(input: {handoffId: $id}) { __typename } }"

    answers = [
        (await desk.api.ask(desk.api.cast.charlie, document, id=id_)).only()
        for id_ in (handoff_id, str(uuid4()))
    ]

    assert answers == [{"__typename": "HandoffNotFound"}] * 2
    assert await desk.api.cast.all_rows() == before


async def test_asking_twice_at_once_makes_one_delivery(desk: Desk) -> None:
    handoff_id = await desk.escalate()

    answers = await asyncio.gather(*(desk.push(handoff_id) for _ in range(5)))

    assert len({answer["delivery"]["id"] for answer in answers}) == 1
    async with desk.database.system_reading() as tx:
        mine = select(deliveries.c.id).where(deliveries.c.psa_connection_id == UUID(desk.connection_id))
        assert len((await tx.connection.execute(mine)).all()) == 1
    events = [entry for entry in await desk.api.timeline(handoff_id) if entry[0] == "PSA_NOTE_REQUESTED"]
    assert len(events) == 1


async def test_a_note_that_is_recorded_leaves_an_event_of_its_account(desk: Desk) -> None:
    handoff_id = await desk.pushed()

    await desk.outbox.send_due()

    event = await desk.api.cast.newest_event()
    assert (event.kind, event.actor_id, str(event.handoff_id)) == (
        EventKind.PSA_NOTE_PUSHED,
        None,
        handoff_id,
    )


async def test_a_viewer_asks_for_no_note(api: Api) -> None:
    document = "mutation ($id: ID!) { pushHandoffToPsa(input: {handoffId: $id}) { __typename } }"

    answer = await api.ask(api.cast.vera, document, id=str(uuid4()))

    assert answer.refusal() == ("FORBIDDEN", "Engineer or admin access required")


async def test_metrics_show_the_notes_that_wait(desk: Desk) -> None:
    idle = await notes_due(desk)
    await desk.pushed()
    waiting = await notes_due(desk)

    await desk.outbox.send_due()

    assert (idle, waiting, await notes_due(desk)) == (0, 1, 0)


async def notes_due(desk: Desk) -> float:
    """Return how many notes wait, as /metrics tells."""
    page = await desk.api.http.get("/metrics")
    return next(
        float(line.split()[1]) for line in page.text.splitlines() if line.startswith("handoff_psa_notes_due ")
    )
