"""A worker opens as many connections to the mail server as its latency calls for, up to a maximum."""

import asyncio

import pytest

from db.enums import DeliveryStatus
from notify.envelopes import Envelope
from notify.mailers import AT_FIRST, Mailers, connections_for
from notify.smtp import Mailer, MailServer
from tests.client import Api
from tests.mailing import mails_of, make_outbox
from tests.servers.smtp import SmtpServer, Trouble

SERVER = MailServer(host="nowhere.example", port=25, tls="off")


class Pool:
    """Connections that a test takes and puts back, and a clock that it sets."""

    def __init__(self, maximum: int) -> None:
        self.now = 0.0
        self.mailers = Mailers([_Reused(SERVER) for _ in range(maximum)], clock=lambda: self.now)

    def hand_in(self, seconds: float, mails: int = 50) -> None:
        """Hand in mails one after the other, each in hand for so long."""
        for _ in range(mails):
            mailer = self.mailers.take(self.now)
            self.now += seconds
            self.mailers.put_back(mailer)


class _Reused(Mailer):
    """A connection that has served mails before."""

    @property
    def has_just_connected(self) -> bool:
        """Whether the connection has served one mail at most."""
        return False


@pytest.mark.parametrize(("turn", "wanted"), [(0.0, 1), (0.0004, 1), (0.004, 8), (0.12, 240)])
def test_connections_follow_from_how_long_a_mail_is_in_hand(turn: float, wanted: int) -> None:
    assert connections_for(turn) == wanted


def test_before_the_first_answer_there_are_a_few() -> None:
    assert [Pool(maximum).mailers.size for maximum in (1, 3, 64)] == [1, 3, AT_FIRST]


def test_a_slow_server_gets_more_connections_and_a_fast_one_fewer() -> None:
    pool = Pool(64)

    pool.hand_in(seconds=0.12)
    slow = pool.mailers.size
    pool.hand_in(seconds=0.001, mails=200)

    assert (slow, pool.mailers.size) == (64, 3)


def test_room_is_what_is_not_in_hand() -> None:
    pool = Pool(3)

    mailers = [pool.mailers.take(pool.now) for _ in range(2)]
    assert pool.mailers.room == 1
    pool.mailers.put_back(mailers[0])

    assert pool.mailers.room >= 0
    assert pool.mailers.size >= 1


def test_mails_that_hang_make_room_for_others() -> None:
    pool = Pool(16)
    pool.hand_in(seconds=0.0005)
    pool.mailers.take(pool.now)
    before = pool.mailers.room

    pool.now += 1.0

    assert (before, pool.mailers.room) == (0, 15)


def test_the_connection_used_last_is_used_next() -> None:
    pool = Pool(8)
    first = pool.mailers.take(0.0)
    pool.mailers.put_back(first)

    assert pool.mailers.take(0.0) is first


async def test_mails_that_hang_leave_the_others_their_way(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    outbox = make_outbox(cast.database, smtp, mailers=6)
    smtp.misbehave(Trouble.HANG_AT_DATA)
    escalated = [await api.escalate(cast.alice, (await cast.start_session(str(n))).id) for n in range(2)]
    sending = asyncio.create_task(outbox.send_batch())

    await smtp.trouble_met(6)
    smtp.behave()

    assert await sending == 6
    for handoff_id in escalated:
        stored = await mails_of(cast.database, cast.account_id, handoff_id)
        assert [row.status for row in stored.values()] == [DeliveryStatus.SENT] * 3


async def test_connections_that_nobody_used_for_a_while_are_closed(smtp: SmtpServer) -> None:
    now = 0.0
    server = MailServer.from_url(f"smtp+plain://{smtp.host}:{smtp.port}?timeout=5")
    mailer = Mailer(server, clock=lambda: now)
    mailers = Mailers([mailer])
    await mailer.send(Envelope("handoff@msp.example", "bob@northwind.example", b"Subject: One\r\n\r\n"))
    at_once = mailer.is_idle

    now = 61.0
    later = mailer.is_idle
    await mailers.rest()

    assert (at_once, later, mailer.is_idle) == (False, True, False)
