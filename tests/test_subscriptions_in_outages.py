"""A database that is away for a while ends no subscription: each waits, and goes on where it was."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx
import pytest

from db.session import Database
from tests.cast import Cast
from tests.client import CREATE
from tests.feeds import faults
from tests.http_clients import http_client
from tests.live import Live, running_server
from tests.npm import Npm
from tests.reaching import Way, unused, way_to
from tests.servers.postgres import PostgresServer
from tests.servers.processes import HandoffProcess
from tests.sockets import ESCALATIONS, QUEUE_CHANGES, Operation, eventually, open_socket
from tests.test_events_transport import EVENTS, Events, opened
from tests.test_fanout import WITH_VIEWER
from tests.test_outages import prepare, token_of, until_online
from tests.test_presence_of_nodes import age_beats, nodes_with_people
from tests.workers import closing, make_node, start

NEVER = 3600.0  #: seconds between two looks at the viewers, or two beats, where an outage is to be enough
LOOKED_AT = 2.5  #: seconds in which a node has looked at every viewer


@dataclass(frozen=True, slots=True)
class Apart:
    """A node whose way to its database can be cut, while others reach it."""

    live: Live
    way: Way
    cast: Cast

    async def cut(self) -> None:
        """Cut the way, and let the node notice."""
        async with unused(self.live.node.database):
            await self.cut_unnoticed()
        assert (await self.ask_for_events()).status_code == 503

    async def cut_unnoticed(self) -> None:
        """Cut the way, while the node's connections are `unused`."""
        await self.cast.database.dispose()
        await self.way.cut(self.live.node.database)

    async def ask_for_events(self) -> httpx.Response:
        """Ask for what lasts for ever, and so for an answer that says why not."""
        headers = {"Accept": EVENTS, "Authorization": f"Bearer {self.live.token(self.cast.bob)}"}
        return await self.live.http.post("/graphql", json={"query": QUEUE_CHANGES}, headers=headers)

    async def mend(self) -> None:
        """Mend the way, and wait until the node has noticed."""
        await self.way.mend()
        await self.until_noticed(is_away=False)

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[Live]:
        """Run another node, which reaches the database, while the block runs."""
        url = self.way.url_of_others
        database = Database(url)
        try:
            async with running_server(url, replace(self.cast, database=database)) as live:
                yield live
        finally:
            await database.dispose()

    async def until_noticed(self, *, is_away: bool) -> None:
        """Wait until the node knows whether its database is away."""

        async def has_noticed() -> bool:
            return self.live.node.feed.outage.is_on == is_away

        await eventually(has_noticed)


@pytest.fixture(params=[True, False], ids=["shared", "alone"])
async def apart(request: pytest.FixtureRequest, database_url: str, cast: Cast) -> AsyncIterator[Apart]:
    """A node that looks at viewers, and beats, only when something makes it."""
    async with (
        way_to(database_url) as way,
        running_server(
            way.url, cast, recheck_seconds=NEVER, beat_seconds=NEVER, shared_streams=request.param
        ) as live,
    ):
        yield Apart(live, way, cast)


async def test_what_runs_goes_on_and_nothing_is_missed_and_nothing_comes_twice(
    apart: Apart, caplog: pytest.LogCaptureFixture
) -> None:
    live, cast = apart.live, apart.cast
    after = await live.cursor()
    async with (
        live.dashboard(cast.bob) as socket,
        opened(live, live.token(cast.vera), QUEUE_CHANGES, after=after) as events,
    ):
        operations = [
            await socket.subscribe(document, after=after)
            for document in (ESCALATIONS, QUEUE_CHANGES, WITH_VIEWER)
        ]
        streams: list[Operation | Events] = [*operations, events]
        before = await live.escalate_new()
        assert [(await stream.next_event())["handoff"]["id"] for stream in streams] == [before] * 4

        await apart.cut()
        async with apart.elsewhere() as other:
            meanwhile = [await other.escalate_new() for _ in range(2)]
        assert [operation.arrived.qsize() for operation in operations] == [0] * 3
        await apart.mend()
        later = await live.escalate_new()

        for stream in streams:
            told = [await stream.next_event() for _ in range(3)]
            assert [event["handoff"]["id"] for event in told] == [*meanwhile, later]
            assert not any(event.get("missedBefore") for event in told)
        assert [operation.arrived.qsize() for operation in operations] == [0] * 3
    assert [fault for fault in faults(caplog) if fault != "receipts not recorded"] == [
        "subscriptions wait for the database"
    ]
    assert caplog.messages.count("subscriptions go on") == 1


async def test_whose_rights_ended_meanwhile_is_told_of_nothing_that_came_meanwhile(apart: Apart) -> None:
    live, cast = apart.live, apart.cast
    after = await live.cursor()
    async with (
        live.dashboard(cast.bob) as socket,
        live.dashboard(cast.vera) as other_socket,
        opened(live, live.token(cast.bob), QUEUE_CHANGES, after=after) as events,
    ):
        ending: list[Operation | Events] = [
            await socket.subscribe(ESCALATIONS, after=after),
            await socket.subscribe(QUEUE_CHANGES, after=after),
            events,
        ]
        going_on = await other_socket.subscribe(QUEUE_CHANGES, after=after)
        await live.escalate_new()
        for stream in (*ending, going_on):
            await stream.next_event()

        await apart.cut()
        async with apart.elsewhere() as other:
            await other.cast.change(cast.bob, deleted_at=datetime.now(UTC))
            meanwhile = await other.escalate_new()
        await apart.mend()

        assert [await stream.refusal() for stream in ending] == ["UNAUTHENTICATED"] * 3
        assert (await going_on.next_event())["handoff"]["id"] == meanwhile


async def test_an_event_that_could_not_be_read_is_told_when_it_can_to_those_who_may_still_see_it(
    apart: Apart,
) -> None:
    live, cast = apart.live, apart.cast
    after = await live.cursor()
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(live.dashboard(user)) for user in (cast.bob, cast.olivia)]
        operations, ending = [
            [await socket.subscribe(document, after=after) for document in (ESCALATIONS, WITH_VIEWER)]
            for socket in sockets
        ]
        other = await stack.enter_async_context(apart.elsewhere())
        for database in (other.cast.database, other.node.database):  # as if it were committed here
            database.on_commit.append(live.node.feed._hear_soon)
        first = await other.escalate_new()
        for each in (*operations, *ending):
            assert (await each.next_event())["handoff"]["id"] == first

        async with unused(live.node.database):
            second = await other.escalate_new()
            await until_waited_for_a_reader(live)
            await apart.cut_unnoticed()
        await apart.until_noticed(is_away=True)
        async with apart.elsewhere() as another:
            await another.cast.change(cast.olivia, deleted_at=datetime.now(UTC))
        await apart.mend()

        assert [(await each.next_event())["handoff"]["id"] for each in operations] == [second] * 2
        assert [each.arrived.qsize() for each in operations] == [0] * 2
        assert [await each.refusal() for each in ending] == ["UNAUTHENTICATED"] * 2


async def test_what_begins_in_an_outage_begins_when_it_is_over(apart: Apart) -> None:
    live, cast = apart.live, apart.cast
    team, after = str(cast.team_id), await live.cursor()
    async with live.dashboard(cast.bob) as socket:
        async with unused(live.node.database):
            await apart.cut_unnoticed()
        operations = [
            await socket.subscribe(ESCALATIONS),
            await socket.subscribe(QUEUE_CHANGES, teamId=team, after=after),
        ]
        await apart.until_noticed(is_away=True)
        async with apart.elsewhere() as other:
            meanwhile = await other.escalate_new(in_team=True)
        assert [operation.arrived.qsize() for operation in operations] == [0] * 2

        await apart.mend()

        await live.until_online(cast.bob)
        assert (await operations[1].next_event())["handoff"]["id"] == meanwhile
        later = await live.escalate_new(in_team=True)
        assert [(await each.next_event())["handoff"]["id"] for each in operations] == [later] * 2


async def test_who_connects_in_an_outage_is_told_to_come_again(
    apart: Apart, caplog: pytest.LogCaptureFixture
) -> None:
    live = apart.live
    async with unused(live.node.database):
        await apart.cut_unnoticed()

    async with open_socket(live.socket_url) as socket:
        await socket.begin(live.token(apart.cast.bob))
        assert await socket.close_code() == 1013
        assert socket.connection.close_reason == "The database is away. Try again later"
    response = await apart.ask_for_events()
    assert response.status_code == 503
    assert response.json()["errors"] == [
        {"message": "The database is away. Try again later.", "extensions": {"code": "UNAVAILABLE"}}
    ]
    await apart.mend()
    assert faults(caplog) == ["subscriptions wait for the database"]


async def test_the_people_of_a_node_that_was_cut_off_for_long_are_online_as_soon_as_it_is_back(
    apart: Apart,
) -> None:
    live, cast = apart.live, apart.cast
    async with live.dashboard(cast.bob) as socket, live.dashboard(cast.olivia) as leaving:
        pushed = await socket.subscribe(ESCALATIONS)
        await leaving.subscribe(ESCALATIONS)
        await live.until_online(cast.bob, cast.olivia)

        await apart.cut()
        await leaving.end()
        async with apart.elsewhere() as other:
            await age_beats(other.cast.database, await nodes_with_people(other.cast.database))
            await other.until_online()
        await apart.mend()

        await live.until_online(cast.bob)
        handoff_id = await live.escalate_new()
        assert (await pushed.next_event())["handoff"]["id"] == handoff_id


async def test_the_client_of_graphql_ws_goes_on_with_the_same_operations(
    npm: Npm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HANDOFF_TEST_DATABASE_URL", raising=False)  # one that is not ours must not be stopped
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(PostgresServer())
        postgres.create_database("outage")
        database = Database(url := postgres.url("outage"))
        stack.push_async_callback(database.dispose)
        cast = await prepare(url)
        node, address = make_node(url)
        stack.enter_context(closing(node))
        await start(node)
        env = {"HANDOFF_URL": f"http://{address}", "SENIOR": token_of(cast.bob), "EVENTS": "2"}
        seeing = asyncio.create_task(asyncio.to_thread(npm.run, "outage.mjs", env))
        await until_online(database, cast.bob)
        assert (await escalate(address, cast, await new_session(url, cast), notes="before")) == 1

        await asyncio.to_thread(postgres.stop)
        await until_said(node, "subscriptions wait for the database")
        await asyncio.sleep(LOOKED_AT)  # nobody is told that they were looked at in vain
        await asyncio.to_thread(postgres.start)
        await until_said(node, "subscriptions go on")
        assert (await escalate(address, cast, await new_session(url, cast), notes="after")) == 1

        seen = await seeing
    for name in ("escalations", "changes"):
        assert [each for each in seen if each["id"] == name] == [
            {"seen": "next", "id": name, "notes": notes} for notes in ("before", "after")
        ]


async def until_waited_for_a_reader(live: Live) -> None:
    async def is_waited() -> bool:
        return bool(live.node.database._reader._turns._waiters)

    await eventually(is_waited)


async def new_session(url: str, cast: Cast) -> str:
    """Start a session of Alice's and return its id."""
    database = Database(url)
    try:
        return str((await replace(cast, database=database).start_session()).id)
    finally:
        await database.dispose()


async def escalate(address: str, cast: Cast, session_id: str, *, notes: str) -> int:
    """Escalate a session at a node and return how many were online for it."""
    wanted = {"sessionId": session_id, "intent": "ESCALATE", "notes": notes}
    async with http_client(headers={"Authorization": f"Bearer {token_of(cast.alice)}"}) as http:
        body = {"query": CREATE, "variables": {"input": wanted}}
        answer = (await http.post(f"http://{address}/graphql", json=body)).json()
    return int(answer["data"]["createHandoff"]["reach"]["online"])


async def until_said(node: HandoffProcess, message: str) -> None:
    """Wait until a node has logged something."""

    async def is_said() -> bool:
        return message in node.stderr

    await eventually(is_said)
