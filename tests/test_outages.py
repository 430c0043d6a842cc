"""Brokers, databases, mail servers and nodes go away: nothing is lost, and nothing comes twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, text

from db import events, mail_beginnings, migrate, presence
from db.deliveries import DeliveryRow
from db.enums import Channel, DeliveryKind, DeliveryStatus, EventKind, SkipReason
from db.models import deliveries
from db.models import events as events_table
from db.session import Database, columns_of
from db.users import UserRow
from schema.context import utc_now
from server.auth import Tokens
from tests.cast import Cast, make_cast
from tests.client import CREATE, SECRET, Api
from tests.full_disk import find_no_room
from tests.http_clients import http_client
from tests.mailing import make_outbox
from tests.servers.postgres import PostgresServer
from tests.servers.smtp import SmtpServer
from tests.servers.valkey import ValkeyServer
from tests.sockets import ESCALATIONS, eventually, open_socket
from tests.streams import Dashboard, Escalator, running, turned
from tests.workers import closing, make_node, make_worker, start, times_sent, until_settled

FEW = 20  #: escalations before, during and after an outage
PROMISED = 3.0  #: seconds after which an event must have been seen, whoever died

#: Holds a transaction that wrote an event in its COMMIT, when all its statements have passed.
HOLD_COMMITS = (
    """CREATE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$""",
    """CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION hold_commit()""",
)


@dataclass(frozen=True)
class Estate:
    """Two nodes and two workers, and what they stand on."""

    postgres: PostgresServer
    broker: ValkeyServer
    smtp: SmtpServer
    database_url: str
    cast: Cast
    addresses: tuple[str, str]


@pytest.fixture(scope="module")
def estate() -> Iterator[Estate]:
    """An estate whose servers may be stopped."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.delenv("HANDOFF_TEST_DATABASE_URL", raising=False)  # one that is not ours must not be stopped
        postgres = stack.enter_context(PostgresServer())
        broker, smtp = stack.enter_context(ValkeyServer()), stack.enter_context(SmtpServer())
        postgres.create_database("estate")
        url = postgres.url("estate")
        cast = asyncio.run(prepare(url))
        nodes = [make_node(url, broadcast_url=broker.url, grace=5) for _ in range(2)]
        workers = [make_worker(url, smtp, broadcast_url=broker.url) for _ in range(2)]
        processes = [*(node for node, _ in nodes), *workers]
        stack.enter_context(closing(*processes))
        asyncio.run(start(*processes))
        yield Estate(postgres, broker, smtp, url, cast, (nodes[0][1], nodes[1][1]))


@pytest.fixture
async def books(estate: Estate) -> AsyncIterator[Database]:
    """The estate's database, to look things up in."""
    database = Database(estate.database_url)
    yield database
    await database.dispose()


async def broker_away(estate: Estate, escalator: Escalator) -> None:
    """Stop Valkey, and bring it back."""
    estate.broker.stop()
    await escalator.until_made(FEW)
    estate.broker.start()


async def database_away(estate: Estate, escalator: Escalator) -> None:
    """Stop PostgreSQL, and bring it back."""
    await asyncio.to_thread(estate.postgres.stop)
    await escalator.until_refused(FEW)
    await asyncio.to_thread(estate.postgres.start)


async def database_killed(estate: Estate, escalator: Escalator) -> None:
    """Kill PostgreSQL with all its processes, and bring it back."""
    await asyncio.to_thread(estate.postgres.kill)
    await escalator.until_refused(FEW)
    await asyncio.to_thread(estate.postgres.start)


async def mail_server_away(estate: Estate, escalator: Escalator) -> None:
    """Stop the mail server, and bring it back."""
    estate.smtp.stop()
    await escalator.until_made(FEW)
    estate.smtp.start()


async def everything_away(estate: Estate, escalator: Escalator) -> None:
    """Stop all three, and bring them back in another order."""
    estate.smtp.stop()
    estate.broker.stop()
    await database_away(estate, escalator)
    estate.broker.start()
    estate.smtp.start()


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "outage", [broker_away, database_away, database_killed, mail_server_away, everything_away]
)
async def test_no_escalation_is_lost_and_none_is_told_twice(
    estate: Estate, books: Database, outage: Callable[[Estate, Escalator], Awaitable[None]]
) -> None:
    cast, before = estate.cast, await _last_event(books, estate.cast)
    estate.smtp.clear()
    escalator = Escalator(estate.addresses, token_of(cast.alice))
    dashboards = [
        Dashboard(estate.addresses, token_of(cast.bob), str(before)),
        Dashboard(turned(estate.addresses), token_of(cast.vera), str(before)),
    ]

    async with running(*dashboards):
        async with running(escalator):
            await escalator.until_made(FEW)
            await outage(estate, escalator)
            await books.dispose()
            await escalator.until_made(FEW)
        committed = await _escalated_after(books, cast, before)
        for dashboard in dashboards:
            await dashboard.until_seen(len(committed))
        await until_settled(books, within=200)

    # The last request may have been cut off between its commit and its answer.
    assert committed[: len(escalator.made)] == escalator.made
    assert len(committed) - len(escalator.made) <= 1
    assert [dashboard.seen for dashboard in dashboards] == [committed, committed]
    assert [dashboard.connected for dashboard in dashboards] == [1, 1]
    told = await _deliveries_of(books, cast, committed)
    colleagues = {cast.bob.id, cast.olivia.id, cast.adam.id}
    mails = {(row.handoff_id, row.recipient_id): row for row in told if row.channel == Channel.EMAIL}
    assert mails.keys() == {(handoff, user) for handoff in committed for user in colleagues}
    assert len(mails) == sum(row.channel == Channel.EMAIL for row in told)
    assert {row.kind for row in told} == {DeliveryKind.ESCALATION}
    sent = {row.id for row in mails.values() if row.status == DeliveryStatus.SENT}
    assert times_sent(estate.smtp) == dict.fromkeys(sent, 1)
    pushed = {key for key, row in mails.items() if row.reason == SkipReason.PUSH_DELIVERED}
    assert len(sent) + len(pushed) == len(mails)
    assert pushed <= {
        (row.handoff_id, row.recipient_id) for row in told if row.status == DeliveryStatus.DELIVERED
    }


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize("broadcast", ["redis", pytest.param("postgresql", marks=pytest.mark.long)])
async def test_a_node_killed_between_commit_and_publish_keeps_its_escalation_from_nobody(
    database: Database, database_url: str, cast: Cast, broadcast: str
) -> None:
    session = await cast.start_session()
    with ExitStack() as stack:
        broker = stack.enter_context(ValkeyServer()) if broadcast == "redis" else None
        broadcast_url = None if broker is None else broker.url
        (writer, taker), (reader, shower) = [
            make_node(database_url, broadcast_url=broadcast_url) for _ in range(2)
        ]
        stack.enter_context(closing(writer, reader))
        await start(writer, reader)
        before = await _last_event(database, cast)
        async with open_socket(f"ws://{shower}/graphql") as socket:
            await socket.init(token_of(cast.bob))
            pushed = await socket.subscribe(ESCALATIONS, after=str(before))
            await until_online(database, cast.bob)

            async with database.owning() as tx:
                for statement in HOLD_COMMITS:
                    await tx.execute(text(statement))
            async with database.system() as gate:
                await gate.execute(text("SELECT pg_advisory_xact_lock(1)"))
                asking = asyncio.create_task(_escalate(taker, cast, session.id))
                await until_a_commit_is_held(database)
                writer.pause()
            await until_committed(database, cast, before)
            writer.kill()

            event = await pushed.next_event(within=PROMISED)

        assert await asking is None
        (handoff_id,) = await _escalated_after(database, cast, before)
        assert (event["handoff"]["id"], event["missedBefore"]) == (str(handoff_id), 0)


async def test_mails_that_could_not_be_begun_are_due_at_once_when_the_database_is_back(
    api: Api, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    outbox = make_outbox(cast.database, smtp)
    with monkeypatch.context() as patch:
        patch.setattr(mail_beginnings, "begin_all", find_no_room)
        assert (await outbox.send_batch(), smtp.transactions) == (0, 0)

    assert await outbox.send_batch() == 3

    assert [row[3] for row in await api.deliveries(handoff_id)] == ["SENT"] * 3
    assert set(times_sent(smtp).values()) == {1}


async def until_online(database: Database, user: UserRow) -> None:
    """Wait until a node follows the events for a user's dashboard."""

    async def is_online() -> bool:
        async with database.reading(user.account_id) as tx:
            return user.id in await presence.online_for(tx, None, now=utc_now())

    await eventually(is_online)


async def until_a_commit_is_held(database: Database) -> None:
    """Wait until a transaction waits in its COMMIT."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")

    async def is_held() -> bool:
        async with database.system_reading() as tx:
            return bool(await tx.fetch_value(waiting))

    await eventually(is_held)


async def until_committed(database: Database, cast: Cast, after: int) -> None:
    """Wait until the account has a newer event."""

    async def is_committed() -> bool:
        return await _last_event(database, cast) > after

    await eventually(is_committed)


async def prepare(url: str) -> Cast:
    """Migrate an empty database and store the cast in it."""
    database = Database(url)
    async with database.owning() as tx:
        await migrate.upgrade(tx)
    cast = await make_cast(database)
    await database.dispose()
    return cast


async def _escalate(address: str, cast: Cast, session_id: UUID) -> httpx.Response | None:
    """Ask a node to escalate a session; None where no answer comes any more."""
    body = {"query": CREATE, "variables": {"input": {"sessionId": str(session_id), "intent": "ESCALATE"}}}
    async with http_client(headers={"Authorization": f"Bearer {token_of(cast.alice)}"}) as http:
        with suppress(httpx.HTTPError):
            return await http.post(f"http://{address}/graphql", json=body)
    return None


def token_of(user: UserRow) -> str:
    """Sign a user in."""
    return Tokens(SECRET).sign(user.id, valid_for=timedelta(hours=1))


async def _last_event(database: Database, cast: Cast) -> int:
    async with database.reading(cast.account_id) as tx:
        return await events.latest_sequence(tx)


async def _escalated_after(database: Database, cast: Cast, sequence: int) -> list[UUID]:
    """Return the handoffs that were made after an event, in the order of their commits."""
    made = select(events_table.c.handoff_id).where(
        events_table.c.account_id == cast.account_id,
        events_table.c.sequence > sequence,
        events_table.c.kind == EventKind.HANDOFF_CREATED,
    )
    async with database.reading(cast.account_id) as tx:
        return list((await tx.connection.execute(made.order_by(events_table.c.sequence))).scalars())


async def _deliveries_of(database: Database, cast: Cast, handoff_ids: list[UUID]) -> list[DeliveryRow]:
    own = (deliveries.c.account_id == cast.account_id, deliveries.c.handoff_id.in_(handoff_ids))
    async with database.reading(cast.account_id) as tx:
        return await tx.fetch_all(select(*columns_of(DeliveryRow, deliveries)).where(*own), DeliveryRow)
