"""Both engines, migrated once and copied for each test, and the cast that plays on them."""

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from db import migrate
from db.session import Database
from tests.cases import ANSWER
from tests.cast import Cast, make_cast
from tests.client import Api, running_api
from tests.live import Live, running_server
from tests.npm import Npm, install
from tests.servers.language_model import LanguageModel
from tests.servers.postgres import PostgresServer
from tests.servers.provider import Provider
from tests.servers.smtp import SmtpServer

ENGINES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for the whole run, with a migrated database `template`."""
    with PostgresServer() as server:
        server.create_database("template")
        asyncio.run(_migrate(server.url("template")))
        yield server
        server.drop_database("template")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file."""
    file = tmp_path_factory.mktemp("template") / "handoff.db"
    asyncio.run(_migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine that the test runs on."""
    return str(request.param)


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database of the test's own."""
    if engine == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "handoff.db")
        yield f"sqlite:///{tmp_path / 'handoff.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test_{uuid4().hex}"
    server.create_database(name, template="template")
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The test's database, open."""
    database = Database(database_url)
    yield database
    await database.dispose()


@pytest.fixture
async def cast(database: Database) -> Cast:
    """Two accounts with their people; see `tests/cast.py`."""
    return await make_cast(database)


@pytest.fixture
async def api(database_url: str, cast: Cast, smtp: SmtpServer) -> AsyncIterator[Api]:
    """The application in this process, without a worker, reached over HTTP."""
    async with running_api(database_url, cast, smtp_url=f"smtp+plain://{smtp.host}:{smtp.port}") as api:
        yield api


@pytest.fixture
async def announcing_api(database_url: str, cast: Cast) -> AsyncIterator[Api]:
    """Like `api`, on PostgreSQL alone: its commits wake other processes, too."""
    async with running_api(database_url, cast, broadcast_url=database_url) as api:
        yield api


@pytest.fixture
async def live(database_url: str, cast: Cast) -> AsyncIterator[Live]:
    """The application on a real server in this process, without a worker, for tests that need sockets."""
    async with running_server(database_url, cast) as live:
        yield live


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    """A real mail server."""
    with SmtpServer() as server:
        yield server


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Npm:
    """The programs of tests/e2e, with the packages that they need."""
    return install(tmp_path_factory.mktemp("e2e"))


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder, with no HANDOFF_ setting in the environment."""
    for name in [name for name in os.environ if name.startswith("HANDOFF_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def language_model() -> Iterator[LanguageModel]:
    """A server of language models that answers as told, at first with an assessment."""
    with LanguageModel([ANSWER]) as server:
        yield server


@pytest.fixture
def provider() -> Iterator[Provider]:
    """An identity provider with one RSA key named `first`."""
    with Provider() as provider:
        yield provider


async def _migrate(url: str) -> None:
    database = Database(url)
    async with database.owning() as tx:
        await migrate.upgrade(tx)
    await database.dispose()


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection of garbage: it is most of what there is."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
