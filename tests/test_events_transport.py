"""Pushes as server-sent events, where a network blocks WebSockets: under the rules of a socket.

Source: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md, distinct connections mode
"""

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

import server.events
import server.sockets
from db.enums import Role
from tests.cast import Cast, deactivate
from tests.client import CREATE
from tests.feeds import faults, said
from tests.http_clients import http_client
from tests.live import Live, running_server
from tests.patience import PATIENCE
from tests.sockets import ESCALATIONS, QUEUE_CHANGES, eventually

EVENTS = "text/event-stream"
ME = "{ me { name } }"
COMPLETE = ("complete", None)


class Events:
    """The events of one operation."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[str, Any]:
        """Wait for the next event and return its kind and what it says."""
        async with asyncio.timeout(PATIENCE):
            kind = await anext(self._lines)
            if kind.startswith(":"):
                assert await anext(self._lines) == ""
                return "comment", kind
            data, end = await anext(self._lines), await anext(self._lines)
        assert (kind[:7], data[:6], end) == ("event: ", "data: ", "")
        return kind[7:], json.loads(data[6:]) if data[6:] else None

    async def next_event(self) -> Any:  # noqa: ANN401 (whatever the field holds)
        """Wait for the value of the one root field, however often the stream says that it is alive."""
        kind, result = await self.next()
        while kind == "comment":
            kind, result = await self.next()
        assert (kind, result.keys()) == ("next", {"data"}), result
        (value,) = result["data"].values()
        return value

    async def refusal(self) -> str:
        """Wait for the error that ends the stream, and return its code."""
        kind, result = await self.next()
        assert (kind, result.get("data")) == ("next", None), result
        assert await self.next() == COMPLETE
        assert await self.has_ended()
        (error,) = result["errors"]
        return str(error["extensions"]["code"])

    async def has_ended(self) -> bool:
        """Tell whether nothing more comes."""
        async with asyncio.timeout(PATIENCE):
            return await anext(self._lines, None) is None


@asynccontextmanager
async def opened(live: Live, token: str | None, document: str, **variables: Any) -> AsyncIterator[Events]:  # noqa: ANN401
    """Ask for events while the block runs."""
    headers = {"Accept": EVENTS} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    body = {"query": document, "variables": variables}
    async with live.http.stream("POST", "/graphql", json=body, headers=headers, timeout=PATIENCE) as response:
        yield Events(response)


@pytest.fixture
async def live(database_url: str, cast: Cast) -> AsyncIterator[Live]:
    """A server that asks often whether a viewer may go on."""
    async with running_server(database_url, cast, recheck_seconds=0.05) as live:
        yield live


async def test_escalations_come_as_events(live: Live) -> None:
    cast = live.cast
    async with opened(live, live.token(cast.bob), ESCALATIONS, after=await live.cursor()) as events:
        first, second = await live.escalate_new(), await live.escalate_new()

        pushed = [await events.next_event(), await events.next_event()]

        assert [event["handoff"]["id"] for event in pushed] == [first, second]
        assert [event["missedBefore"] for event in pushed] == [0, 0]


async def test_a_stream_is_labelled_so_that_nothing_between_keeps_or_changes_it(live: Live) -> None:
    async with opened(live, live.token(live.cast.bob), QUEUE_CHANGES) as events:
        headers = events.response.headers

    assert events.response.status_code == 200
    assert headers["content-type"].partition(";")[0] == EVENTS
    assert headers["cache-control"] == "no-store, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-content-type-options"] == "nosniff"


async def test_without_a_valid_token_there_is_no_stream(live: Live) -> None:
    expired = live.token(live.cast.bob, valid_for=timedelta(seconds=-1))

    for token in (None, "no token", "a.b.c", expired, live.token(live.cast.ina)):
        async with opened(live, token, ESCALATIONS) as events:
            answer = json.loads(await events.response.aread())

        assert events.response.status_code == 401
        assert events.response.headers["www-authenticate"] == "Bearer"
        assert [error["extensions"] for error in answer["errors"]] == [{"code": "UNAUTHENTICATED"}]


async def test_who_opens_too_many_streams_is_told_when_to_come_back(database_url: str, cast: Cast) -> None:
    async with running_server(database_url, cast, connect_limit="2/minute") as live:
        for _ in range(2):
            async with opened(live, live.token(cast.bob), ME) as events:
                assert await events.next_event() == {"name": "Bob"}

        async with opened(live, live.token(cast.bob), ME) as events:
            answer = json.loads(await events.response.aread())

        assert events.response.status_code == 429
        assert 0 < int(events.response.headers["retry-after"]) <= 60
        assert [error["extensions"] for error in answer["errors"]] == [{"code": "RATE_LIMITED"}]


async def test_streams_and_sockets_that_are_held_open_count_together(database_url: str, cast: Cast) -> None:
    bob = cast.bob
    async with running_server(database_url, cast, sockets_per_user=2) as live:
        async with live.dashboard(bob), opened(live, live.token(bob), QUEUE_CHANGES) as held:
            async with opened(live, live.token(bob), QUEUE_CHANGES) as one_more:
                answer = json.loads(await one_more.response.aread())
            async with opened(live, live.token(cast.alice), QUEUE_CHANGES) as another:
                assert (held.response.status_code, another.response.status_code) == (200, 200)

        async def may_come_back() -> bool:
            async with opened(live, live.token(bob), ME) as events:
                return events.response.status_code == 200

        await eventually(may_come_back)

        for _ in range(4):  # what has ended is not counted
            async with opened(live, live.token(bob), ME) as events:
                assert await events.next_event() == {"name": "Bob"}
                assert await events.next() == COMPLETE
                assert await events.has_ended()

    assert one_more.response.status_code == 429
    assert int(one_more.response.headers["retry-after"]) > 0
    assert [error["extensions"] for error in answer["errors"]] == [{"code": "RATE_LIMITED"}]


async def test_queries_and_mutations_are_answered_by_one_event(live: Live) -> None:
    cast = live.cast
    wanted = {"sessionId": str((await cast.start_session()).id), "intent": "ESCALATE"}

    async with opened(live, live.token(cast.alice), ME) as asked:
        assert await asked.next_event() == {"name": "Alice"}
        assert await asked.next() == COMPLETE
        assert await asked.has_ended()
    async with opened(live, live.token(cast.alice), CREATE, input=wanted) as changed:
        assert (await changed.next_event())["__typename"] == "CreateHandoffSuccess"
        assert await changed.next() == COMPLETE


async def test_a_document_that_is_wrong_is_told_by_an_event(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    for document in ("", "{", "{ nothing }", "fragment f on Query { me { id } }", "{ me }"):
        async with opened(live, live.token(live.cast.bob), document) as events:
            assert events.response.status_code == 200
            assert await events.refusal() == "BAD_USER_INPUT"

    assert faults(caplog) == []


async def test_a_body_that_is_no_request_is_refused_as_ever(live: Live) -> None:
    bearer = f"Bearer {live.token(live.cast.bob)}"
    headers = {"Accept": EVENTS, "Content-Type": "application/json", "Authorization": bearer}

    for body in (b"", b"[]", b"1", b'{"query": 1}', b'{"variables": []}', b"[" * 100_000):
        response = await live.http.post("/graphql", content=body, headers=headers)

        assert response.status_code == 400
        assert [error["extensions"] for error in response.json()["errors"]] == [{"code": "BAD_USER_INPUT"}]


async def test_who_follows_escalations_by_events_is_online_until_they_leave(live: Live) -> None:
    cast = live.cast
    async with opened(live, live.token(cast.bob), ESCALATIONS):
        await live.until_online(cast.bob)
        created = await live.create(cast.alice, (await cast.start_session()).id)
        assert created["reach"] == {"online": 1, "email": 2, "unreachable": False}

    await live.until_online()


async def test_a_client_that_leaves_leaves_no_task_behind(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    async def count() -> int:
        return len([task for task in asyncio.all_tasks() if "EventStream" in repr(task)])

    for after in (None, "0"):
        async with opened(live, live.token(live.cast.bob), ESCALATIONS, after=after):
            await live.until_online(live.cast.bob)
            await live.escalate_new()
            assert await count() > 0
        await live.until_online()

    async def none_left() -> bool:
        return await count() == 0

    await eventually(none_left)
    assert faults(caplog) == []


async def test_the_stream_of_a_deactivated_user_ends(live: Live) -> None:
    cast = live.cast
    async with opened(live, live.token(cast.bob), ESCALATIONS) as events:
        await live.until_online(cast.bob)

        async with live.node.database.transaction(cast.account_id) as tx:
            await deactivate(tx, cast.bob)

        assert await events.refusal() == "UNAUTHENTICATED"
        await live.until_online()


async def test_the_stream_of_a_responder_who_became_a_viewer_ends(live: Live) -> None:
    cast = live.cast
    async with opened(live, live.token(cast.bob), ESCALATIONS) as events:
        await live.until_online(cast.bob)

        await cast.change(cast.bob, role=Role.VIEWER)

        assert await events.refusal() == "FORBIDDEN"


async def test_a_stream_ends_with_its_token(live: Live) -> None:
    token = live.token(live.cast.bob, valid_for=timedelta(seconds=5))
    async with opened(live, token, QUEUE_CHANGES) as events:
        assert await events.refusal() == "UNAUTHENTICATED"


async def test_a_quiet_stream_says_that_it_is_alive(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.events, "BEAT_SECONDS", 0.02)
    async with opened(live, live.token(live.cast.bob), QUEUE_CHANGES, after=await live.cursor()) as events:
        assert [await events.next() for _ in range(2)] == [("comment", ": still here")] * 2

        handoff_id = await live.escalate_new()

        assert (await events.next_event())["handoff"]["id"] == handoff_id


async def test_a_client_that_reads_nothing_is_cut_off_while_another_gets_everything(
    live: Live, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server.sockets, "SEND_SECONDS", 0.5)
    cast = live.cast
    wide = " ".join(f"a{n}: notes" for n in range(30))
    document = f"subscription {{ escalationCreated {{ handoff {{ {wide} }} }} }}"
    with deaf_client(live, live.token(cast.bob), document):
        await live.until_online(cast.bob)
        async with opened(live, live.token(cast.adam), QUEUE_CHANGES, after=await live.cursor()) as other:
            for _ in range(45):  # 7 MB, which no buffer of the system holds
                session = await cast.start_session()
                handoff_id = await live.escalate(cast.alice, session.id, notes="x" * 5000)

                assert (await other.next_event())["handoff"]["id"] == handoff_id

            await eventually(said(caplog, "client cut off: it reads nothing"))
            await live.until_online()
    # ASGI has no way to say that a response ends here; uvicorn 0.54 says in its words that it was cut off.
    assert faults(caplog) == ["ASGI callable returned without completing response."]


def deaf_client(live: Live, token: str, document: str) -> sockets.socket:
    """Ask for events and never read what comes, with as little room for it as the system allows."""
    body = json.dumps({"query": document})
    lines = ["POST /graphql HTTP/1.1", "Host: handoff.test", "Content-Type: application/json"]
    lines += [f"Accept: {EVENTS}", f"Authorization: Bearer {token}", f"Content-Length: {len(body)}", "", body]
    client = sockets.socket()
    client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 1)
    client.connect((live.http.base_url.host, live.http.base_url.port))
    client.sendall("\r\n".join(lines).encode())
    return client


async def test_a_server_that_stops_ends_its_streams_without_complete_so_that_clients_come_back(
    database_url: str, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    async with http_client() as http, AsyncExitStack() as running:
        live = await running.enter_async_context(running_server(database_url, cast))
        headers = {"Accept": EVENTS, "Authorization": f"Bearer {live.token(cast.bob)}"}
        url = live.http.base_url.join("/graphql")
        async with http.stream("POST", url, json={"query": ESCALATIONS}, headers=headers) as response:
            await live.until_online(cast.bob)

            await running.aclose()

            assert await response.aread() == b""
    assert faults(caplog) == []


async def test_a_page_of_another_site_can_open_no_stream(live: Live) -> None:
    for headers in ({}, {"Origin": "https://evil.example"}):
        response = await live.http.get(
            "/graphql", params={"query": ESCALATIONS}, headers={"Accept": EVENTS} | headers
        )

        assert response.status_code == 400
        assert response.headers["content-type"].startswith("application/json")
