"""`handoff run` on a bare machine: an empty folder, a free port, and nothing but Python."""

import re
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Text, cast, select

from db import presence, system
from db.models import accounts, metadata, team_members, teams, users
from db.session import Database
from db.users import UserRow
from server.auth import Tokens
from tests.client import CREATE
from tests.patience import PATIENCE
from tests.servers.processes import HandoffProcess, free_port
from tests.sockets import ESCALATIONS, eventually, open_socket

PEOPLE = [
    ("Demo", "admin@demo.test", "ADMIN"),
    ("Demo", "engineer@demo.test", "ENGINEER"),
    ("Demo", "owner@demo.test", "OWNER"),
    ("Demo", "senior@demo.test", "ENGINEER"),
    ("Demo", "viewer@demo.test", "VIEWER"),
]
_ACCOUNT_AND_EMAIL = accounts.c.name, users.c.email
_PEOPLE = (
    select(*_ACCOUNT_AND_EMAIL, cast(users.c.role, Text))
    .join_from(accounts, users)
    .order_by(*_ACCOUNT_AND_EMAIL)
)
_MEMBERS = (
    select(teams.c.name, users.c.email)
    .join(team_members, team_members.c.team_id == teams.c.id)
    .join(users, users.c.id == team_members.c.user_id)
    .order_by(users.c.email)
)


@dataclass(frozen=True, slots=True)
class FirstRun:
    """A run of the demo, and the folder that it was started in."""

    process: HandoffProcess
    address: str

    @property
    def folder(self) -> Path:
        """The working directory."""
        return self.process.folder / "work"

    @property
    def mail_folder(self) -> Path:
        """Where mails land."""
        return self.folder / "var" / "mail"

    def command(self, *arguments: str) -> str:
        """Run another command in the same folder, and return what it printed."""
        done = self.process.command(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def token(self, user: UserRow) -> str:
        """Sign a token for the user with the secret that the first start made."""
        secret = (self.folder / ".env").read_text().splitlines()[1].removeprefix("HANDOFF_SECRET=")
        return Tokens(secret).sign(user.id, valid_for=timedelta(hours=1))

    def ask(self, token: str, document: str, **variables: object) -> Any:  # noqa: ANN401 (whatever was asked)
        """Ask the API, and return the data of an answer without errors."""
        response = httpx.post(
            f"{self.address}/graphql",
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE,
        )
        assert response.json().keys() == {"data"}, response.text
        return response.json()["data"]

    def page(self, link: str) -> str:
        """Open a page as who is not signed in, and return it."""
        response = httpx.get(link, timeout=PATIENCE)
        assert response.status_code == 200
        return response.text

    def mails(self) -> list[EmailMessage]:
        """Read every mail that is there. A mail that was not whole yet has no end of its last part."""
        files = sorted(self.mail_folder.glob("*.eml"))
        mails = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
        for file, mail in zip(files, mails, strict=True):
            assert file.read_bytes().rstrip().endswith(f"--{mail.get_boundary()}--".encode())
        return mails


@contextmanager
def _running(**settings: str) -> Iterator[FirstRun]:
    port = free_port()
    env = {"HANDOFF_PORT": str(port)} | settings
    address = f"http://127.0.0.1:{port}"
    with HandoffProcess("run", env=env, ready_url=f"{address}/readyz") as process:
        yield FirstRun(process, address)


@pytest.fixture(scope="module")
def first_run() -> Iterator[FirstRun]:
    """One running demo, for the tests that leave it running."""
    with _running() as run:
        yield run


def test_a_first_start_writes_the_settings_for_their_owner_alone(first_run: FirstRun) -> None:
    file = first_run.folder / ".env"

    assert [line.partition("=")[0] for line in file.read_text().splitlines()] == [
        "HANDOFF_DEMO",
        "HANDOFF_SECRET",
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_welcome_says_what_to_open_how_to_sign_in_and_where_mails_land(first_run: FirstRun) -> None:
    welcome = first_run.process.stderr

    assert f"Open          {first_run.address}/graphql" in welcome
    assert "Get a token   .venv/bin/handoff token engineer@demo.test" in welcome
    assert "Mails land in var/mail/*.eml" in welcome
    assert all(email in welcome for _, email, _ in PEOPLE)
    assert "Traceback" not in welcome
    assert first_run.process.stdout == ""


def test_the_page_that_the_welcome_names_can_be_opened_without_a_token(first_run: FirstRun) -> None:
    asked = {"accept": "text/html"}
    page = httpx.get(f"{first_run.address}/", headers=asked, follow_redirects=True, timeout=PATIENCE)

    assert page.status_code == 200
    assert page.url.path == "/graphql"
    assert page.headers["content-type"].startswith("text/html")
    assert "graphiql" in page.text.lower()


def test_the_token_of_the_welcome_signs_in(first_run: FirstRun) -> None:
    token = first_run.command("token", "engineer@demo.test").removesuffix("\n")

    me = first_run.ask(token, "{ me { name email role } }")

    assert me == {"me": {"name": "Erin Engineer", "email": "engineer@demo.test", "role": "ENGINEER"}}


async def test_the_demo_has_exactly_these_accounts_people_and_team(first_run: FirstRun) -> None:
    async with _database(first_run) as database, database.system_reading() as tx:
        found = [tuple(row) for row in await tx.connection.execute(_PEOPLE)]
        members = [tuple(row) for row in await tx.connection.execute(_MEMBERS)]

    assert found == [*PEOPLE, ("Other", "engineer@other.test", "ENGINEER")]
    assert members == [("Service desk", "engineer@demo.test"), ("Service desk", "senior@demo.test")]


async def test_an_escalation_is_mailed_to_exactly_the_responders_who_are_not_at_a_screen(
    first_run: FirstRun,
) -> None:
    people = await _people(first_run)
    engineer, senior = people["engineer@demo.test"], people["senior@demo.test"]
    stuck = first_run.ask(first_run.token(engineer), "{ sessions(status: ACTIVE) { edges { node { id } } } }")
    given = {"sessionId": stuck["sessions"]["edges"][0]["node"]["id"], "intent": "ESCALATE", "notes": "Help!"}

    async with open_socket(first_run.address.replace("http", "ws") + "/graphql") as socket:
        await socket.init(first_run.token(senior))
        escalations = await socket.subscribe(ESCALATIONS)
        await _until_online(first_run, senior)
        answer = first_run.ask(first_run.token(engineer), CREATE, input=given)["createHandoff"]
        event = await escalations.next_event()
        await _until_mails(first_run, 2)

    mails = {mail["To"].addresses[0].addr_spec: _text(mail) for mail in first_run.mails()}
    assert answer["reach"] == {"online": 1, "email": 2, "unreachable": False}
    assert event["handoff"]["id"] == answer["handoff"]["id"]
    assert len(first_run.mails()) == 2
    assert mails.keys() == {"owner@demo.test", "admin@demo.test"}
    for text in mails.values():
        (link,) = re.findall(rf"^{first_run.address}/claim/\S+", text, re.MULTILINE)
        assert "Help!" in text
        assert "Help!" in first_run.page(link)
    assert {file.suffix for file in first_run.mail_folder.iterdir()} == {".eml"}


async def test_a_second_start_keeps_the_data_and_adds_none() -> None:
    with _running() as run:
        settings = (run.folder / ".env").read_text()
        run.command("user", "add", "new@demo.test", "--account", "Demo", "--name", "Nina New")
        before = await _rows(run)
        run.process.stop()

        run.process.start()

        assert await _rows(run) == before
        assert (run.folder / ".env").read_text() == settings
        assert run.command("user", "list", "--account", "Demo").count("new@demo.test") == 1


def test_sigterm_ends_it_cleanly_and_lets_the_port_go() -> None:
    with _running() as run:
        code = run.process.stop()
        log = run.process.stderr

    assert code in (0, -15)
    assert "Finished server process" in log
    assert "Traceback" not in log
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{run.address}/healthz")


@asynccontextmanager
async def _database(run: FirstRun) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{run.folder / 'var' / 'handoff.db'}")
    yield database
    await database.dispose()


async def _people(run: FirstRun) -> dict[str, UserRow]:
    async with _database(run) as database, database.system_reading() as tx:
        found = [await system.find_user_by_email(tx, email) for _, email, _ in PEOPLE]
    return {user.email: user for user in found if user is not None}


async def _rows(run: FirstRun) -> dict[str, list[str]]:
    """Return every row but those of the nodes, which come and go with each start."""
    tables = [table for table in metadata.sorted_tables if table.name != "nodes"]
    async with _database(run) as database, database.system_reading() as tx:
        return {
            table.name: sorted(str(row) for row in await tx.connection.execute(select(table)))
            for table in tables
        }


async def _until_online(run: FirstRun, user: UserRow) -> None:
    async with _database(run) as database:

        async def is_online() -> bool:
            async with database.reading(user.account_id) as tx:
                return await presence.online_for(tx, None, now=datetime.now(UTC)) == {user.id}

        await eventually(is_online)


async def _until_mails(run: FirstRun, count: int) -> None:
    async def are_there() -> bool:
        return len(run.mails()) >= count

    await eventually(are_there)


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())
