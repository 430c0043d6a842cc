"""The mail server of our own files every mail it takes, whole and by itself."""

import asyncio
import logging
import smtplib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import pytest

from notify.smtp import Mailer, MailServer, Reply
from server.mail_sink import MailSink, file_mail
from tests.patience import PATIENCE

NOW = datetime(2026, 11, 21, 12, 15, 30, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mails"


@pytest.fixture
def sink(folder: Path) -> Iterator[MailSink]:
    running = MailSink(folder)
    yield running
    running.stop()


def mail(message_id: str | None = "<delivery-1@example.org>") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "handoff@example.org", "bob@example.org", "Grüße"
    if message_id:
        message["Message-ID"] = message_id
    message.set_content("Hilfe ✓\n.\n")
    return message


async def handed_in(url: str) -> Reply:
    mailer = Mailer(MailServer.from_url(url))
    try:
        return await mailer.send(mail())
    finally:
        await mailer.close()


def test_a_mail_is_filed_as_it_was_sent(sink: MailSink, folder: Path) -> None:
    reply = asyncio.run(handed_in(sink.start()))

    [path] = folder.iterdir()
    assert reply.text == f"Filed as {path.name}"
    assert path.name.endswith("-delivery-1@example.org.eml")
    assert path.stat().st_mode & 0o777 == 0o600
    filed = BytesParser(policy=default).parsebytes(path.read_bytes())
    assert isinstance(filed, EmailMessage)
    assert (filed["Subject"], filed.get_content()) == ("Grüße", "Hilfe ✓\n.\n")


def test_the_folder_is_for_its_owner_alone(sink: MailSink, folder: Path) -> None:
    sink.start()

    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("message_id", "name"),
    [
        (b"<a@b>", "a@b"),
        (b"<../../etc/passwd>", "etc-passwd"),
        (b"<..>", None),
        (b"<\xff\x00/>", None),
        (b"=?utf-8?q?=2F=2E=2E?=", "utf-8-q-2F-2E-2E"),
        (b"<" + b"x" * 500 + b">", "x" * 120),
        (None, None),
    ],
)
def test_a_message_id_cannot_leave_the_folder(
    tmp_path: Path, message_id: bytes | None, name: str | None
) -> None:
    header = b"" if message_id is None else b"Message-ID: " + message_id + b"\r\n"

    path = file_mail(header + b"Subject: x\r\n\r\nHelp.\r\n", tmp_path, NOW)

    assert path.parent == tmp_path
    if name is None:
        assert len(path.name) == len("20261121T121530-.eml") + 36
    else:
        assert path.name == f"20261121T121530-{name}.eml"


def test_the_same_mail_twice_is_two_files(tmp_path: Path) -> None:
    paths = [file_mail(bytes(mail()) + number, tmp_path, NOW) for number in (b"1", b"2", b"3")]

    stem = "20261121T121530-delivery-1@example.org"
    assert [path.name for path in paths] == [f"{stem}.eml", f"{stem}-2.eml", f"{stem}-3.eml"]
    assert [path.read_bytes()[-1:] for path in paths] == [b"1", b"2", b"3"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_mail_that_cannot_be_filed_is_refused_for_now(sink: MailSink, folder: Path) -> None:
    port = MailServer.from_url(sink.start()).port
    folder.rmdir()

    with (
        smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client,
        pytest.raises(smtplib.SMTPDataError) as caught,
    ):
        client.send_message(mail())

    assert caught.value.smtp_code == 452


def test_no_address_is_logged(sink: MailSink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with smtplib.SMTP("127.0.0.1", MailServer.from_url(sink.start()).port, timeout=PATIENCE) as client:
        client.send_message(mail())

    assert "bob@example.org" not in caplog.text


def test_stopping_cuts_whoever_is_connected(sink: MailSink) -> None:
    port = MailServer.from_url(sink.start()).port
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        assert client.recv(100).startswith(b"220 ")

        sink.stop()

        assert client.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def test_a_sink_can_be_started_again_and_stopped_twice(sink: MailSink) -> None:
    threads = threading.active_count()
    for _ in range(20):
        port = MailServer.from_url(sink.start()).port
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        sink.stop()
    sink.stop()

    assert threading.active_count() == threads
