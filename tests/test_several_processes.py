"""Several processes on one address are one service: each a node, none missed when it dies, all ended at once.

They share a socket, so a connection is accepted by any of them: a test that wants one of them freezes the
others meanwhile.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from db import system
from db.models import nodes
from db.session import Database
from server.process import Node
from tests.cast import Cast, make_cast
from tests.client import SECRET, make_settings
from tests.live import Live
from tests.mailing import make_due
from tests.patience import PATIENCE
from tests.servers import children
from tests.servers.postgres import PostgresServer
from tests.servers.processes import HandoffProcess, free_port
from tests.servers.smtp import SmtpServer
from tests.sockets import ESCALATIONS, eventually
from tests.template import Template
from tests.terminal import Terminal
from tests.test_presence_of_nodes import age_beats, nodes_with_people
from tests.workers import times_sent, until_settled

pytestmark = pytest.mark.measured_processes


@pytest.fixture(scope="module")
def mail_server() -> Iterator[SmtpServer]:
    """A mail server for all tests of the file."""
    with SmtpServer() as server:
        yield server


@pytest.fixture(scope="module")
def database_url(postgres: PostgresServer, postgresql_template: Template) -> Iterator[str]:
    """A database for all tests of the file."""
    name = f"several_{uuid4().hex}"
    postgres.create_database(name, template=postgresql_template.empty)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def stored_cast(database_url: str) -> Cast:
    """The cast, stored once."""
    return asyncio.run(store_cast(database_url))


@pytest.fixture(scope="module")
def service(database_url: str, mail_server: SmtpServer) -> Iterator[HandoffProcess]:
    """Two processes on one address, and their parent."""
    settings = {
        "HANDOFF_SMTP_URL": f"smtp+plain://{mail_server.host}:{mail_server.port}",
        "HANDOFF_MAIL_FROM": "Handoff <handoff@msp.example>",
        "HANDOFF_ASSESSOR": "off",
    }
    process = describe(database_url, **settings)
    yield process
    process.close()


@pytest.fixture
async def live(service: HandoffProcess, database_url: str, stored_cast: Cast) -> AsyncIterator[Live]:
    """The service, running."""
    await asyncio.to_thread(service.start)  # unless a test before this one left it running
    await eventually(lambda: all_serve(service))
    reader = Node(make_settings(database_url))
    address = address_of(service)
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=PATIENCE) as http:
        cast = replace(stored_cast, database=reader.database)
        yield Live(reader, http, cast, f"ws://{address}/graphql")
    await reader.database.dispose()


async def test_what_is_escalated_at_one_process_is_pushed_by_the_other(
    live: Live, service: HandoffProcess
) -> None:
    cast, (one, other) = live.cast, processes_of(service)
    async with AsyncExitStack() as stack:
        with frozen(one):
            socket = await stack.enter_async_context(live.dashboard(cast.bob))
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        await live.until_online(cast.bob)

        with frozen(other):
            handoff_id = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == handoff_id


async def test_one_process_alone_sends_the_mails(live: Live, mail_server: SmtpServer) -> None:
    mail_server.clear()
    cast = live.cast

    handoff_id = await live.escalate_new()
    await make_due(cast.database, cast.account_id)

    await until_settled(cast.database)
    told = await live.deliveries(handoff_id)
    assert told == [(0, name, "EMAIL", "SENT", None) for name in ("Adam", "Bob", "Olivia")]
    assert set(times_sent(mail_server).values()) == {1}


async def test_only_the_first_process_works_in_the_background(live: Live, service: HandoffProcess) -> None:
    # A worker that begins tells that it has no keys for notes.
    begun = [line for line in service.stderr.splitlines() if "puts no notes into tickets" in line]

    assert len(begun) == len([line for line in begun if line.endswith("process_number=0")]) >= 1


async def test_a_killed_process_is_started_anew_and_its_people_go_offline(
    live: Live, service: HandoffProcess
) -> None:
    cast, (one, other) = live.cast, processes_of(service)
    async with AsyncExitStack() as stack:
        with frozen(other):
            socket = await stack.enter_async_context(live.dashboard(cast.bob))
        await socket.subscribe(ESCALATIONS)
        await live.until_online(cast.bob)
        (its_node,) = await nodes_with_people(cast.database)

        os.kill(one, signal.SIGKILL)

        await eventually(lambda: is_replaced(service, one))
        assert other in processes_of(service)
        assert (await live.ask(cast.bob, "{ me { online } }")).only() == {"online": True}
        await age_beats(cast.database, {its_node})
    assert (await live.ask(cast.bob, "{ me { online } }")).only() == {"online": False}
    assert "process died; starting it anew" in service.stderr
    await forget(cast.database, its_node)  # as other nodes do at their next beat


async def test_whoever_replaces_the_process_that_sends_mails_sends_them(
    live: Live, service: HandoffProcess, mail_server: SmtpServer
) -> None:
    mail_server.clear()
    cast, (one, _) = live.cast, processes_of(service)
    before = await known_nodes(cast.database)

    os.kill(one, signal.SIGTERM)

    await eventually(lambda: is_replaced(service, one))
    handoff_id = await live.escalate_new()
    await make_due(cast.database, cast.account_id)
    await until_settled(cast.database)
    told = await live.deliveries(handoff_id)
    assert told == [(0, name, "EMAIL", "SENT", None) for name in ("Adam", "Bob", "Olivia")]
    assert set(times_sent(mail_server).values()) == {1}
    after = await known_nodes(cast.database)
    assert (len(before - after), len(after - before)) == (1, 1)  # it has said goodbye


async def test_sigterm_lets_every_process_end_what_it_does(live: Live, service: HandoffProcess) -> None:
    cast, pids = live.cast, processes_of(service)
    async with AsyncExitStack() as stack:
        for pid in pids:
            with frozen(pid):
                socket = await stack.enter_async_context(live.dashboard(cast.bob))
            await socket.subscribe(ESCALATIONS)

        both = await until_nodes_with_people(cast.database, 2)

        code = await asyncio.to_thread(service.stop)

    assert code == 0
    assert not any(is_running(pid) for pid in pids)
    assert await nodes_with_people(cast.database) == set()
    assert both.isdisjoint(await known_nodes(cast.database))


async def test_the_processes_of_a_killed_parent_end_and_leave_the_address_free(
    live: Live, service: HandoffProcess
) -> None:
    pids = processes_of(service)

    await asyncio.to_thread(service.kill)

    await eventually(lambda: are_gone(pids))
    await asyncio.to_thread(service.start)


def test_the_demo_is_prepared_once_before_any_process_serves(postgres: PostgresServer) -> None:
    name = f"several_{uuid4().hex}"
    postgres.create_database(name)
    try:
        with describe(postgres.url(name), HANDOFF_DEMO="1") as service:
            token = service.command("token", "engineer@demo.test")
            welcome, _, log = service.stderr.partition("Stop with Ctrl-C.")
    finally:
        postgres.drop_database(name)

    assert (token.returncode, token.stderr) == (0, "")
    assert welcome.count("Handoff is starting with demo data.") == 1
    assert "Handoff is starting" not in log
    assert "ERROR" not in log


@pytest.mark.usefixtures("bare_machine")
def test_processes_that_could_not_wake_each_other_are_refused() -> None:
    settings = {"secret": SECRET, "database_url": "postgresql://127.0.0.1/handoff"}

    by_option = Terminal(**settings).refused("serve", "--workers", "2")
    by_setting = Terminal(**settings, workers="2").refused("serve")

    assert by_option == by_setting
    assert by_option == (
        "HANDOFF_WORKERS: 2 processes need to wake each other, and memory:// does not reach from one to "
        "another. Set HANDOFF_BROADCAST_URL to redis:// or valkey://, which counts limits for all of them "
        "too, or to postgresql://, or start one process."
    )


@pytest.mark.usefixtures("bare_machine")
def test_processes_that_would_wait_for_each_other_are_refused() -> None:
    terminal = Terminal(secret=SECRET, broadcast_url="redis://127.0.0.1")

    assert terminal.refused("serve", "--workers", "2") == (
        "HANDOFF_WORKERS: 2 processes need PostgreSQL: SQLite lets one write at a time, and several would "
        "only wait for each other. Set HANDOFF_DATABASE_URL to postgresql://, or start one process."
    )


@pytest.mark.usefixtures("bare_machine")
def test_a_port_that_is_taken_is_told_in_one_sentence(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {"HANDOFF_SECRET": SECRET, "HANDOFF_DATABASE_URL": database_url, "HANDOFF_PORT": str(port)}
        process = HandoffProcess(env=env | {"HANDOFF_BROADCAST_URL": database_url})
        ended = process.command("serve", "--workers", "2")
        process.close()

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(
        f"handoff: cannot listen on 127.0.0.1, port {port}: address already in use."
    )
    assert len(ended.stderr.splitlines()) == 1


def test_a_process_that_cannot_start_ends_all() -> None:
    program = (
        "import sys; from server.supervisor import Supervisor\n"
        "sys.exit(Supervisor(2, lambda place: sys.exit(3)).run(when_ending=lambda: print('ending')))"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "ending\n", "")


#: The first process in place 1 hangs; its successor says so, and the service is ended.
HANGING = """
import os, pathlib, signal, sys, time
from server.supervisor import Supervisor

hung = pathlib.Path(sys.argv[1])

def work(place):
    while place.number == 0 or hung.exists():
        place.beat()
        if place.number == 1:
            print("replaced", flush=True)
            os.kill(os.getppid(), signal.SIGTERM)
            signal.pause()
        time.sleep(place.beat_seconds)
    hung.touch()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)

sys.exit(Supervisor(2, work, hung_seconds=5.0).run(when_ending=lambda: print("ending")))
"""


def test_a_process_that_hangs_is_replaced_and_no_other(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HANGING, str(tmp_path / "hung")]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stdout) == (0, "replaced\nending\n")
    assert ended.stderr.splitlines() == ["process hangs; killing it", "process died; starting it anew"]


@pytest.mark.long
async def test_a_process_of_the_service_that_hangs_is_replaced(live: Live, service: HandoffProcess) -> None:
    one, other = processes_of(service)

    os.kill(one, signal.SIGSTOP)

    await eventually(lambda: is_replaced(service, one), within=120)
    assert other in processes_of(service)
    assert service.stderr.count("process hangs; killing it") == 1
    assert (await live.ask(live.cast.bob, "{ me { online } }")).only() == {"online": False}


def describe(database_url: str, **settings: str) -> HandoffProcess:
    """Describe two processes on one free address; nothing runs before `start`."""
    port = str(free_port())
    env = {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": database_url,
        "HANDOFF_BROADCAST_URL": database_url,
        "HANDOFF_PORT": port,
        **settings,
    }
    url = f"http://127.0.0.1:{port}/readyz"
    return HandoffProcess("serve", "--workers", "2", env=env, ready_url=url)


def address_of(service: HandoffProcess) -> str:
    """Return where the processes are reached."""
    return f"127.0.0.1:{service.env['HANDOFF_PORT']}"


async def store_cast(url: str) -> Cast:
    """Store the cast in a database, and close it."""
    database = Database(url)
    cast = await make_cast(database)
    await database.dispose()
    return cast


def processes_of(service: HandoffProcess) -> list[int]:
    """Return the processes in the order of their numbers; the first also works in the background."""
    begun = re.findall(r"Started server process \[(\d+)\] process_number=(\d+)", service.stderr)
    newest = {int(number): int(pid) for pid, number in begun}
    return [newest[number] for number in sorted(newest)]


async def all_serve(service: HandoffProcess) -> bool:
    """Tell whether both processes were started, and all that were have begun to answer."""
    told = service.stderr
    both = len(processes_of(service)) == 2
    return both and told.count("server.serving serving") == told.count("Started server process")


async def is_replaced(service: HandoffProcess, pid: int) -> bool:
    """Tell whether another process answers in the place of this one."""
    return pid not in processes_of(service) and await all_serve(service)


async def forget(database: Database, node_id: UUID) -> None:
    """Forget a node that is dead."""
    async with database.system() as tx:
        await system.forget_node(tx, node_id)


async def are_gone(pids: list[int]) -> bool:
    """Tell whether none of the processes runs."""
    return not any(is_running(pid) for pid in pids)


def is_running(pid: int) -> bool:
    """Tell whether a process runs."""
    return pid in children.list_processes()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Freeze a process while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def known_nodes(database: Database) -> set[UUID]:
    """Return the nodes that have said so, and not goodbye."""
    async with database.system_reading() as tx:
        return set((await tx.connection.execute(select(nodes.c.id))).scalars())


async def until_nodes_with_people(database: Database, count: int) -> set[UUID]:
    """Wait until somebody is connected to that many nodes, and return these."""

    async def are_connected() -> bool:
        return len(await nodes_with_people(database)) == count

    await eventually(are_connected)
    return await nodes_with_people(database)
