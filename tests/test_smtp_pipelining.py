"""Several commands are said at once (RFC 2920): each answer is judged, and no mail goes that should not."""

import pytest
from aiosmtplib.protocol import PERIOD_REGEX, normalize_message_line_endings
from hypothesis import given
from hypothesis import strategies as st

from notify.envelopes import Envelope, on_the_wire
from notify.smtp import PermanentFault, Reply, SendFault, TemporaryFault
from tests.servers.smtp import SmtpServer
from tests.servers.smtp_conversation import Conversation, conversation
from tests.test_smtp_sending import PASSWORD, fault_in, mail, mailing, plain, secured

GROUP = ["MAIL FROM:<handoff@example.org>", "RCPT TO:<bob@example.org>", "DATA"]
SENT = bytes(mail()).replace(b"\n", b"\r\n")


def said(talk: Conversation) -> list[str]:
    """Return the commands that the server heard, but for greetings."""
    return [command for command in talk.said if not command.startswith(("EHLO", "QUIT"))]


async def test_a_mail_is_announced_at_once_and_all_answers_are_heard() -> None:
    async with conversation(pipelining=True) as talk, mailing(plain(talk.port)) as mailer:
        talk.is_late = True  # hears all three before it answers the first

        replies = [await mailer.send(mail()) for _ in range(2)]

    assert replies == [Reply(250, "OK")] * 2
    assert (said(talk), talk.connections) == (GROUP * 2, 1)
    assert talk.mails == [SENT] * 2


@pytest.mark.parametrize("pipelining", [True, False])
async def test_answers_that_come_byte_by_byte_are_heard(pipelining: bool) -> None:
    answers = {"rcpt": "250-yes\r\n250 indeed", "mail_sent": "250-queued\r\n250 as 1"}
    async with conversation(pipelining=pipelining, **answers) as talk, mailing(plain(talk.port)) as mailer:
        talk.is_slow = True

        replies = [await mailer.send(mail()) for _ in range(2)]

    assert replies == [Reply(250, "queued as 1")] * 2
    assert said(talk) == GROUP * 2


async def test_where_it_is_not_offered_each_command_waits_for_its_answer() -> None:
    async with conversation(rcpt="550 no such user") as talk, mailing(plain(talk.port)) as mailer:
        await fault_in(mailer)

    assert said(talk) == GROUP[:2]


async def test_it_is_offered_anew_after_the_connection_is_encrypted() -> None:
    with SmtpServer(tls="starttls", login=("handoff", "p@ss:w/rd")) as server:
        async with mailing(secured(server, PASSWORD)) as mailer:
            await mailer.send(mail())
            await mailer.send(mail())

    assert [received.encrypted for received in server.mails] == [True, True]
    assert (server.connections, server.transactions) == (1, 2)


REFUSALS = [
    ({"MAIL": "552 too big", "RCPT": "503 MAIL first", "DATA": "503 RCPT first"}, PermanentFault, 552),
    ({"MAIL": "451 not now", "RCPT": "503 MAIL first", "DATA": "503 RCPT first"}, TemporaryFault, 451),
    ({"RCPT": "550 no such user", "DATA": "554 no valid recipients"}, PermanentFault, 550),
    ({"RCPT": "450 greylisted", "DATA": "503 RCPT first"}, TemporaryFault, 450),
    ({"DATA": "451 not now"}, TemporaryFault, 451),
    ({"DATA": "554 no"}, PermanentFault, 554),
    ({"MAIL SENT": "452 disk full"}, TemporaryFault, 452),
    ({"MAIL SENT": "554 spam"}, PermanentFault, 554),
]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(("answers", "kind", "code"), REFUSALS)
async def test_the_first_refusal_counts_and_the_connection_serves_the_next_mail(
    answers: dict[str, str], kind: type[SendFault], code: int, pipelining: bool
) -> None:
    async with conversation(pipelining=pipelining) as talk, mailing(plain(talk.port)) as mailer:
        usual, talk.answers = talk.answers, {**talk.answers, **answers}
        fault = await fault_in(mailer)
        heard = len(said(talk))
        talk.answers = usual
        reply = await mailer.send(mail())

    assert (type(fault), fault.code, fault.in_doubt) == (kind, code, False)
    assert reply == Reply(250, "OK")
    assert said(talk)[heard:] == ["RSET", *GROUP]
    assert talk.connections == 1
    assert talk.mails == ([SENT, SENT] if "MAIL SENT" in answers else [SENT])


@pytest.mark.parametrize("end", ["554 no valid recipients", "250 OK"])
async def test_a_server_that_awaits_a_mail_for_nobody_gets_a_lone_dot(end: str) -> None:
    refused = {"rcpt": "550 no such user", "mail_sent": end}
    async with conversation(pipelining=True, **refused) as talk, mailing(plain(talk.port)) as mailer:
        fault = await fault_in(mailer)
        del talk.answers["RCPT"], talk.answers["MAIL SENT"]
        await mailer.send(mail())

    assert (type(fault), fault.code, fault.in_doubt) == (PermanentFault, 550, False)
    assert talk.mails == [b"", SENT]
    assert talk.connections == 1


async def test_a_recipient_taken_without_a_sender_gets_no_empty_mail() -> None:
    async with conversation(pipelining=True, mail="451 not now") as talk, mailing(plain(talk.port)) as mailer:
        fault = await fault_in(mailer)
        del talk.answers["MAIL"]
        await mailer.send(mail())

    assert (type(fault), fault.code, fault.in_doubt) == (TemporaryFault, 451, False)
    assert talk.mails == [SENT]
    assert talk.connections == 2


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "MAIL SENT"])
@pytest.mark.parametrize("is_reused", [True, False])
async def test_a_connection_cut_before_the_mail_is_handed_over_leaves_no_doubt(
    step: str, is_reused: bool, pipelining: bool
) -> None:
    async with conversation(pipelining=pipelining) as talk, mailing(plain(talk.port)) as mailer:
        if is_reused:
            await mailer.send(mail())
        usual, talk.answers = talk.answers, {**talk.answers, step: "hang up"}
        fault = await fault_in(mailer)
        talk.answers = usual
        await mailer.send(mail())

    may_have_it = step == "MAIL SENT"
    assert (type(fault), fault.code, fault.in_doubt) == (TemporaryFault, None, may_have_it)
    assert talk.mails == [SENT] * (1 + is_reused + may_have_it)
    # Cut at reuse, another connection is tried at once: nothing of the mail was handed over.
    assert talk.connections == 2 + (is_reused and not may_have_it)


@pytest.mark.parametrize("after", ["hang up", "421 closing", "hang"])
async def test_a_refusal_counts_whatever_becomes_of_the_connection_after_it(after: str) -> None:
    refused = {"rcpt": "550 no such user", "data": after}
    async with (
        conversation(pipelining=True, **refused) as talk,
        mailing(plain(talk.port, timeout=0.5)) as mailer,
    ):
        fault = await fault_in(mailer)

    assert (type(fault), fault.code, fault.in_doubt) == (PermanentFault, 550, False)
    assert talk.mails == []


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("step", "doing", "in_doubt"),
    [
        ("MAIL", "naming the sender", False),
        ("RCPT", "naming the recipient", False),
        ("DATA", "announcing the mail", False),
        ("MAIL SENT", "handing over the mail", True),
    ],
)
async def test_a_server_that_says_nothing_is_given_up_after_the_timeout(
    step: str, doing: str, in_doubt: bool, pipelining: bool
) -> None:
    async with (
        conversation(pipelining=pipelining) as talk,
        mailing(plain(talk.port, timeout=0.5)) as mailer,
    ):
        usual, talk.answers = talk.answers, {**talk.answers, step: "hang"}
        fault = await fault_in(mailer)
        talk.answers = usual
        await mailer.send(mail())

    text = f"The mail server did not answer in time (while {doing})."
    assert (type(fault), fault.code, fault.text, fault.in_doubt) == (TemporaryFault, None, text, in_doubt)
    assert talk.connections == 2


async def test_what_nobody_asked_for_answers_no_command() -> None:
    more = {"mail_sent": "250 OK\r\n550 and another thing"}
    async with conversation(pipelining=True, **more) as talk, mailing(plain(talk.port)) as mailer:
        replies = [await mailer.send(mail()) for _ in range(2)]

    assert replies == [Reply(250, "OK")] * 2


async def test_an_answer_without_end_is_not_read() -> None:
    endless = "250-more\r\n" * 10_000 + "250 done"
    async with conversation(pipelining=True, rcpt=endless) as talk, mailing(plain(talk.port)) as mailer:
        fault = await fault_in(mailer)

    assert (type(fault), fault.code, fault.text) == (
        TemporaryFault,
        None,
        "Response too long (while naming the recipient)",
    )


@given(st.binary().map(lambda drawn: b"".join(b"\r\n.a"[byte % 4 : byte % 4 + 1] for byte in drawn)))
def test_lines_and_dots_are_written_as_the_client_library_does(content: bytes) -> None:
    stuffed = PERIOD_REGEX.sub(b"..", normalize_message_line_endings(content)) + b".\r\n"

    envelope = Envelope("handoff@example.org", "bob@example.org", content)
    assert on_the_wire(envelope) == stuffed
