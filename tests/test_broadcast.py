"""Wake-ups reach every node, through servers that are killed, frozen or away, and at a bounded cost."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio
from broadcaster import Broadcast, Event

from notify.broadcast import backend, wakeups
from notify.broadcast.backend import InboxBackend, ReconnectingBackend, Timing, backoff_seconds
from notify.broadcast.inbox import COMPARE_EVERYTHING, Inbox
from notify.broadcast.latest import EVERYTHING, GREATEST_SEQUENCE, Wakeup
from notify.broadcast.memory import MemoryBackend
from notify.broadcast.postgres import PostgresBackend, asyncpg_dsn
from notify.broadcast.redis import RedisBackend
from notify.broadcast.wakeups import CHANNEL, Wakeups
from tests.patience import PATIENCE
from tests.servers.certificates import make_certificate
from tests.servers.postgres import PostgresServer
from tests.servers.processes import free_port
from tests.servers.valkey import ValkeyServer

QUICK = Timing(idle_seconds=0.4, connect_seconds=2.0, backoff_seconds=0.01, backoff_cap_seconds=0.1)
UNASKED = Timing(idle_seconds=600.0, backoff_seconds=0.01, backoff_cap_seconds=0.1)
STEADY = Timing(idle_seconds=PATIENCE, answer_seconds=PATIENCE, connect_seconds=PATIENCE)
ACCOUNTS = [uuid.UUID(int=number) for number in range(1, 51)]
DATABASE = "broadcast"


class Broker:
    """A server under test, or none for the memory of one process."""

    def __init__(self, url: str, server: PostgresServer | ValkeyServer | None = None) -> None:
        self.url = url
        self.server = server

    async def do(self, *actions: str) -> None:
        """Start, stop, kill, pause or resume the server, while the event loop goes on."""
        for action in actions:
            await asyncio.to_thread(getattr(self.server, action))


class Ear:
    """A listener that remembers what it heard."""

    def __init__(self, node: Wakeups) -> None:
        self.highest: dict[uuid.UUID, int] = {}
        self.comparisons = 0
        self._node = node
        self._changed = asyncio.Condition()
        self.task = asyncio.create_task(self._listen())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that depends on what was heard."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(holds)

    async def until_heard(self, account: uuid.UUID, sequence: int) -> None:
        """Wait until this is the newest that is known of an account."""
        await self.until(lambda: self.highest.get(account) == sequence)

    async def until_compared_again(self, before: int) -> None:
        """Wait for one more call to compare everything than there were before."""
        await self.until(lambda: self.comparisons > before)

    async def until_it_works(self) -> None:
        """Announce something and wait until it came back from the server."""
        account = uuid.uuid4()
        self._node.announce(account, 1)
        await self.until_heard(account, 1)

    async def _listen(self) -> None:
        async with aclosing(self._node.listen()) as heard:
            async for wakeup in heard:
                async with self._changed:
                    if wakeup.account_id is None:
                        self.comparisons += 1
                    else:
                        self.highest[wakeup.account_id] = wakeup.sequence
                    self._changed.notify_all()


@asynccontextmanager
async def running(url: str, timing: Timing = QUICK) -> AsyncIterator[tuple[Wakeups, Ear]]:
    """Run a node and an ear on it; its end proves that `stop` ends listeners."""
    node = Wakeups(url, timing=timing)
    await node.start()
    ear = Ear(node)
    try:
        yield node, ear
    finally:
        await node.stop()
        await asyncio.wait_for(ear.task, PATIENCE)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Broker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(
            "HANDOFF_TEST_DATABASE_URL", raising=False
        )  # a server that is not ours must not be killed
        with PostgresServer() as server:
            server.create_database(DATABASE)
            yield Broker(server.url(DATABASE), server)


@pytest.fixture(scope="module")
def valkey() -> Iterator[Broker]:
    with ValkeyServer() as server:
        yield Broker(server.url, server)


@pytest.fixture(params=["postgres", "valkey"])
def served(request: pytest.FixtureRequest) -> Iterator[Broker]:
    broker: Broker = request.getfixturevalue(request.param)
    assert broker.server is not None
    broker.server.start()
    yield broker
    broker.server.start()
    broker.server.resume()


@pytest.fixture(params=["memory", "postgres", "valkey"])
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == "memory":
        return Broker("memory://")
    found: Broker = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def lost() -> AsyncGenerator[asyncio.Event]:
    """Set as soon as a backend notices that its connection is lost."""
    noticed = asyncio.Event()

    class Noticing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg == "Broadcast connection lost":
                noticed.set()

    handler = Noticing()
    backend.logger.addHandler(handler)
    yield noticed
    backend.logger.removeHandler(handler)


async def happens(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), PATIENCE)


# What arrives


async def test_all_that_is_announced_at_once_reaches_the_first_listener(broker: Broker) -> None:
    async with running(broker.url, STEADY) as (node, ear):
        for sequence in (1, 3, 2):
            for account in ACCOUNTS[:20]:
                node.announce(account, sequence)

        await ear.until(lambda: ear.highest == dict.fromkeys(ACCOUNTS[:20], 3))


async def test_every_node_and_every_listener_hears_an_announcement(served: Broker) -> None:
    async with running(served.url, STEADY) as (alice, ear), running(served.url, STEADY) as (bob, other_ear):
        third_ear = Ear(bob)
        await ear.until_it_works()
        await other_ear.until_it_works()

        alice.announce(ACCOUNTS[0], 7)

        for listener in (ear, other_ear, third_ear):
            await listener.until_heard(ACCOUNTS[0], 7)
    await third_ear.task


async def test_listening_begins_with_comparing_everything() -> None:
    node = Wakeups("memory://")

    async with aclosing(node.listen()) as heard:
        assert await anext(heard) == EVERYTHING


async def test_a_malformed_message_is_logged_and_ignored(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(broker.url, STEADY) as (node, ear):
        await ear.until_it_works()
        known = set(ear.highest)

        await node._broadcast.publish(CHANNEL, "nonsense")
        await ear.until_it_works()

        assert "Malformed wake-up ignored" in caplog.messages
        assert len(set(ear.highest) - known) == 1


@pytest.mark.parametrize(
    "message",
    [
        f"{ACCOUNTS[0]}",
        f"{ACCOUNTS[0]}:",
        f"{ACCOUNTS[0]}:-1",
        f"{ACCOUNTS[0]}:0",
        f"{ACCOUNTS[0]}:\N{SUPERSCRIPT TWO}",
        f"{ACCOUNTS[0]}:{GREATEST_SEQUENCE + 1}",
        f"{ACCOUNTS[0]}:{'9' * 5000}",
        "00000000-0000:1",
    ],
)
def test_a_message_other_than_account_and_sequence_is_malformed(message: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever of its parts is wrong
        Wakeup.from_message(message)


def test_a_wakeup_survives_its_message() -> None:
    wakeup = Wakeup(uuid.uuid4(), GREATEST_SEQUENCE)

    assert Wakeup.from_message(wakeup.message()) == wakeup
    assert Wakeup.from_message(COMPARE_EVERYTHING) == EVERYTHING


# Servers in trouble


async def test_after_a_killed_server_is_back_everything_is_compared_and_heard_again(served: Broker) -> None:
    async with running(served.url, UNASKED) as (_, ear):
        await ear.until_it_works()
        before = ear.comparisons

        await served.do("kill", "start")

        await ear.until_compared_again(before)
        await ear.until_it_works()


async def test_a_frozen_server_is_noticed_and_heard_again(served: Broker, lost: asyncio.Event) -> None:
    async with running(served.url) as (node, ear):
        await ear.until_it_works()
        before = ear.comparisons

        await served.do("pause")
        await happens(lost)
        assert not node.connected
        node.announce(ACCOUNTS[0], 1)
        await served.do("resume")

        await ear.until_compared_again(before)
        await ear.until_heard(ACCOUNTS[0], 1)


async def test_a_listening_connection_ended_by_the_server_is_made_anew(served: Broker) -> None:
    async with running(served.url, UNASKED) as (_, ear):
        await ear.until_it_works()
        before = ear.comparisons

        await end_listening_connections(served)

        await ear.until_compared_again(before)
        await ear.until_it_works()


async def end_listening_connections(broker: Broker) -> None:
    if isinstance(broker.server, ValkeyServer):
        async with redis.asyncio.Redis.from_url(broker.url) as client:
            await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
        return
    connection = await asyncpg.connect(asyncpg_dsn(broker.url))
    ended = await connection.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'handoff listen'"
    )
    assert len(ended) == 1
    await connection.close()


async def test_a_silent_connection_is_kept_while_the_server_answers(
    served: Broker, lost: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(served.url) as (_, ear):
        await ear.until_it_works()
        before = ear.comparisons

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lost.wait(), 4 * QUICK.idle_seconds)

        assert ear.comparisons == before
        assert caplog.messages.count("Broadcast connection is up") == 1


async def test_what_is_announced_while_the_server_is_away_waits_and_is_bounded(served: Broker) -> None:
    await served.do("stop")
    async with running(served.url) as (node, ear):
        began = time.monotonic()
        for sequence in range(1, 100_001):
            node.announce(ACCOUNTS[sequence % 50], sequence)
        assert time.monotonic() - began < 10
        assert not node.connected
        assert node.backlog == 50

        await served.do("start")

        newest = {ACCOUNTS[sequence % 50]: sequence for sequence in range(99_951, 100_001)}
        await ear.until(lambda: ear.highest == newest)
        assert node.backlog == 0


async def test_a_publish_to_a_frozen_server_is_given_up_in_time(
    served: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    timing = Timing(idle_seconds=PATIENCE, answer_seconds=0.2)
    async with running(served.url, timing) as (node, ear):
        await ear.until_it_works()
        await served.do("pause")
        began = time.monotonic()

        await asyncio.gather(*(node._broadcast.publish(CHANNEL, f"{ACCOUNTS[0]}:1") for _ in range(5)))

        assert time.monotonic() - began < 5
        assert caplog.messages.count("Wake-up not published") == 5
        await served.do("resume")
        await ear.until_it_works()


@pytest.mark.parametrize("announcing", [True, False])
@pytest.mark.parametrize("trouble", ["stop", "pause"])
async def test_a_node_stops_quickly_and_leaves_no_task_whatever_the_server_does(
    trouble: str, announcing: bool, served: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = asyncio.all_tasks()
    async with running(served.url) as (node, ear):
        await ear.until_it_works()
        await served.do(trouble)
        if announcing:
            node.announce(ACCOUNTS[0], 1)
        began = time.monotonic()

    assert time.monotonic() - began < QUICK.answer_seconds + wakeups.STOP_SECONDS + 1
    assert not node.connected
    assert "Broadcast connections not given up in time" not in caplog.messages
    assert asyncio.all_tasks() == tasks


# Starting and stopping


async def test_a_node_can_stop_at_any_moment_of_its_start(
    served: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = asyncio.all_tasks()
    for turns in range(40):
        node = Wakeups(served.url, timing=STEADY)
        await node.start()
        for _ in range(turns):
            await asyncio.sleep(0)  # a turn of the event loop
        await node.stop()

    assert "Broadcast connections not given up in time" not in caplog.messages
    assert asyncio.all_tasks() == tasks


async def test_what_was_announced_last_still_leaves_when_the_node_stops(served: Broker) -> None:
    async with running(served.url, STEADY) as (_, ear):
        await ear.until_it_works()
        short = Wakeups(served.url, timing=STEADY)
        await short.start()
        short.announce(ACCOUNTS[0], 1)
        await short.stop()

        await ear.until_heard(ACCOUNTS[0], 1)


async def test_after_the_stop_nothing_is_heard_nor_announced(broker: Broker) -> None:
    async with running(broker.url) as (node, _):
        pass

    node.announce(ACCOUNTS[0], 1)
    await node.stop()
    assert node.backlog == 0
    assert [wakeup async for wakeup in node.listen()] == []


async def test_a_node_starts_once_and_never_after_its_stop() -> None:
    stopped = Wakeups("memory://")
    await stopped.stop()

    async with running("memory://") as (started, _):
        for node in (started, stopped):
            with pytest.raises(RuntimeError, match="started once"):
                await node.start()


async def test_a_listener_that_leaves_is_forgotten() -> None:
    async with running("memory://") as (node, ear):
        await ear.until_it_works()
        async with aclosing(node.listen()) as heard:
            await anext(heard)
            assert len(node._listeners) == 2

        assert len(node._listeners) == 1


# Memory


async def test_a_flood_costs_a_late_reader_one_entry_per_account() -> None:
    async with running("memory://") as (node, ear), aclosing(node.listen()) as late:
        assert await anext(late) == EVERYTHING
        queue = next(iter(node._broadcast._subscribers[CHANNEL]))
        longest = 0
        for sequence in range(1, 100_001):
            await node._broadcast.publish(CHANNEL, f"{ACCOUNTS[sequence % 50]}:{sequence}")
            if sequence % 1_000 == 0:
                await asyncio.sleep(0)
                longest = max(longest, queue.qsize(), *(len(listener) for listener in node._listeners))

        await ear.until_heard(ACCOUNTS[0], 100_000)
        assert longest <= 1_000
        assert [(await anext(late)).sequence for _ in ACCOUNTS] == list(range(99_951, 100_001))


async def test_a_flood_that_overflows_the_inbox_makes_listeners_compare_everything() -> None:
    async with running("memory://") as (node, ear):
        await ear.until_it_works()
        before = ear.comparisons

        for sequence in range(1, 100_001):
            await node._broadcast.publish(CHANNEL, f"{ACCOUNTS[0]}:{sequence}")

        assert len(node._backend.inbox) == backend.INBOX_LIMIT + 1
        await ear.until_compared_again(before)
        await ear.until_heard(ACCOUNTS[0], 100_000)


async def test_a_full_inbox_drops_the_oldest_and_tells_its_channel() -> None:
    inbox = Inbox(limit=2)
    for number, channel in enumerate(("first", "second", "second")):
        inbox.offer(channel, str(number))

    taken = [await inbox.take() for _ in range(len(inbox))]

    assert taken == [Event("first", COMPARE_EVERYTHING), Event("second", "1"), Event("second", "2")]


# The defects of broadcaster 0.3.1 that the backends have to be free of


@asynccontextmanager
async def connected(used: InboxBackend) -> AsyncIterator[Broadcast]:
    async with Broadcast(backend=used) as broadcast:
        await asyncio.wait_for(used.wait_connected(), PATIENCE)
        yield broadcast


def backend_of(broker: Broker) -> InboxBackend:
    return wakeups._make_backend(broker.url, STEADY)


async def test_twenty_concurrent_publishes_reach_the_only_channel(broker: Broker) -> None:
    used = backend_of(broker)
    async with connected(used) as broadcast, broadcast.subscribe("only") as subscriber:
        await asyncio.wait_for(used.wait_connected(), PATIENCE)

        await asyncio.gather(*(broadcast.publish("only", str(number)) for number in range(20)))

        heard: set[str] = set()
        while len(heard - {COMPARE_EVERYTHING}) < 20:
            heard.add((await asyncio.wait_for(subscriber.get(), PATIENCE)).message)
        assert heard - {COMPARE_EVERYTHING} == {str(number) for number in range(20)}


async def test_a_channel_that_nobody_wants_any_more_is_not_heard(broker: Broker) -> None:
    used = backend_of(broker)
    async with connected(used) as broadcast, broadcast.subscribe("wanted") as subscriber:
        async with broadcast.subscribe("unwanted"):
            await asyncio.wait_for(used.wait_connected(), PATIENCE)
        await broadcast.publish("unwanted", "nothing")
        await broadcast.publish("wanted", "something")

        while (await asyncio.wait_for(subscriber.get(), PATIENCE)).message != "something":
            pass
        assert len(used.inbox) == 0


async def test_subscribing_and_publishing_raise_nothing_while_the_server_is_away(
    served: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    await served.do("stop")
    used = wakeups._make_backend(served.url, QUICK)
    await used.publish("before", "connect")
    await used.disconnect()
    async with Broadcast(backend=used) as broadcast, broadcast.subscribe("channel") as subscriber:
        await broadcast.publish("channel", "lost")
        assert caplog.messages.count("Wake-up not published") == 2

        await served.do("start")
        first = await asyncio.wait_for(subscriber.get(), PATIENCE)

    assert first == Event("channel", COMPARE_EVERYTHING)


class FailingBackend(ReconnectingBackend):
    """Fails as no driver documents: at two connections and one publish, and it never closes."""

    def __init__(self) -> None:
        super().__init__(QUICK)
        self.connections = 0
        self.publishes = 0

    async def _follow(self) -> None:
        self.connections += 1
        self._came_up()
        if self.connections < 3:
            raise RuntimeError("unheard of")
        await asyncio.Event().wait()

    async def _send(self, channel: str, message: str) -> None:
        self.publishes += 1
        if self.publishes == 1:
            raise RuntimeError("unheard of")
        self._receive(channel, message)

    async def _close(self) -> None:
        await asyncio.Event().wait()


async def test_a_node_survives_errors_that_nobody_foresaw(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing = FailingBackend()
    monkeypatch.setattr(wakeups, "_make_backend", lambda url, timing: failing)
    monkeypatch.setattr(wakeups, "STOP_SECONDS", 0.1)

    async with running("failing://") as (node, ear):
        node.announce(ACCOUNTS[0], 1)
        node.announce(ACCOUNTS[1], 1)
        await ear.until_heard(ACCOUNTS[1], 1)

    assert failing.connections == 3
    assert caplog.messages.count("Broadcast connection failed") == 2
    assert "Broadcast connections not given up in time" in caplog.messages


# Addresses


@pytest.mark.parametrize("scheme", ["postgresql+asyncpg", "postgresql", "postgres", "POSTGRESQL"])
async def test_every_spelling_of_a_postgresql_address_works(scheme: str, postgres: Broker) -> None:
    url = postgres.url.replace("postgresql+asyncpg://", f"{scheme}://")

    async with running(f"{url}&prepared_statement_cache_size=0&ssl=disable", STEADY) as (_, ear):
        await ear.until_it_works()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def relay_to(port: int) -> Serve:
    """Give what passes the bytes of a connection on to a port, and back."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader_there, writer_there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, writer_there), pass_on(reader_there, writer))

    return serve


@pytest.mark.parametrize("scheme", ["redis", "valkey", "rediss", "unix"])
@pytest.mark.parametrize("option", ["protocol=2", "protocol=3", "decode_responses=yes"])
async def test_every_spelling_of_a_redis_address_works(
    scheme: str, option: str, valkey: Broker, tmp_path: Path
) -> None:
    assert isinstance(valkey.server, ValkeyServer)
    relay = relay_to(valkey.server.port)
    certificate, context = make_certificate(tmp_path)
    tls = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    socket = await asyncio.start_unix_server(relay, tmp_path / "socket")
    rest = {
        "unix": f"{tmp_path}/socket?{option}",
        "rediss": f"127.0.0.1:{tls.sockets[0].getsockname()[1]}?ssl_ca_certs={certificate}&{option}",
    }
    async with tls, socket:
        address = rest.get(scheme, f"127.0.0.1:{valkey.server.port}?{option}")
        async with running(f"{scheme}://{address}", STEADY) as (_, ear):
            await ear.until_it_works()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "kafka://alice:secret@broker",
        "secret:secret@broker",
        "redis://alice:se/cret@broker",
        "redis://:secret@broker:port",
        "redis://broker?db=secret",
        "redis://broker/secret",
        "redis://alice:secret@broker/0/1",
        "unix://",
        "postgresql://alice:se/cret@server/handoff",
        "postgresql://alice:se@cret@server/handoff",
        "postgresql://alice:[secret@server/handoff",
        "postgresql://alice:secret@server:port/handoff",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^The .*broadcast URL .*\.$") as refusal:
        Wakeups(url)

    assert "cret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("postgres://alice:a%2Fb@[::1]:5432,db/handoff", "postgresql://alice:a%2Fb@[::1]:5432,db/handoff"),
        ("postgresql+asyncpg://alice@/handoff?host=/run", "postgresql://alice@/handoff?host=%2Frun"),
        (
            "postgresql+asyncpg://db?ssl=require&prepared_statement_cache_size=0",
            "postgresql://db?sslmode=require",
        ),
    ],
)
def test_an_address_is_given_as_asyncpg_reads_it(given: str, read: str) -> None:
    assert asyncpg_dsn(given) == read


@pytest.mark.parametrize("kind", [PostgresBackend, RedisBackend])
async def test_no_password_is_logged(
    kind: type[PostgresBackend | RedisBackend], lost: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    scheme = "postgresql" if kind is PostgresBackend else "redis"
    used = kind(f"{scheme}://alice:secret@127.0.0.1:{free_port()}", QUICK)

    async with Broadcast(backend=used) as broadcast:
        await happens(lost)
        await broadcast.publish("channel", "message")

    assert "Wake-up not published" in caplog.messages
    assert all("secret" not in str(vars(record)) for record in caplog.records)


# Back-off


def test_pauses_double_up_to_a_cap_and_differ_between_nodes() -> None:
    timing = Timing(backoff_seconds=0.1, backoff_cap_seconds=3.0)

    longest = [backoff_seconds(failures, timing, 1.0) for failures in (0, 1, 2, 5, 10_000)]

    assert longest == [0.1, 0.2, 0.4, 3.0, 3.0]
    assert backoff_seconds(5, timing, 0.0) == 1.5


async def test_a_memory_backend_is_connected_until_its_end_and_leaves_no_task() -> None:
    tasks = asyncio.all_tasks()
    used = MemoryBackend()
    states = [used.connected]
    async with Broadcast(backend=used):
        states.append(used.connected)
    states.append(used.connected)

    assert states == [False, True, False]
    assert asyncio.all_tasks() == tasks
