"""What the log tells of an outage of the database: each fault once, then one line a minute, and its end."""

import asyncio
import gc
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from weakref import ref

import httpx
import pytest
from sqlalchemy.exc import DBAPIError

from db import migrate
from db.errors import words_of
from db.session import Database
from server.outages import Outages
from tests.cast import Cast
from tests.client import SECRET, Api, running_api
from tests.full_disk import full_disk
from tests.servers.postgres import PostgresServer
from tests.servers.processes import HandoffProcess, free_port
from tests.sockets import eventually
from tests.template import store_cast

NOT_MIGRATED = "the database is not migrated: run handoff migrate"
AWAY = "the database is away"
BACK = "the database can be used"


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell how late it is."""
        return self.now


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database in which nothing was ever made."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/handoff.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    server.create_database("outage_empty")
    yield server.url("outage_empty")
    server.drop_database("outage_empty")


@pytest.mark.parametrize(("command", "started"), [("serve", " serving "), ("worker", "worker started")])
def test_a_database_that_is_not_migrated_is_told_in_one_line_and_waited_for(
    command: str, started: str, empty_url: str
) -> None:
    env = {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": empty_url,
        "HANDOFF_PORT": str(free_port()),
    }
    with HandoffProcess(command, env=env, ready_line=started) as process:
        # The end of a look that comes after each loop has tried.
        assert process.command("migrate").returncode == 0
        asyncio.run(eventually(lambda: _is_said(process, BACK)))
        said = process.stderr
        process.stop()

    assert said.count(NOT_MIGRATED) == 1
    assert "Traceback" not in said
    assert " ERROR " not in said


async def _is_said(process: HandoffProcess, what: str) -> bool:
    return what in process.stderr


@pytest.fixture
async def outages(database: Database) -> AsyncIterator[Outages]:
    """A filter that has looked at a database that is well, and looks no more."""
    outages = Outages(database, clock=Clock())
    await outages.start()
    assert outages._task is not None
    outages._task.cancel()
    yield outages
    await outages.stop()


def _log(message: str, error: BaseException) -> None:
    logging.getLogger("server.test").error(message, exc_info=error)


def test_the_same_fault_is_logged_once_a_minute_and_its_traceback_once(
    outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    clock = outages._clock
    assert isinstance(clock, Clock)
    for _ in range(3):
        _log("due work not done", full_disk())
        clock.now += 10
    _log("feed could not read", full_disk())
    clock.now += 31
    _log("due work not done", full_disk())

    told = [(record.message, record.exc_info is not None) for record in caplog.records]
    assert told == [("due work not done", True), ("feed could not read", False), ("due work not done", False)]
    assert caplog.records[-1].__dict__["held_back"] == 2


def test_a_fault_is_not_kept_beyond_its_line(outages: Outages) -> None:
    fault = full_disk()
    kept = ref(fault)

    assert outages.filter(logging.makeLogRecord({"exc_info": (DBAPIError, fault, None)}))
    del fault
    gc.collect()

    assert kept() is None


def test_the_traceback_of_a_fault_is_logged_again_when_it_had_not_come_for_long(
    outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    clock = outages._clock
    assert isinstance(clock, Clock)
    _log("due work not done", full_disk())
    clock.now += 121
    _log("due work not done", full_disk())

    assert [record.exc_info is not None for record in caplog.records] == [True, True]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a fault of ours"),
        ConnectionRefusedError("of a mail server"),
        DBAPIError("INSERT", None, sqlite3.IntegrityError("UNIQUE constraint failed"), hide_parameters=True),
        DBAPIError("SELECT", None, sqlite3.ProgrammingError("wrong number of values"), hide_parameters=True),
    ],
)
def test_a_fault_of_ours_is_logged_each_time(
    error: Exception, outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        _log("unexpected error", error)

    assert [record.exc_info is not None for record in caplog.records] == [True] * 3


def test_faults_whose_words_always_differ_are_not_remembered_for_ever(outages: Outages) -> None:
    for number in range(300):
        fault = sqlite3.OperationalError(f"fault {number}")
        _log("due work not done", DBAPIError("SELECT", None, fault, hide_parameters=True))

    assert len(outages._told) <= 201


async def test_an_outage_is_told_in_few_lines_and_its_end_in_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.delenv("HANDOFF_TEST_DATABASE_URL", raising=False)  # one that is not ours must not be stopped
        server = await asyncio.to_thread(stack.enter_context, PostgresServer())
        await asyncio.to_thread(server.create_database, "outage")
        url = server.url("outage")
        cast = await _prepared(url)
        async with running_api(url, cast) as api:
            await asyncio.to_thread(server.kill)
            await _ask_in_vain(api, caplog)
            faults = [record for record in caplog.records if record.levelno >= logging.WARNING]
            await asyncio.to_thread(server.start)
            await eventually(lambda: _is_logged(caplog, BACK))
            answer = await api.ask(cast.alice, "{ me { name } }")

    tracebacks = [record for record in faults if record.exc_info]
    kinds = {words_of(record.exc_info[1]) for record in tracebacks if record.exc_info and record.exc_info[1]}
    assert 0 < len(tracebacks) == len(kinds)
    assert len(faults) < 10
    assert caplog.messages.count(AWAY) == 1
    assert caplog.messages.count(BACK) == 1
    assert answer.only() == {"name": "Alice"}


async def _prepared(url: str) -> Cast:
    database = Database(url)
    async with database.owning() as tx:
        await migrate.upgrade(tx)
    await database.dispose()
    return await store_cast(url)


async def _ask_in_vain(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Ask while the database is away, until that is told and some time after."""
    for _ in range(20):
        assert (await _ask(api)).status_code == 503
    await eventually(lambda: _is_logged(caplog, AWAY))
    for _ in range(20):
        assert (await _ask(api)).status_code == 503


async def _ask(api: Api) -> httpx.Response:
    headers = {"Authorization": f"Bearer {api.token(api.cast.alice)}"}
    return await api.http.post("/graphql", json={"query": "{ me { name } }"}, headers=headers)


async def _is_logged(caplog: pytest.LogCaptureFixture, message: str) -> bool:
    return message in caplog.messages
