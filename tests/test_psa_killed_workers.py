"""A worker that dies between the PSA's success and its own record leaves one note, not two."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import select, text

from db.enums import DeliveryStatus
from db.models import handoffs
from tests.cast import Cast
from tests.client import SECRET
from tests.patience import PATIENCE
from tests.psa import PSAS, Desk, connected, marker, running_psa
from tests.servers.processes import HandoffProcess
from tests.servers.psa import PsaServer, hanging
from tests.servers.smtp import SmtpServer
from tests.sockets import eventually
from tests.workers import attempts_at, closing, start

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

ADD = {"connectWise": "/notes", "autotask": "/Notes", "haloPsa": "/api/actions"}
KEY = Fernet.generate_key().decode()


#: The one with the most steps each time; the others with the long tests.
OTHERS = [pytest.param(psa, marks=pytest.mark.long) for psa in PSAS if psa != "haloPsa"]


@pytest.fixture(params=["haloPsa", *OTHERS])
def psa(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(psa: str, tmp_path: Path) -> Iterator[PsaServer]:
    with running_psa(psa, tmp_path / "psa") as server:
        yield server


@pytest.fixture
async def desk(psa: str, server: PsaServer, database_url: str, cast: Cast) -> AsyncIterator[Desk]:
    async with connected(psa, server, database_url, cast, encryption_keys=SecretStr(KEY)) as desk:
        yield desk


def make_notes_process(database_url: str, server: PsaServer, smtp: SmtpServer) -> HandoffProcess:
    """Describe a worker that reaches the PSA; nothing runs before `start`."""
    env = {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": database_url,
        "HANDOFF_BROADCAST_URL": database_url,
        "HANDOFF_SMTP_URL": f"smtp+plain://{smtp.host}:{smtp.port}?timeout={PATIENCE}",
        "HANDOFF_MAIL_FROM": "Handoff <handoff@msp.example>",
        "HANDOFF_ENCRYPTION_KEYS": KEY,
        "HANDOFF_PSA_ALLOWED_HOSTS": f'["{server.host}"]',
        "HANDOFF_PSA_CA_FILE": str(server.ca_file),
    }
    return HandoffProcess("worker", env=env, ready_line="worker started")


async def test_a_worker_killed_before_it_heard_the_answer_leaves_one_note(
    psa: str, desk: Desk, server: PsaServer, database_url: str, smtp: SmtpServer
) -> None:
    handoff_id = await desk.pushed()
    server.misbehave(hanging("POST", ADD[psa], carry_out=True))
    worker = make_notes_process(database_url, server, smtp)
    with closing(worker):
        await start(worker)
        assert await asyncio.to_thread(server.trouble_met)
        worker.kill()
    under_way = await desk.note(handoff_id)

    left_alone = await desk.outbox.send_due()
    await desk.make_due()
    taken_over = await desk.outbox.send_due()

    assert (under_way.status, under_way.attempts) == (DeliveryStatus.SENDING, 1)
    assert (left_alone, taken_over) == (0, 1)
    await assert_one_note(desk, server, handoff_id)


async def test_a_worker_killed_before_it_recorded_the_answer_leaves_one_note(
    psa: str, desk: Desk, server: PsaServer, database_url: str, smtp: SmtpServer
) -> None:
    handoff_id = await desk.pushed()
    server.misbehave(hanging("POST", ADD[psa], carry_out=True))
    worker = make_notes_process(database_url, server, smtp)
    with closing(worker):
        await start(worker)
        assert await asyncio.to_thread(server.trouble_met)
        async with desk.database.system() as tx:
            await tx.execute(select(handoffs.c.id).with_for_update())
            server.go_on()
            await until_somebody_waits_for_a_lock(desk)
            worker.kill()

    await desk.make_due()
    await desk.outbox.send_due()

    await assert_one_note(desk, server, handoff_id)


async def test_a_worker_puts_notes_into_tickets_and_ends_when_it_is_asked_to(
    desk: Desk, server: PsaServer, database_url: str, smtp: SmtpServer
) -> None:
    worker = make_notes_process(database_url, server, smtp)
    with closing(worker):
        await start(worker)
        handoff_id = await desk.pushed()

        async def is_pushed() -> bool:
            return (await desk.note(handoff_id)).status == DeliveryStatus.SENT

        await eventually(is_pushed)
        code = worker.stop()

    assert code == 0
    assert len(server.notes) == 1
    assert "cw-private-key" not in worker.stderr


async def test_a_psa_that_hangs_holds_up_no_worker_that_is_asked_to_end(
    psa: str, desk: Desk, server: PsaServer, database_url: str, smtp: SmtpServer
) -> None:
    handoff_id = await desk.pushed()
    server.misbehave(hanging("POST", ADD[psa], carry_out=True))
    worker = make_notes_process(database_url, server, smtp)
    with closing(worker):
        await start(worker)
        assert await asyncio.to_thread(server.trouble_met)
        code = await asyncio.to_thread(worker.stop)
        said = worker.stderr
    cut_off = await desk.note(handoff_id)
    server.go_on()

    await desk.make_due()
    await desk.outbox.send_due()

    assert code == 0
    assert "work cut off at the end" in said
    assert (cut_off.status, cut_off.attempts) == (DeliveryStatus.SENDING, 1)
    await assert_one_note(desk, server, handoff_id)


async def test_a_psa_that_hangs_delays_no_mail(
    psa: str, desk: Desk, server: PsaServer, database_url: str, smtp: SmtpServer
) -> None:
    server.misbehave(hanging("POST", ADD[psa], carry_out=True))
    worker = make_notes_process(database_url, server, smtp)
    with closing(worker):
        await start(worker)
        handoff_id = await desk.pushed()
        assert await asyncio.to_thread(server.trouble_met)
        await desk.escalate("43")
        await smtp.arrival(6)  # three of each escalation
        meanwhile = await desk.note(handoff_id)
        server.go_on()

    assert meanwhile.status == DeliveryStatus.SENDING


async def assert_one_note(desk: Desk, server: PsaServer, handoff_id: str) -> None:
    """Assert that the ticket holds the note once, and that the ledger has both attempts."""
    assert len([note for note in server.notes if marker(handoff_id) in str(note)]) == 1
    note = await desk.note(handoff_id)
    assert (note.status, note.attempts) == (DeliveryStatus.SENT, 2)
    history = await attempts_at(desk.database, note.id)
    assert [(number, ended) for number, ended, _ in history] == [(1, False), (2, True)]


async def until_somebody_waits_for_a_lock(desk: Desk) -> None:
    """Wait until a statement of another process waits for a row."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    async def waits() -> bool:
        async with desk.database.system_reading() as tx:
            return bool(await tx.fetch_value(waiting))

    await eventually(waits)
