"""Only a pong that echoes the ping's token is a receipt. Without one, the mail goes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import deliveries, pushes
from db.enums import Channel, DeliveryKind
from db.pushes import Push
from db.session import Database, Transaction
from db.users import UserRow
from notify.receipts import Receipts
from schema.context import utc_now
from tests.cast import Cast
from tests.live import Live, running_server
from tests.mailing import mails_of, make_due, make_outbox, open_dashboard, set_preferences
from tests.reaching import way_to
from tests.servers.smtp import SmtpServer
from tests.sockets import ESCALATIONS, Message, Operation, Socket, eventually

#: Status, reason and error of what a person is told, by channel.
Told = dict[str, tuple[str, str | None, str | None]]
CONFIRMED: Told = {"PUSH": ("DELIVERED", None, None), "EMAIL": ("SKIPPED", "PUSH_DELIVERED", None)}
WAITING: Told = {"PUSH": ("SENT", None, None), "EMAIL": ("PENDING", None, None)}
MAILED: Told = {"PUSH": ("FAILED", None, "NO_RECEIPT"), "EMAIL": ("SENT", None, None)}


async def test_a_pong_that_echoes_the_ping_settles_the_push_and_spares_the_mail(
    live: Live, smtp: SmtpServer
) -> None:
    cast = live.cast
    async with dashboard(live, cast.bob) as (_, pushed):
        handoff_id = await live.escalate_new()
        await pushed.next_event()

        await until_told(live, handoff_id, cast.bob, CONFIRMED)

    await end_grace(cast, smtp)
    assert {mail.recipients for mail in smtp.mails} == {(cast.olivia.email,), (cast.adam.email,)}


@pytest.mark.parametrize(
    "forge",
    [
        lambda ping: {"type": "pong"},
        lambda ping: {"type": "pong", "payload": {}},
        lambda ping: {"type": "pong", "payload": {"receipt": str(uuid4())}},
        lambda ping: {"type": "pong", "payload": {"receipt": ""}},
        lambda ping: {"type": "pong", "payload": {"receipt": [ping["payload"]["receipt"]]}},
        lambda ping: {"type": "pong", "payload": {"receipts": ping["payload"]["receipt"]}},
    ],
    ids=["no payload", "empty", "random token", "empty token", "token in a list", "token elsewhere"],
)
async def test_a_pong_that_does_not_echo_the_token_is_no_receipt(
    live: Live, smtp: SmtpServer, forge: Callable[[Message], Message]
) -> None:
    cast = live.cast
    async with (
        dashboard(live, cast.bob, answers_pings=False) as (bobs, pushed),
        dashboard(live, cast.adam, answers_pings=False) as (adams, _),
    ):
        handoff_id = await live.escalate_new()
        await pushed.next_event()

        await bobs.send(forge(await first_ping(bobs)))

        # Adam's receipt comes later and is recorded: whatever Bob's pong did is recorded, too.
        await until_handled(bobs)
        await answer(adams, await first_ping(adams))
        await until_told(live, handoff_id, cast.adam, CONFIRMED)
        assert await told(live, handoff_id, cast.bob) == WAITING

    await end_grace(cast, smtp)
    assert await told(live, handoff_id, cast.bob) == MAILED


async def test_a_pong_before_any_ping_is_no_receipt_of_what_comes_later(live: Live, smtp: SmtpServer) -> None:
    cast = live.cast
    async with dashboard(live, cast.bob, answers_pings=False) as (socket, pushed):
        await socket.send({"type": "pong", "payload": {"receipt": "early"}})
        await until_handled(socket)
        handoff_id = await live.escalate_new()
        await pushed.next_event()

        await until_told(live, handoff_id, cast.bob, WAITING)

    await end_grace(cast, smtp)
    assert await told(live, handoff_id, cast.bob) == MAILED


@pytest.mark.parametrize("thief", ["bob", "adam"])
async def test_a_token_is_worth_nothing_on_another_socket(live: Live, smtp: SmtpServer, thief: str) -> None:
    cast = live.cast
    async with (
        dashboard(live, cast.bob, answers_pings=False) as (bobs, pushed),
        live.dashboard(getattr(cast, thief), answers_pings=False) as other,
        dashboard(live, cast.olivia, answers_pings=False) as (olivias, _),
    ):
        handoff_id = await live.escalate_new()
        await pushed.next_event()

        await answer(other, await first_ping(bobs))

        await until_handled(other)
        await answer(olivias, await first_ping(olivias))
        await until_told(live, handoff_id, cast.olivia, CONFIRMED)
        assert await told(live, handoff_id, cast.bob) == WAITING

    await end_grace(cast, smtp)
    assert await told(live, handoff_id, cast.bob) == MAILED


def keep_silent(_: Socket) -> None:
    """Read everything and confirm nothing."""


def freeze(socket: Socket) -> None:
    """Read nothing any more, with the connection open."""
    socket.connection.transport.pause_reading()


@pytest.mark.parametrize("break_down", [keep_silent, freeze])
async def test_a_dashboard_that_does_not_confirm_ends_in_a_mail_that_says_why(
    live: Live, smtp: SmtpServer, break_down: Callable[[Socket], None]
) -> None:
    cast = live.cast
    async with dashboard(live, cast.bob, answers_pings=False) as (socket, _):
        break_down(socket)
        handoff_id = await live.escalate_new()
        await until_told(live, handoff_id, cast.bob, WAITING)

        await end_grace(cast, smtp)

        assert await told(live, handoff_id, cast.bob) == MAILED
        (mail,) = [mail for mail in smtp.mails if mail.recipients == (cast.bob.email,)]
        body = mail.message.get_body(("plain",))
        assert body is not None
        said = " ".join(body.get_content().split())
        assert "your dashboard did not confirm the escalation in time" in said
        socket.drop()


async def test_a_browser_that_is_killed_before_its_pong_ends_in_a_mail(live: Live, smtp: SmtpServer) -> None:
    cast = live.cast
    async with dashboard(live, cast.bob, answers_pings=False) as (socket, pushed):
        handoff_id = await live.escalate_new()
        await pushed.next_event()
        await until_told(live, handoff_id, cast.bob, WAITING)

        socket.drop()
        await live.until_online()

    await end_grace(cast, smtp)
    assert await told(live, handoff_id, cast.bob) == MAILED


async def test_a_worker_mails_by_itself_when_a_short_grace_is_over(
    database_url: str, cast: Cast, smtp: SmtpServer
) -> None:
    url = f"smtp+plain://{smtp.host}:{smtp.port}"
    async with (
        running_server(database_url, cast, worker="on", push_grace=0.1, smtp_url=url) as live,
        dashboard(live, cast.bob, answers_pings=False),
    ):
        handoff_id = await live.escalate_new()

        await until_told(live, handoff_id, cast.bob, MAILED)

    assert sorted(mail.recipients[0] for mail in smtp.mails) == [
        user.email for user in (cast.adam, cast.bob, cast.olivia)
    ]


async def test_a_pong_after_the_mail_changes_nothing(live: Live, smtp: SmtpServer) -> None:
    cast = live.cast
    async with (
        dashboard(live, cast.bob, answers_pings=False) as (bobs, _),
        dashboard(live, cast.adam, answers_pings=False) as (adams, _),
    ):
        handoff_id = await live.escalate_new()
        late, later = await first_ping(bobs), await first_ping(adams)
        await until_told(live, handoff_id, cast.bob, WAITING)
        await end_grace(cast, smtp)

        await answer(bobs, late)

        await until_handled(bobs)
        second = await live.escalate_new()
        await eventually(lambda: pinged_again(adams, later))
        await answer(adams, adams.pings[-1])
        await until_told(live, second, cast.adam, CONFIRMED)
        assert await told(live, handoff_id, cast.bob) == MAILED


async def test_a_pong_after_the_grace_spares_a_mail_that_could_not_be_sent_yet(
    live: Live, smtp: SmtpServer
) -> None:
    cast = live.cast
    smtp.refuse(cast.bob.email, 451, "try again later")
    async with dashboard(live, cast.bob, answers_pings=False) as (bobs, _):
        handoff_id = await live.escalate_new()
        late = await first_ping(bobs)
        await until_told(live, handoff_id, cast.bob, WAITING)
        await end_grace(cast, smtp)
        assert (await told(live, handoff_id, cast.bob))["PUSH"] == ("FAILED", None, "NO_RECEIPT")

        await answer(bobs, late)

        await eventually(lambda: is_spared(live, handoff_id, cast.bob))
    assert (await told(live, handoff_id, cast.bob))["PUSH"] == ("DELIVERED", None, None)


async def is_spared(live: Live, handoff_id: str, user: UserRow) -> bool:
    return (await told(live, handoff_id, user))["EMAIL"][:2] == ("SKIPPED", "PUSH_DELIVERED")


async def test_of_two_dashboards_of_one_person_one_pong_is_enough_and_two_settle_once(
    live: Live, smtp: SmtpServer
) -> None:
    cast = live.cast
    async with (
        dashboard(live, cast.bob, answers_pings=False) as (one, _),
        dashboard(live, cast.bob, answers_pings=False) as (two, _),
    ):
        handoff_id = await live.escalate_new()
        tokens = [await first_ping(one), await first_ping(two)]
        assert tokens[0]["payload"] != tokens[1]["payload"]

        await answer(one, tokens[0])
        await until_told(live, handoff_id, cast.bob, CONFIRMED)
        before = await rows_of(live, handoff_id, cast.bob)
        await answer(two, tokens[1])
        await until_handled(two)
        await live.node.receipts.stop()

        assert await rows_of(live, handoff_id, cast.bob) == before
        assert {row.channel: row.attempts for row in before} == {Channel.PUSH: 1, Channel.EMAIL: 0}
    await end_grace(cast, smtp)
    assert cast.bob.email not in {mail.recipients[0] for mail in smtp.mails}


async def test_a_dashboard_that_catches_up_in_time_spares_the_mail(live: Live, smtp: SmtpServer) -> None:
    cast = live.cast
    before = await live.cursor()
    handoff_id = await live.escalate_new()
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=before)
        await pushed.next_event()

        await until_told(live, handoff_id, cast.bob, CONFIRMED)

    await end_grace(cast, smtp)
    assert cast.bob.email not in {mail.recipients[0] for mail in smtp.mails}


async def test_a_viewer_is_asked_for_no_receipt(live: Live) -> None:
    cast = live.cast
    async with dashboard(live, cast.vera) as (socket, pushed):
        handoff_id = await live.escalate_new()
        await pushed.next_event()

        await until_handled(socket)
        assert socket.pings == []
    assert await told(live, handoff_id, cast.vera) == {}


async def test_who_mutes_pushes_at_an_open_dashboard_is_mailed_and_asked_for_no_receipt(
    live: Live, smtp: SmtpServer
) -> None:
    cast = live.cast
    async with dashboard(live, cast.bob) as (socket, pushed):
        await set_preferences(live, cast.bob, mutePush=True)

        handoff_id = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == handoff_id
        await until_handled(socket)
        assert socket.pings == []
    muted: Told = {"PUSH": ("SKIPPED", "OPTED_OUT", None), "EMAIL": ("PENDING", None, None)}
    assert await told(live, handoff_id, cast.bob) == muted
    await make_outbox(cast.database, smtp).send_batch()
    assert await told(live, handoff_id, cast.bob) == muted | {"EMAIL": ("SENT", None, None)}


async def test_who_mutes_pushes_no_more_is_asked_for_receipts_at_the_dashboard_that_is_open(
    live: Live,
) -> None:
    cast = live.cast
    await set_preferences(live, cast.bob, mutePush=True)
    async with dashboard(live, cast.bob) as (_, pushed):
        await set_preferences(live, cast.bob, mutePush=False)

        handoff_id = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == handoff_id
        await until_told(live, handoff_id, cast.bob, CONFIRMED)


@pytest.mark.parametrize("moment", ["before the claim", "after the claim"])
async def test_a_receipt_of_the_escalation_does_not_swallow_the_mail_that_tells_of_the_claim(
    live: Live, smtp: SmtpServer, moment: str
) -> None:
    cast = live.cast
    handoff_id = await live.escalate_new()
    await live.claim(cast.bob, handoff_id)
    async with dashboard(live, cast.alice, answers_pings=False) as (socket, pushed):
        await live.release(cast.bob, handoff_id)
        await pushed.next_event()
        ping = await first_ping(socket)
        if moment == "before the claim":
            await answer(socket, ping)
            await until_told(live, handoff_id, cast.alice, CONFIRMED)

        await live.claim(cast.olivia, handoff_id)
        await answer(socket, ping)
        await until_handled(socket)
        await live.node.receipts.stop()

    await end_grace(cast, smtp)
    about = await mails_of(cast.database, cast.account_id, handoff_id, DeliveryKind.CLAIMED)
    assert [(row.recipient_id, row.status) for row in about.values()] == [(cast.alice.id, "SENT")]
    assert [mail.recipients for mail in smtp.mails] == [(cast.alice.email,)]


class CountedDatabase(Database):
    """Counts the writing transactions, and says when one was asked for."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.count = 0
        self.asked = asyncio.Event()

    @asynccontextmanager
    async def transaction(self, account_id: UUID) -> AsyncIterator[Transaction]:
        """Open a transaction, and count it."""
        self.count += 1
        self.asked.set()
        async with super().transaction(account_id) as tx:
            yield tx


@pytest.fixture
async def counted(database_url: str) -> AsyncIterator[CountedDatabase]:
    """The test's database, counting."""
    database = CountedDatabase(database_url)
    yield database
    await database.dispose()


async def test_what_arrives_together_is_recorded_in_one_transaction(
    live: Live, counted: CountedDatabase
) -> None:
    cast, people = live.cast, (live.cast.bob, live.cast.olivia, live.cast.adam)
    for user in people:
        await open_dashboard(cast.database, user)
    handoff_ids = [await live.escalate_new() for _ in range(5)]
    receipts = Receipts(counted, utc_now)
    await receipts.start()

    for handoff_id in handoff_ids:
        for user in people:
            receipts.written(cast.account_id, Push(UUID(handoff_id), user.id, 0))
            receipts.confirmed(cast.account_id, Push(UUID(handoff_id), user.id, 0))
    await receipts.stop()

    assert counted.count == 1
    for handoff_id in handoff_ids:
        for user in people:
            assert await told(live, handoff_id, user) == CONFIRMED


async def test_more_receipts_at_once_than_a_statement_takes_values_are_recorded(
    live: Live, counted: CountedDatabase
) -> None:
    cast = live.cast
    await open_dashboard(cast.database, cast.bob)
    handoff_id = UUID(await live.escalate_new())
    receipts = Receipts(counted, utc_now)

    for _ in range(11_000):  # three values each, and PostgreSQL takes 32,767
        receipts.confirmed(cast.account_id, Push(uuid4(), cast.bob.id, 0))
    receipts.confirmed(cast.account_id, Push(handoff_id, cast.bob.id, 0))
    await receipts.start()
    await receipts.stop()

    assert await told(live, str(handoff_id), cast.bob) == CONFIRMED
    assert counted.count == 12


@pytest.mark.parametrize("comes_back", [True, False])
async def test_what_arrives_while_the_database_is_away_waits_for_it_until_the_node_stops(
    live: Live, database_url: str, comes_back: bool
) -> None:
    cast = live.cast
    await open_dashboard(cast.database, cast.bob)
    handoff_id = await live.escalate_new()
    before = await told(live, handoff_id, cast.bob)
    async with way_to(database_url) as way:
        apart = CountedDatabase(way.url)
        receipts = Receipts(apart, utc_now, batch_seconds=0, retry_seconds=0.01)
        for database in (apart, live.node.database, cast.database):
            await database.dispose()
        await way.cut(apart)
        await receipts.start()
        receipts.confirmed(cast.account_id, Push(UUID(handoff_id), cast.bob.id, 0))

        async def was_tried_often() -> bool:
            return apart.count > 10

        await eventually(was_tried_often)
        if comes_back:
            await way.mend()
        await receipts.stop()
        await apart.dispose()

    assert await told(live, handoff_id, cast.bob) == (CONFIRMED if comes_back else before)


async def test_what_arrives_while_others_are_recorded_is_not_lost_when_the_node_stops(
    live: Live, counted: CountedDatabase
) -> None:
    cast = live.cast
    await open_dashboard(cast.database, cast.bob)
    first, second = [await live.escalate_new() for _ in range(2)]
    receipts = Receipts(counted, utc_now, batch_seconds=0)
    await receipts.start()
    async with AsyncExitStack() as stack:
        tx = await stack.enter_async_context(Database.transaction(counted, cast.account_id))
        await pushes.mark_sent(tx, [Push(UUID(first), cast.bob.id, 0)], at=utc_now())
        receipts.confirmed(cast.account_id, Push(UUID(first), cast.bob.id, 0))
        await counted.asked.wait()

        receipts.confirmed(cast.account_id, Push(UUID(second), cast.bob.id, 0))
        stopping = asyncio.create_task(receipts.stop())
    await stopping

    assert await told(live, first, cast.bob) == CONFIRMED
    assert await told(live, second, cast.bob) == CONFIRMED


@asynccontextmanager
async def dashboard(
    live: Live, user: UserRow, *, answers_pings: bool = True
) -> AsyncIterator[tuple[Socket, Operation]]:
    """Let a user follow the escalations from now on while the block runs."""
    async with live.dashboard(user, answers_pings=answers_pings) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        if user.is_responder:
            await until_online(live, user)
        yield socket, pushed


async def until_online(live: Live, user: UserRow) -> None:
    """Wait until an escalation of now would be pushed to the user."""

    async def is_online() -> bool:
        return bool((await live.ask(user, "{ me { online } }")).only()["online"])

    await eventually(is_online)


async def first_ping(socket: Socket) -> Message:
    """Wait for the first ping that asks for a receipt."""

    async def has_come() -> bool:
        return bool(socket.pings)

    await eventually(has_come)
    return socket.pings[0]


async def pinged_again(socket: Socket, before: Message) -> bool:
    """Tell whether a ping came after this one."""
    return socket.pings[-1] != before


async def answer(socket: Socket, ping: Message) -> None:
    """Echo a ping."""
    await socket.send(ping | {"type": "pong"})


async def until_handled(socket: Socket) -> None:
    """Wait until the server has dealt with all that the socket sent."""
    await socket.send({"type": "ping", "payload": {"are": "you there"}})
    assert await socket.next_message() == {"type": "pong", "payload": {"are": "you there"}}


async def rows_of(live: Live, handoff_id: str, user: UserRow) -> list[Any]:
    """Return what a person is told of a handoff, as it is stored."""
    async with live.node.database.reading(live.cast.account_id) as tx:
        return (await deliveries.of_recipient(tx, [UUID(handoff_id)], user.id))[UUID(handoff_id)]


async def told(live: Live, handoff_id: str, user: UserRow) -> Told:
    """Return what a person is told of a handoff."""
    rows = await rows_of(live, handoff_id, user)
    return {row.channel: (row.status, row.reason, row.error) for row in rows}


async def until_told(live: Live, handoff_id: str, user: UserRow, wanted: Told) -> None:
    """Wait until a person is told of a handoff just so."""

    async def is_so() -> bool:
        return await told(live, handoff_id, user) == wanted

    await eventually(is_so)


async def end_grace(cast: Cast, smtp: SmtpServer) -> None:
    """Let the grace period end, and send what is due then."""
    await make_due(cast.database, cast.account_id)
    await make_outbox(cast.database, smtp).send_batch()
