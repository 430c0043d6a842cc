"""Both engines, migrated once and copied for each test, and the cast that plays on them."""

import asyncio
import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from db import migrate
from db.session import Database
from tests.cases import ANSWER
from tests.cast import Cast
from tests.client import Api, running_api
from tests.live import Live, running_server
from tests.measuring import ENGINES, measuring
from tests.npm import Npm, install
from tests.servers.language_model import LanguageModel
from tests.servers.postgres import PostgresServer
from tests.servers.provider import Provider
from tests.servers.smtp import SmtpServer
from tests.template import Template, store_cast

# Hypothesis fails an example that takes 200 ms, and a test whose examples are slow to make; CI has neither.
settings.register_profile(
    "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

ROOM = 2 * 1024**3  #: bytes that a run needs at most

#: The cast that stands in the test's database, by the database that it was copied from.
STORED_CAST: pytest.StashKey[Cast] = pytest.StashKey()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for the whole run."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_template(postgres: PostgresServer) -> Iterator[Template]:
    """Two databases of the PostgreSQL server."""
    postgres.create_database("template")
    asyncio.run(_migrate(postgres.url("template")))
    postgres.create_database("template_cast", template="template")
    yield Template("template", "template_cast", asyncio.run(store_cast(postgres.url("template_cast"))))
    postgres.drop_database("template_cast")
    postgres.drop_database("template")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Two files of SQLite."""
    folder = tmp_path_factory.mktemp("template")
    empty, with_cast = folder / "empty.db", folder / "cast.db"
    asyncio.run(_migrate(f"sqlite:///{empty}"))
    shutil.copy(empty, with_cast)
    return Template(str(empty), str(with_cast), asyncio.run(store_cast(f"sqlite:///{with_cast}")))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine that the test runs on."""
    return str(request.param)


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database of the test's own, with the cast on it if the test asks for it."""
    template: Template = request.getfixturevalue(f"{engine}_template")
    source = template.empty
    if "cast" in request.fixturenames:
        source = template.with_cast
        request.node.stash[STORED_CAST] = template.cast
    if engine == "sqlite":
        shutil.copy(source, tmp_path / "handoff.db")
        yield f"sqlite:///{tmp_path / 'handoff.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test_{uuid4().hex}"
    server.create_database(name, template=source)
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The test's database, open."""
    database = Database(database_url)
    yield database
    await database.dispose()


@pytest.fixture
async def cast(database: Database, request: pytest.FixtureRequest) -> Cast:
    """Two accounts with their people; see `tests/cast.py`."""
    stored: Cast = request.node.stash[STORED_CAST]
    return replace(stored, database=database)


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


def pytest_configure() -> None:
    """Keep what the tests write in memory, where there is room and the environment does not say otherwise.

    A database is copied ten times faster there, and nobody waits until a disk has taken what others wrote.
    """
    place = Path("/dev/shm")  # noqa: S108  # a folder of each database's own is made there
    if "TMPDIR" in os.environ or not os.access(place, os.W_OK):
        return
    found = os.statvfs(place)
    has_room = found.f_bavail * found.f_frsize >= ROOM
    if has_room and not found.f_flag & os.ST_NOEXEC:  # programs of PostgreSQL are copied there, too
        os.environ["TMPDIR"] = tempfile.tempdir = str(place)


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection of garbage: it is most of what there is."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test with its fixtures, measured or not."""
    with measuring(item):
        yield
