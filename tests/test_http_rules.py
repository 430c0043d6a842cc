"""GraphQL over HTTP: what is refused and how, and that nothing sent here is answered 500.

Source: https://graphql.github.io/graphql-over-http/draft/
"""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from server.http_rules import GRAPHQL_JSON, LARGEST_BODY
from tests.client import Api
from tests.feeds import faults
from tests.live import Live
from tests.raw_http import ANSWERED, ASKED, JSON, post, refusal
from tests.sockets import eventually


@pytest.fixture
def engine() -> str:
    """The engine has no part in this."""
    return "sqlite"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_another_method_is_refused_and_told_which_are_allowed(api: Api, method: str) -> None:
    response = await api.http.request(method, "/graphql", json=ASKED)

    assert refusal(response) == (405, "BAD_USER_INPUT")
    assert response.headers["allow"] == "GET, POST"


async def test_a_body_that_says_it_is_too_long_is_refused_unread(api: Api) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(True)
        yield b"{}"

    headers = {"Content-Type": JSON, "Content-Length": str(LARGEST_BODY + 1)}
    response = await api.http.post("/graphql", content=body(), headers=headers)

    assert refusal(response) == (413, "BAD_USER_INPUT")
    assert read == []


@pytest.mark.parametrize("claimed", [{}, {"Content-Length": "10"}, {"Content-Length": "many"}])
async def test_a_body_that_turns_out_too_long_is_refused_while_it_is_read(
    api: Api, claimed: dict[str, str]
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10 * LARGEST_BODY:
            sent += 65536
            yield b" " * 65536

    response = await api.http.post("/graphql", content=endless(), headers={"Content-Type": JSON} | claimed)

    assert refusal(response) == (413, "BAD_USER_INPUT")
    assert sent < 2 * LARGEST_BODY


async def test_a_body_of_just_the_size_is_answered(api: Api) -> None:
    body = json.dumps(ASKED).encode()

    response = await post(api, body + b" " * (LARGEST_BODY - len(body)))

    assert (response.status_code, response.json()) == (200, ANSWERED)


@pytest.mark.parametrize(
    "media_type", [None, "", "text/plain", "application/graphql", "multipart/form-data; boundary=x", "json"]
)
async def test_another_media_type_is_refused(api: Api, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}

    response = await api.http.post("/graphql", content=json.dumps(ASKED), headers=headers)

    assert refusal(response) == (415, "BAD_USER_INPUT")


@pytest.mark.parametrize("media_type", [JSON, "application/json; charset=utf-8", "Application/JSON ;x=y"])
async def test_json_is_taken_however_it_is_spelled(api: Api, media_type: str) -> None:
    response = await post(api, ASKED, Content_Type=media_type)

    assert (response.status_code, response.json()) == (200, ANSWERED)


#: What a client may send in place of a request.
WRONG_BODIES = [
    b"",
    b" ",
    b"null",
    b"true",
    b"0",
    b"NaN",
    b'"{ __typename }"',
    b"{ __typename }",
    b'{"query": "{ __typename }"',
    b'{"query": "{ __typename }"} {}',
    b"{'query': '{ __typename }'}",
    b"\xef\xbb\xbf{}",
    b'{"query": "\xff\xfe"}',
    b'{"query": "\\ud800"}',
    '{"query": "{ __typename }"}'.encode("utf-16"),
    b'{"variables": ' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b'{"variables": ' + b'{"a":' * 100_000,
    b'{"variables": ' + b'{"a":' * 2000 + b"1" + b"}" * 2001,
    b"{}",
    b'{"query": null}',
    b'{"query": ""}',
    b'{"query": 1}',
    b'{"query": ["{ __typename }"]}',
    b'{"query": {}}',
    b'{"query": "{ __typename }", "operationName": 1}',
    b'{"query": "{ __typename }", "operationName": {}}',
    b'{"query": "{ __typename }", "operationName": "Other"}',
    b'{"query": "{ __typename }", "variables": []}',
    b'{"query": "{ __typename }", "variables": "{}"}',
    b'{"query": "{ __typename }", "variables": 0}',
    b'{"query": "{ __typename }", "extensions": []}',
    b'{"query": "{ __typename }", "extensions": "x"}',
    b'{"query": "{ __typename"}',
    b'{"query": "fragment f on Query { me { id } }"}',
    b'{"query": "query a { __typename } query b { __typename }"}',
    b'{"query": "' + b"{ me " * 5000 + b'"}',
    b'{"query": "' + b"#" * 60_000 + b'"}',
    b'{"query": "{ __typename }\\u0000"}',
]


async def test_no_body_that_is_wrong_is_answered_otherwise_than_400(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    answers = {body: refusal(await post(api, body, Accept=GRAPHQL_JSON)) for body in WRONG_BODIES}

    assert answers == dict.fromkeys(WRONG_BODIES, (400, "BAD_USER_INPUT"))
    assert faults(caplog) == []


async def test_a_client_that_hangs_up_within_its_body_is_no_fault(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    url = live.http.base_url
    head = f"POST /graphql HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: {JSON}\r\nContent-Length: 99\r\n\r\n"
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(head.encode() + b'{"query')
    await writer.drain()
    await live.ask(live.cast.bob, "{ me { name } }")

    writer.transport.abort()

    async def has_ended() -> bool:
        return not any("run_asgi" in repr(task) for task in asyncio.all_tasks())

    await eventually(has_ended)
    assert (await live.ask(live.cast.bob, "{ me { name } }")).only() == {"name": "Bob"}
    assert faults(caplog) == []


@pytest.mark.parametrize(
    "extensions", [{}, None, {"persistedQuery": 1}, {"persistedQuery": {"sha256Hash": []}}, {"a": [None]}]
)
async def test_extensions_that_mean_nothing_here_are_ignored(api: Api, extensions: object) -> None:
    response = await post(api, ASKED | {"extensions": extensions, "other": 1})

    assert (response.status_code, response.json()) == (200, ANSWERED)


@pytest.mark.parametrize("accept", [JSON, "text/event-stream"])
@pytest.mark.parametrize("body", [[], [ASKED], [ASKED, ASKED], [1]])
async def test_batches_are_refused(api: Api, body: list[object], accept: str) -> None:
    response = await post(api, body, Accept=accept)

    assert refusal(response) == (400, "BAD_USER_INPUT")
    assert response.json()["errors"][0]["message"] == "Send one operation at a time."


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", JSON),
        ("", JSON),
        ("text/html", JSON),
        (JSON, JSON),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}, {JSON}", GRAPHQL_JSON),
        (f"{JSON}, {GRAPHQL_JSON}", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}; charset=utf-8, {JSON};q=0.9", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.5, {JSON};q=0.9", JSON),
        (f"{GRAPHQL_JSON};q=0, */*", JSON),
        (f"{GRAPHQL_JSON};q=high, {JSON}", JSON),
    ],
)
async def test_the_answer_has_the_media_type_that_the_client_prefers(
    api: Api, accept: str, media_type: str
) -> None:
    response = await post(api, ASKED, Accept=accept)

    assert (response.status_code, response.json()) == (200, ANSWERED)
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"


@pytest.mark.parametrize("query", ["{", "{ nothing }", "query ($id: ID!) { handoff(id: $id) { id } }"])
async def test_a_request_that_cannot_be_executed_is_400_for_those_who_know_the_newer_type(
    api: Api, query: str
) -> None:
    older = await post(api, {"query": query}, Accept=JSON)
    newer = await post(api, {"query": query}, Accept=GRAPHQL_JSON)

    assert refusal(older) == (200, "BAD_USER_INPUT")
    assert refusal(newer) == (400, "BAD_USER_INPUT")


async def test_an_error_of_a_field_leaves_the_status_200(api: Api) -> None:
    response = await post(api, {"query": "{ me { name } }"}, Accept=GRAPHQL_JSON)

    assert response.status_code == 200
    assert response.json()["data"] is None
    assert response.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON, "*/*"])
async def test_a_subscription_needs_a_transport_that_can_push(api: Api, accept: str) -> None:
    document = "subscription { escalationCreated { cursor } }"

    response = await post(api, {"query": document}, Accept=accept)

    assert refusal(response) == (400, "BAD_USER_INPUT")
    assert "WebSocket" in response.text


async def test_every_answer_forbids_to_be_kept_or_guessed_at(api: Api) -> None:
    answers = [await post(api, ASKED), await post(api, b"["), await api.http.put("/graphql")]

    assert [answer.status_code for answer in answers] == [200, 400, 405]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
