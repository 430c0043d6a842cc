"""Handing mails to a mail server: what is accepted, what may be tried again, and what never will."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from urllib.parse import unquote

import aiosmtplib
import pytest

from notify.send_faults import Phase, fault_of
from notify.smtp import Mailer, MailServer, PermanentFault, Reply, SendFault, TemporaryFault
from tests.patience import PATIENCE
from tests.servers.processes import free_port
from tests.servers.smtp import SmtpServer, Trouble
from tests.servers.smtp_conversation import conversation

BOB = "bob@example.org"
PASSWORD = "p%40ss%3Aw%2Frd"


def mail(to: str = BOB, sender: str = "handoff@example.org", body: str = "Help.") -> EmailMessage:
    local, _, domain = to.rpartition("@")
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, Address("", local, domain), "Escalation"
    message.set_content(body)
    return message


def plain(port: int, timeout: float = PATIENCE) -> MailServer:
    return MailServer(host="127.0.0.1", port=port, tls="off", timeout_seconds=timeout)


@asynccontextmanager
async def mailing(server: MailServer, clock: Callable[[], float] = time.monotonic) -> AsyncIterator[Mailer]:
    mailer = Mailer(server, clock=clock)
    try:
        yield mailer
    finally:
        await mailer.close()


async def fault_in(mailer: Mailer, message: EmailMessage | None = None) -> SendFault:
    with pytest.raises(SendFault) as caught:
        await mailer.send(message or mail())
    return caught.value


@pytest.fixture(params=[True, False], ids=["at once", "one by one"])
def pipelining(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def server(pipelining: bool) -> Iterator[SmtpServer]:
    with SmtpServer(pipelining=pipelining) as running:
        yield running


@pytest.fixture
async def mailer(server: SmtpServer) -> AsyncIterator[Mailer]:
    async with mailing(plain(server.port)) as sender:
        yield sender


# --- accepted


async def test_an_accepted_mail_arrives_as_it_was_written(server: SmtpServer, mailer: Mailer) -> None:
    reply = await mailer.send(mail(body="Grüße\n.\n.dots\n"))

    assert reply == Reply(250, "OK")
    [received] = server.mails
    assert (received.sender, received.recipients) == ("handoff@example.org", (BOB,))
    assert received.message.get_content() == "Grüße\n.\n.dots\n"
    assert received.content.isascii()
    assert not received.encrypted


async def test_one_connection_serves_many_mails(server: SmtpServer, mailer: Mailer) -> None:
    for _ in range(5):
        await mailer.send(mail())

    assert (server.connections, len(server.mails)) == (1, 5)


async def test_a_connection_is_changed_after_a_hundred_mails(server: SmtpServer, mailer: Mailer) -> None:
    for _ in range(101):
        await mailer.send(mail())

    assert (server.connections, len(server.mails)) == (2, 101)


async def test_an_idle_connection_is_changed_after_a_minute(server: SmtpServer) -> None:
    now = 0.0
    async with mailing(plain(server.port), lambda: now) as mailer:
        await mailer.send(mail())
        now = 59.0
        await mailer.send(mail())
        assert server.connections == 1

        now = 59.0 + 60.0
        await mailer.send(mail())

    assert (server.connections, len(server.mails)) == (2, 3)


async def test_a_mailer_can_send_again_after_it_was_closed(server: SmtpServer, mailer: Mailer) -> None:
    await mailer.close()
    await mailer.send(mail())
    await mailer.close()
    await mailer.send(mail())

    assert (server.connections, len(server.mails)) == (2, 2)


async def test_letters_beyond_ascii_in_an_address_are_sent_where_they_are_taken(
    server: SmtpServer, mailer: Mailer
) -> None:
    await mailer.send(mail(to="böb@example.org"))

    assert [received.recipients for received in server.mails] == [("böb@example.org",)]


async def test_the_reply_is_kept_in_one_line_without_controls(pipelining: bool) -> None:
    answer = f"250-queued\x07\t as\r\n250 {'x' * 600}"
    async with (
        conversation(pipelining=pipelining, mail_sent=answer) as talk,
        mailing(plain(talk.port)) as mailer,
    ):
        reply = await mailer.send(mail())

    assert reply.text.startswith("queued as xxx")
    assert len(reply.text) == 500


async def test_the_size_is_announced_where_it_is_asked_for() -> None:
    answer = "250-here\r\n250 SIZE 1000"
    async with conversation(ehlo=answer) as talk, mailing(plain(talk.port)) as mailer:
        await mailer.send(mail())

    content = bytes(mail()).replace(b"\n", b"\r\n")
    assert f"MAIL FROM:<handoff@example.org> SIZE={len(content)}" in talk.said


# --- refused


async def test_an_unknown_recipient_is_refused_for_good(server: SmtpServer, mailer: Mailer) -> None:
    server.refuse(BOB, 550, "5.1.1 no such user")

    fault = await fault_in(mailer)

    assert isinstance(fault, PermanentFault)
    assert (fault.code, fault.text, fault.in_doubt) == (550, "5.1.1 no such user", False)


async def test_a_busy_mailbox_is_refused_for_now(server: SmtpServer, mailer: Mailer) -> None:
    server.refuse(BOB, 451, "4.2.0 come back later")

    fault = await fault_in(mailer)

    assert isinstance(fault, TemporaryFault)
    assert (fault.code, fault.text, fault.in_doubt) == (451, "4.2.0 come back later", False)


async def test_a_refused_mail_costs_no_connection(server: SmtpServer, mailer: Mailer) -> None:
    server.refuse(BOB, 550, "no such user")
    server.refuse_mail(452, "disk full", times=1)

    await fault_in(mailer)
    await fault_in(mailer, mail(to="eve@example.org"))
    await fault_in(mailer)
    await mailer.send(mail(to="eve@example.org"))

    assert (server.connections, len(server.mails), server.transactions) == (1, 1, 4)


@pytest.mark.parametrize(("code", "kind"), [(452, TemporaryFault), (554, PermanentFault)])
async def test_a_mail_refused_after_its_content_is_judged_by_its_code(
    server: SmtpServer, mailer: Mailer, code: int, kind: type[SendFault]
) -> None:
    server.refuse_mail(code, "not this one")

    fault = await fault_in(mailer)

    assert type(fault) is kind
    assert (fault.code, fault.in_doubt) == (code, False)
    assert server.mails == []


@pytest.mark.parametrize(
    ("phase", "code", "text", "kind"),
    [
        (Phase.CONNECT, 554, "no SMTP service here", TemporaryFault),
        (Phase.CONNECT, 535, "wrong password", TemporaryFault),
        (Phase.SENDER, 550, "sender not yours", TemporaryFault),
        (Phase.SENDER, 530, "authentication required", TemporaryFault),
        (Phase.SENDER, 552, "message too big", PermanentFault),
        (Phase.RECIPIENT, 421, "closing", TemporaryFault),
        (Phase.RECIPIENT, 450, "greylisted", TemporaryFault),
        (Phase.RECIPIENT, 503, "MAIL first", TemporaryFault),
        (Phase.RECIPIENT, 550, "user unknown", PermanentFault),
        (Phase.RECIPIENT, 553, "mailbox name not allowed", PermanentFault),
        (Phase.RECIPIENT, 554, "5.7.1 <bob@example.org>: Relay access denied", TemporaryFault),
        (Phase.RECIPIENT, 550, "5.7.54 SMTP; Unable to relay recipient", TemporaryFault),
        (Phase.RECIPIENT, 553, "5.7.1 <x@y>: Sender address rejected: not owned by user", TemporaryFault),
        (Phase.RECIPIENT, 554, "5.7.1 <host>: Client host rejected: Access denied", TemporaryFault),
        (Phase.DATA, 550, "5.7.60 no permissions to send as this sender", TemporaryFault),
        (Phase.DATA, 554, "Message rejected: Email address is not verified.", TemporaryFault),
        (Phase.DATA, 550, "5.4.5 Daily user sending limit exceeded", TemporaryFault),
        (Phase.DATA, 554, "5.7.1 looks like spam", PermanentFault),
    ],
)
def test_only_a_refusal_of_the_recipient_or_the_mail_is_for_good(
    phase: Phase, code: int, text: str, kind: type[SendFault]
) -> None:
    fault = fault_of(aiosmtplib.SMTPResponseException(code, text), phase)

    assert type(fault) is kind
    assert (fault.code, fault.text) == (code, text)


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"greeting": "554 go away"}, 554),
        ({"greeting": "421 too busy"}, 421),
        ({"ehlo": "550 who are you"}, 550),
        ({"mail": "550 not you"}, 550),
        ({"mail": "421 closing"}, 421),
        ({"rcpt": "421 closing"}, 421),
        ({"data": "421 closing"}, 421),
        ({"greeting": "hello?"}, None),
        ({"greeting": "hang up"}, None),
        ({"ehlo": "hang up"}, None),
        ({"mail": "hang up"}, None),
        ({"mail": "250-never\r\n-ending"}, None),
        ({"rcpt": "354 what?"}, None),
        ({"rcpt": "999 what?"}, None),
    ],
)
async def test_a_server_in_trouble_is_tried_again(
    answers: dict[str, str], code: int | None, pipelining: bool
) -> None:
    async with conversation(pipelining=pipelining, **answers) as talk, mailing(plain(talk.port)) as mailer:
        fault = await fault_in(mailer)
        assert isinstance(fault, TemporaryFault)
        assert (fault.code, fault.in_doubt) == (code, False)
        assert fault.text

        talk.answers.clear()
        assert (await mailer.send(mail())).code == 250


@pytest.mark.parametrize(("answer", "in_doubt"), [("hang up", True), ("250 what?", True), ("451 no", False)])
@pytest.mark.parametrize("step", ["data", "mail_sent"])
async def test_a_mail_is_in_doubt_only_if_nothing_is_said_to_its_content(
    step: str, answer: str, in_doubt: bool, pipelining: bool
) -> None:
    answer = answer.replace("250", "350")
    told = {step: answer}
    async with conversation(pipelining=pipelining, **told) as talk, mailing(plain(talk.port)) as mailer:
        fault = await fault_in(mailer)

    assert isinstance(fault, TemporaryFault)
    assert fault.in_doubt is (in_doubt and step == "mail_sent")
    assert talk.connections == 1


@pytest.mark.parametrize("trouble", [Trouble.DROP_DURING_DATA, Trouble.DROP_BEFORE_REPLY])
async def test_a_mail_that_was_begun_is_not_sent_twice(
    server: SmtpServer, mailer: Mailer, trouble: Trouble
) -> None:
    await mailer.send(mail())
    server.misbehave(trouble)

    fault = await fault_in(mailer)

    assert isinstance(fault, TemporaryFault)
    assert fault.in_doubt
    assert (server.connections, server.transactions) == (1, 2)


# --- nobody there, or nobody answering


async def test_an_absent_server_is_tried_again() -> None:
    fault = await fault_in(Mailer(plain(free_port())))

    assert isinstance(fault, TemporaryFault)
    assert fault.code is None
    assert "Error connecting to 127.0.0.1" in fault.text
    assert fault.text.endswith("(while connecting)")


async def test_a_host_that_does_not_exist_is_tried_again() -> None:
    fault = await fault_in(Mailer(MailServer(host="no-such-host.invalid", port=25, tls="off")))

    assert isinstance(fault, TemporaryFault)


@pytest.mark.parametrize(
    ("trouble", "phase", "in_doubt"),
    [
        (Trouble.HANG_AT_CONNECT, "connecting", False),
        (Trouble.HANG_AT_DATA, "handing over the mail", True),
    ],
)
async def test_a_hung_server_holds_nobody_longer_than_its_timeout(
    server: SmtpServer, trouble: Trouble, phase: str, in_doubt: bool
) -> None:
    server.misbehave(trouble)
    async with mailing(plain(server.port, timeout=3)) as mailer, asyncio.timeout(PATIENCE):
        fault = await fault_in(mailer)
    server.behave()

    assert isinstance(fault, TemporaryFault)
    assert fault.text == f"The mail server did not answer in time (while {phase})."
    assert fault.in_doubt is in_doubt


async def test_a_server_that_reads_on_too_late_gets_no_more() -> None:
    late, received = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (b"220 ready\r\n", b"250 OK\r\n", b"250 OK\r\n", b"250 OK\r\n", b"354 go on\r\n"):
            writer.write(answer)
            command = await reader.readline()
        await late.wait()
        size = len(command)
        with suppress(ConnectionError):
            while chunk := await reader.read(1_000_000):
                size += len(chunk)
        writer.close()
        received.set_result(size)

    async with await asyncio.start_server(read_late, "127.0.0.1", 0) as listener:
        mailer = Mailer(plain(listener.sockets[0].getsockname()[1], timeout=3))
        fault = await fault_in(mailer, mail(body="x" * 20_000_000))
        late.set()

        async with asyncio.timeout(PATIENCE):
            assert await received < 15_000_000
    assert fault.in_doubt


async def test_a_cancelled_send_leaves_no_half_spoken_connection(server: SmtpServer, mailer: Mailer) -> None:
    server.misbehave(Trouble.HANG_AT_DATA)
    sending = asyncio.create_task(mailer.send(mail()))
    await server.trouble_met()

    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    server.behave()

    assert await mailer.send(mail()) == Reply(250, "OK")
    assert server.connections == 2


async def test_closing_waits_for_no_hung_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notify.smtp.QUIT_SECONDS", 0.1)
    async with conversation(quit="250-never") as talk:
        mailer = Mailer(plain(talk.port))
        await mailer.send(mail())

        async with asyncio.timeout(PATIENCE / 2):
            await mailer.close()

    assert talk.said[-1] == "QUIT"


# --- a connection that died while nobody used it


async def test_a_connection_closed_by_the_server_is_replaced(server: SmtpServer, mailer: Mailer) -> None:
    await mailer.send(mail())
    server.restart()

    assert await mailer.send(mail()) == Reply(250, "OK")
    assert (server.connections, len(server.mails)) == (2, 2)


GOODBYES = ["hang up", "421 idle too long"]


@pytest.mark.parametrize("goodbye", GOODBYES)
async def test_a_connection_that_ends_at_reuse_is_replaced(goodbye: str, pipelining: bool) -> None:
    async with (
        conversation(pipelining=pipelining, rcpt="550 no such user") as talk,
        mailing(plain(talk.port)) as mailer,
    ):
        await fault_in(mailer)
        talk.answers = {"RSET": goodbye}  # what a refused mail makes the next one begin with

        assert await mailer.send(mail()) == Reply(250, "OK")

    assert talk.connections == 2


@pytest.mark.parametrize("goodbye", GOODBYES)
@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_connection_that_ends_again_and_again_is_replaced_once(
    goodbye: str, command: str, pipelining: bool
) -> None:
    async with conversation(pipelining=pipelining) as talk, mailing(plain(talk.port)) as mailer:
        await mailer.send(mail())
        talk.answers = {command: goodbye}

        fault = await fault_in(mailer)

    assert isinstance(fault, TemporaryFault)
    assert talk.connections == 2


async def test_a_refusal_at_reuse_is_not_tried_anew(server: SmtpServer, mailer: Mailer) -> None:
    await mailer.send(mail())
    server.refuse(BOB, 550, "no such user")

    await fault_in(mailer)

    assert server.transactions == 2


# --- mails that cannot be sent at all


def without_recipient() -> EmailMessage:
    message = mail()
    del message["To"]
    return message


def with_two_recipients() -> EmailMessage:
    message = without_recipient()
    message["To"] = "bob@example.org, eve@example.org"
    return message


def with_a_copy() -> EmailMessage:
    message = mail()
    message["Bcc"] = "eve@example.org"
    return message


def with_a_lone_surrogate() -> EmailMessage:
    message = mail()
    message.set_payload("\ud800")
    return message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (without_recipient(), "A mail needs one address in To, not 0."),
        (with_two_recipients(), "A mail needs one address in To, not 2."),
        (with_a_copy(), "A mail goes to one recipient: it cannot have Cc or Bcc."),
        (with_a_lone_surrogate(), "(while writing it down)"),
    ],
)
async def test_a_mail_that_cannot_be_sent_is_refused_before_anything_is_said(
    server: SmtpServer, mailer: Mailer, message: EmailMessage, reason: str
) -> None:
    fault = await fault_in(mailer, message)

    assert isinstance(fault, PermanentFault)
    assert reason in fault.text
    assert server.connections == 0


@pytest.mark.parametrize(
    ("phase", "kind"), [(Phase.RECIPIENT, PermanentFault), (Phase.SENDER, TemporaryFault)]
)
def test_an_address_that_cannot_be_said_is_for_good_only_if_it_is_the_recipient(
    phase: Phase, kind: type[SendFault]
) -> None:
    fault = fault_of(ValueError("characters not permitted"), phase)

    assert type(fault) is kind
    assert fault.code is None


async def test_letters_beyond_ascii_are_refused_for_good_where_they_are_not_taken() -> None:
    async with conversation() as talk, mailing(plain(talk.port)) as mailer:
        fault = await fault_in(mailer, mail(to="böb@example.org"))
        await mailer.send(mail())

    assert isinstance(fault, PermanentFault)
    assert fault.text == "The mail server takes no address with letters beyond ASCII (SMTPUTF8)."
    assert talk.connections == 1
    assert [command for command in talk.said if "MAIL" in command] == ["MAIL FROM:<handoff@example.org>"]


# --- TLS and login


@pytest.fixture
def secure() -> Iterator[SmtpServer]:
    with SmtpServer(tls="starttls", login=("handoff", unquote(PASSWORD))) as running:
        yield running


def secured(server: SmtpServer, password: str) -> MailServer:
    url = f"smtp://handoff:{password}@127.0.0.1:{server.port}?timeout={PATIENCE}&ca={server.ca_file}"
    return MailServer.from_url(url)


async def test_a_mail_travels_encrypted_after_a_login(secure: SmtpServer) -> None:
    async with mailing(secured(secure, PASSWORD)) as mailer:
        await mailer.send(mail())
        await mailer.send(mail())

    assert [received.encrypted for received in secure.mails] == [True, True]
    assert secure.connections == 1


async def test_a_refused_login_burns_no_mail(secure: SmtpServer) -> None:
    fault = await fault_in(Mailer(secured(secure, "wrong")))

    assert isinstance(fault, TemporaryFault)
    assert fault.code == 535
    assert "wrong" not in fault.text
    assert secure.mails == []


async def test_a_certificate_nobody_vouches_for_stops_the_mail(secure: SmtpServer) -> None:
    server = MailServer(host="127.0.0.1", port=secure.port, tls="starttls", timeout_seconds=PATIENCE)

    fault = await fault_in(Mailer(server))

    assert isinstance(fault, TemporaryFault)
    assert "certificate" in fault.text
    assert secure.transactions == 0


async def test_nothing_is_sent_in_the_clear_where_starttls_is_missing() -> None:
    async with conversation() as talk:
        server = MailServer(host="127.0.0.1", port=talk.port, username="u", password="p")
        fault = await fault_in(Mailer(server))

    assert isinstance(fault, TemporaryFault)
    assert "STARTTLS extension not supported" in fault.text
    assert [command.split()[0] for command in talk.said] == ["EHLO"]


async def test_nothing_is_sent_in_the_clear_where_starttls_is_refused() -> None:
    offered = "250-here\r\n250 STARTTLS"
    async with conversation(ehlo=offered, starttls="454 not now") as talk:
        server = MailServer(host="127.0.0.1", port=talk.port, username="u", password="p")
        mailer = Mailer(server)
        faults = [await fault_in(mailer), await fault_in(mailer)]

    assert [(type(fault), fault.code) for fault in faults] == [(TemporaryFault, 454)] * 2
    assert [command.split()[0] for command in talk.said] == ["EHLO", "STARTTLS"] * 2


async def test_a_login_the_server_does_not_know_is_tried_again() -> None:
    async with conversation() as talk:
        server = MailServer(host="127.0.0.1", port=talk.port, username="u", password="p", tls="off")
        fault = await fault_in(Mailer(server))

    assert isinstance(fault, TemporaryFault)
    assert "AUTH extension is not supported" in fault.text


async def test_tls_from_the_first_byte() -> None:
    with SmtpServer(tls="implicit") as server:
        url = f"smtps://127.0.0.1:{server.port}?ca={server.ca_file}"
        async with mailing(MailServer.from_url(url)) as mailer:
            await mailer.send(mail())

        assert len(server.mails) == 1


async def test_a_server_without_tls_where_tls_is_expected_is_tried_again(server: SmtpServer) -> None:
    fault = await fault_in(
        Mailer(MailServer(host="127.0.0.1", port=server.port, tls="implicit", timeout_seconds=PATIENCE))
    )

    assert isinstance(fault, TemporaryFault)
    assert isinstance(fault.__cause__, aiosmtplib.SMTPConnectError | ssl.SSLError)


# --- the URL


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", MailServer(host="mail.example.org", port=587, tls="starttls")),
        ("smtps://mail.example.org/", MailServer(host="mail.example.org", port=465, tls="implicit")),
        ("smtp+plain://localhost:1025", MailServer(host="localhost", port=1025, tls="off")),
        ("smtp+plain://[::1]?timeout=2.5", MailServer(host="::1", port=25, tls="off", timeout_seconds=2.5)),
        (
            "SMTP://me%40example.org:p%3Aw%2F@Mail.Example.Org:2525",
            MailServer(host="mail.example.org", port=2525, username="me@example.org", password="p:w/"),
        ),
    ],
)
def test_a_mail_server_is_read_from_its_url(url: str, expected: MailServer) -> None:
    assert MailServer.from_url(url) == expected


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must begin with smtp://"),
        ("https://hunter2@example.org", "must begin with smtp://"),
        ("smtp://", "names no host"),
        ("smtp://user:hunter2@", "names no host"),
        ("smtp://user:hunter2@ex ample.org", "names no host"),
        ("smtp://user:hunter2@[::1", "cannot be read"),
        ("smtp://user:hunter2@example.org:99999", "cannot be read"),
        ("smtp://user:hunter2/x@example.org", "cannot be read"),
        ("smtp://user:hunter2?x@example.org", "cannot be read"),
        ("smtp://user:1#hunter2@example.org", "must be scheme://"),
        ("smtp://user:hunter2@example.org/inbox", "must be scheme://"),
        ("smtp://user:hunter2@example.org:0", "must be scheme://"),
        ("smtp://user@example.org", "both a user and a password"),
        ("smtp://:hunter2@example.org", "both a user and a password"),
        ("smtp://example.org?hunter2=1", "options timeout and ca"),
        ("smtp://example.org?timeout=hunter2", "number of seconds up to 600"),
        ("smtp://example.org?timeout=0", "number of seconds up to 600"),
        ("smtp://example.org?timeout=601", "number of seconds up to 600"),
        ("smtp://example.org?timeout=nan", "number of seconds up to 600"),
        ("smtp://example.org?ca=/hunter2.pem", "does not exist"),
        (f"smtp+plain://example.org?ca={__file__}", "uses no TLS"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        MailServer.from_url(url)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_password_is_not_shown() -> None:
    server = MailServer.from_url("smtp://user:hunter2@example.org")

    assert server.password == "hunter2"
    assert "hunter2" not in repr(server)
