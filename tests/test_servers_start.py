"""The servers the tests stand on do what their names say."""

import asyncio
from collections.abc import Iterator
from email.message import EmailMessage

import aiosmtplib
import pytest
import redis.asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.patience import PATIENCE
from tests.servers.postgres import PostgresServer
from tests.servers.postgres_programs import find_system
from tests.servers.processes import HandoffProcess
from tests.servers.smtp import SmtpServer, Trouble
from tests.servers.valkey import ValkeyServer

BOB = "bob@example.org"
CHARLIE = "charlie@example.org"


@pytest.fixture(scope="module", params=["system", "wheel", "wheel over tcp"])
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    source, _, tcp = str(request.param).partition(" ")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HANDOFF_TEST_DATABASE_URL", raising=False)
        patch.delenv("HANDOFF_TEST_POSTGRES", raising=False)
        if source == "system" and find_system() is None:
            pytest.skip("this machine has no PostgreSQL of its own")
        patch.setenv("HANDOFF_TEST_POSTGRES", source)
        with PostgresServer(tcp=bool(tcp)) as server:
            yield server


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


async def fetch(url: str, statement: str) -> object:
    """Run one statement in its own transaction and give its first value, if it has rows."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        await engine.dispose()


def mail(*recipients: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Alice <alice@example.org>"
    message["To"] = ", ".join(recipients)
    message["Subject"] = "Übergabe"
    message.set_content("Please take over.")
    return message


async def send(server: SmtpServer, *recipients: str) -> None:
    await aiosmtplib.send(
        mail(*recipients), hostname=server.host, port=server.port, start_tls=False, timeout=PATIENCE
    )


async def test_a_database_is_a_copy_of_its_template(postgres: PostgresServer) -> None:
    postgres.create_database("mould")
    await fetch(postgres.url("mould"), "CREATE TABLE words AS SELECT 'copied' AS word")

    postgres.create_database("cast", template="mould")

    assert await fetch(postgres.url("cast"), "SELECT word FROM words") == "copied"
    postgres.drop_database("cast")
    postgres.drop_database("mould")
    names = "SELECT count(*) FROM pg_database WHERE datname IN ('cast', 'mould')"
    assert await fetch(postgres.url("postgres"), names) == 0


async def test_a_killed_server_starts_again_with_its_data(postgres: PostgresServer) -> None:
    postgres.create_database("kept")
    await fetch(postgres.url("kept"), "CREATE TABLE words AS SELECT 'kept' AS word")

    postgres.kill()
    with pytest.raises(OSError, match=r"Connect|refused|No such file"):
        await fetch(postgres.url("kept"), "SELECT 1")
    postgres.start()

    assert await fetch(postgres.url("kept"), "SELECT word FROM words") == "kept"
    postgres.drop_database("kept")


async def test_a_frozen_server_answers_once_it_goes_on(postgres: PostgresServer) -> None:
    postgres.pause()
    answer = asyncio.create_task(fetch(postgres.url("postgres"), "SELECT 'awake'"))
    done, _ = await asyncio.wait([answer], timeout=0.2)
    assert not done

    postgres.resume()

    assert await asyncio.wait_for(answer, PATIENCE) == "awake"


def test_a_stopped_server_leaves_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANDOFF_TEST_DATABASE_URL", raising=False)
    with PostgresServer() as server:
        folder = server.folder
        server.kill()

    assert not folder.exists()


async def test_a_given_server_is_used_and_left_alone(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDOFF_TEST_DATABASE_URL", postgres.url("postgres"))

    with PostgresServer() as given:
        given.create_database("guest")
        name = await fetch(given.url("guest"), "SELECT current_database()")
        given.drop_database("guest")
        with pytest.raises(RuntimeError, match="not ours"):
            given.kill()

    assert (given.is_ours, name) == (False, "guest")
    assert await fetch(postgres.url("postgres"), "SELECT 'running'") == "running"


async def test_what_is_published_reaches_the_subscriber(valkey: ValkeyServer) -> None:
    async with redis.asyncio.from_url(valkey.url) as client, client.pubsub() as subscription:
        await subscription.subscribe("handoffs")
        await subscription.get_message(timeout=PATIENCE)

        await client.publish("handoffs", "parked")

        message = await subscription.get_message(timeout=PATIENCE)
    assert message is not None
    assert (message["channel"], message["data"]) == (b"handoffs", b"parked")


async def test_valkey_comes_back_on_its_port(valkey: ValkeyServer) -> None:
    url = valkey.url
    valkey.kill()
    valkey.start()
    valkey.restart()

    async with redis.asyncio.from_url(url) as client:
        assert await client.ping()


async def test_a_mail_is_kept_as_it_was_sent(smtp: SmtpServer) -> None:
    await send(smtp, BOB, CHARLIE)

    [received] = await smtp.arrival(1)

    assert received.sender == "alice@example.org"
    assert received.recipients == (BOB, CHARLIE)
    assert received.message["Subject"] == "Übergabe"
    assert received.message.get_content().strip() == "Please take over."
    assert not received.encrypted
    assert (smtp.connections, smtp.transactions) == (1, 1)


async def test_a_scripted_refusal_meets_its_recipient_alone(smtp: SmtpServer) -> None:
    smtp.refuse(BOB, 550, "no such user")

    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await send(smtp, BOB)
    await send(smtp, CHARLIE)

    [reply] = refused.value.recipients
    assert (reply.code, reply.message) == (550, "no such user")
    assert [received.recipients for received in smtp.mails] == [(CHARLIE,)]


async def test_a_temporary_refusal_ends_after_its_times(smtp: SmtpServer) -> None:
    smtp.refuse(BOB, 451, "come back later", times=1)
    smtp.refuse_mail(452, "disk full", times=1)

    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await send(smtp, BOB)
    with pytest.raises(aiosmtplib.SMTPDataError):
        await send(smtp, BOB)
    await send(smtp, BOB)

    assert (len(smtp.mails), smtp.transactions) == (1, 3)


async def test_a_mail_that_hangs_is_answered_when_the_server_behaves(smtp: SmtpServer) -> None:
    smtp.misbehave(Trouble.HANG_AT_DATA)
    sending = asyncio.create_task(send(smtp, BOB))
    await smtp.trouble_met()
    assert not sending.done()

    smtp.behave()
    await sending

    assert len(smtp.mails) == 1


async def test_a_connection_that_hangs_is_never_greeted(smtp: SmtpServer) -> None:
    smtp.misbehave(Trouble.HANG_AT_CONNECT)
    sending = asyncio.create_task(send(smtp, BOB))
    await smtp.trouble_met()

    smtp.behave()

    with pytest.raises(aiosmtplib.SMTPException):
        await sending
    assert (smtp.connections, smtp.mails) == (1, [])


@pytest.mark.parametrize(
    ("trouble", "kept"),
    [(Trouble.DROP_AT_CONNECT, 0), (Trouble.DROP_DURING_DATA, 0), (Trouble.DROP_BEFORE_REPLY, 1)],
)
async def test_a_dropped_connection_fails_the_sender(smtp: SmtpServer, trouble: Trouble, kept: int) -> None:
    smtp.misbehave(trouble)

    with pytest.raises((aiosmtplib.SMTPException, ConnectionError)):
        await send(smtp, BOB)

    assert len(smtp.mails) == kept
    smtp.clear()
    await send(smtp, BOB)
    assert len(smtp.mails) == 1


async def test_the_mail_server_comes_back_on_its_port(smtp: SmtpServer) -> None:
    await send(smtp, BOB)
    smtp.stop()
    with pytest.raises(aiosmtplib.SMTPConnectError):
        await send(smtp, BOB)

    smtp.start()
    await send(smtp, BOB)

    assert len(smtp.mails) == 2


async def test_stopping_cuts_a_mail_that_hangs(smtp: SmtpServer) -> None:
    smtp.misbehave(Trouble.HANG_AT_DATA)
    sending = asyncio.create_task(send(smtp, BOB))
    await smtp.trouble_met()

    smtp.stop()

    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await sending
    assert smtp.mails == []


async def test_starttls_and_login_are_demanded() -> None:
    with SmtpServer(tls="starttls", login=("handoff", "secret")) as server:
        with pytest.raises(aiosmtplib.SMTPException, match="STARTTLS"):
            await send(server, BOB)
        for password, taken in (("wrong", 0), ("secret", 1)):
            sending = aiosmtplib.send(
                mail(BOB),
                hostname="localhost",
                port=server.port,
                start_tls=True,
                cert_bundle=str(server.ca_file),
                username="handoff",
                password=password,
            )
            if taken:
                await sending
            else:
                with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                    await sending

    [received] = server.mails
    assert received.encrypted


async def test_a_mail_may_travel_in_implicit_tls() -> None:
    with SmtpServer(tls="implicit") as server:
        await aiosmtplib.send(
            mail(BOB), hostname="127.0.0.1", port=server.port, use_tls=True, cert_bundle=str(server.ca_file)
        )

    assert len(server.mails) == 1


def test_a_process_is_ready_once_it_says_so() -> None:
    with HandoffProcess("--help", ready_line="Usage:") as process:
        assert process.wait(PATIENCE) == 0

    assert not process.folder.exists()


def test_a_process_that_ends_at_once_is_reported_with_its_words() -> None:
    process = HandoffProcess("no-such-command", ready_line="never")

    with pytest.raises(RuntimeError, match="No such command"), process:
        pass

    assert not process.folder.exists()
