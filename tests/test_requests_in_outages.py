"""Requests while the database is away: all are told so, and a mutation whether it may have been done."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from db.enums import EventKind
from db.session import Database
from server.http_rules import GRAPHQL_JSON
from tests.cast import Cast
from tests.client import CLAIM, CREATE
from tests.link_pages import claim_path, quiet_path, words
from tests.live import Live, running_server
from tests.raw_http import JSON
from tests.reaching import Way, unused, way_to
from tests.sockets import eventually
from tests.test_login_by_mail import make_link
from tests.test_outages import HOLD_COMMITS, until_a_commit_is_held

ME = "{ me { name } }"
AWAY = {
    "message": "The database is away. Try again later.",
    "extensions": {"code": "UNAVAILABLE", "retryAfter": 2},
}
END_WHO_WAITS = """
SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
"""
HOLD_SIGN_INS = """CREATE CONSTRAINT TRIGGER hold_commit AFTER UPDATE ON login_links
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_commit()"""
IN_DOUBT = "Open the link again in a moment. If it leads nowhere then, ask for a new one."
ON_POSTGRESQL = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@pytest.fixture
async def way(database_url: str) -> AsyncIterator[Way]:
    """The way to the database."""
    async with way_to(database_url) as way:
        yield way


@pytest.fixture(params=["planned", "strawberry"])
async def live(request: pytest.FixtureRequest, way: Way, cast: Cast) -> AsyncIterator[Live]:
    """A node on that way, with each way to execute."""
    async with running_server(
        way.url, cast, recheck_seconds=3600.0, plans=request.param == "planned"
    ) as live:
        yield live


@pytest.fixture
async def node_on_way(way: Way, cast: Cast) -> AsyncIterator[Live]:
    """A node on that way, for what no document asks for."""
    async with running_server(way.url, cast, recheck_seconds=3600.0) as live:
        yield live


@asynccontextmanager
async def away(live: Live, way: Way) -> AsyncIterator[None]:
    """Cut the node's way to its database while the block runs."""
    await live.cast.database.dispose()
    async with unused(live.node.database):
        await way.cut(live.node.database)
    yield
    await way.mend()


@asynccontextmanager
async def seen(way: Way, cast: Cast) -> AsyncIterator[Cast]:
    """Look at the database from elsewhere."""
    database = Database(way.url_of_others)
    try:
        yield replace(cast, database=database)
    finally:
        await database.dispose()


async def ask(live: Live, document: str, accept: str = JSON, **variables: object) -> httpx.Response:
    """Ask as Alice."""
    headers = {"Accept": accept, "Authorization": f"Bearer {live.token(live.cast.alice)}"}
    return await live.http.post("/graphql", json={"query": document, "variables": variables}, headers=headers)


def told(response: httpx.Response) -> tuple[int, str | None, list[str]]:
    """Return the status of an answer, when to ask again, and the codes of its errors."""
    codes = [error["extensions"]["code"] for error in response.json()["errors"]]
    return response.status_code, response.headers.get("retry-after"), codes


def only_error(payload: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return the one error of a result without data, but for where it stands."""
    assert not any((payload["data"] or {}).values())
    (error,) = payload["errors"]
    return {name: error[name] for name in ("message", "extensions")}


@pytest.mark.parametrize("demo", [True, False])
@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
async def test_a_query_is_told_to_come_again(way: Way, cast: Cast, accept: str, demo: bool) -> None:
    async with running_server(way.url, cast, demo=demo) as live:
        async with away(live, way):
            response = await ask(live, ME, accept)
        again = await ask(live, ME, accept)

    assert told(response) == (503, "2", ["UNAVAILABLE"])
    assert response.headers["content-type"].startswith(accept)
    assert response.json()["errors"][0]["message"] == AWAY["message"]
    assert (again.status_code, again.json()) == (200, {"data": {"me": {"name": "Alice"}}})


async def test_a_mutation_that_was_not_begun_is_told_to_come_again(live: Live, way: Way) -> None:
    session = await live.cast.start_session()
    wanted = {"sessionId": str(session.id), "intent": "ESCALATE"}

    async with away(live, way):
        response = await ask(live, CREATE, input=wanted)
    again = await ask(live, CREATE, input=wanted)

    assert told(response) == (503, "2", ["UNAVAILABLE"])
    assert only_error(response.json()) == AWAY
    assert again.json()["data"]["createHandoff"]["__typename"] == "CreateHandoffSuccess"


async def test_what_could_be_answered_is_answered(live: Live, way: Way) -> None:
    document = "query ($id: ID!) { __typename session(id: $id) { id } }"
    session = await live.cast.start_session()

    async with away(live, way):
        response = await ask(live, document, id=str(session.id))

    assert told(response) == (200, "2", ["UNAVAILABLE"])
    assert response.json()["data"] == {"__typename": "Query", "session": None}


async def test_what_is_asked_over_a_socket_is_told_the_same(live: Live, way: Way) -> None:
    session = await live.cast.start_session()
    async with live.dashboard(live.cast.alice) as socket, away(live, way):
        asked = [
            await socket.subscribe(ME),
            await socket.subscribe(CREATE, input={"sessionId": str(session.id), "intent": "PARK"}),
        ]
        answers = [await operation.next_message() for operation in asked]

    assert [answer["type"] for answer in answers] == ["next", "next"]
    assert [only_error(answer["payload"]) for answer in answers] == [AWAY, AWAY]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_opens_the_link_of_a_mail_reads_that_it_may_be_opened_again(
    live: Live, way: Way, method: str
) -> None:
    path = await claim_path(live, live.cast.bob, await live.escalate_new())

    async with away(live, way):
        page = await live.http.request(method, path)
    again = await live.http.request(method, path)

    assert (page.status_code, page.headers["retry-after"]) == (503, "2")
    assert "Open the link again in a moment." in words(page)
    assert again.status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_opens_a_link_to_sign_in_reads_that_it_may_be_opened_again(
    live: Live, way: Way, method: str
) -> None:
    async with away(live, way):
        page = await live.http.request(method, "/login/a-secret")
        answer = await live.http.request(method, "/login/a-secret", headers={"Accept": JSON})
    again = await live.http.request(method, "/login/a-secret")

    assert (page.status_code, page.headers["retry-after"]) == (503, "2")
    assert "Open the link again in a moment." in words(page)
    assert told(answer) == (503, "2", ["UNAVAILABLE"])
    assert again.status_code == 410


async def test_of_several_mutations_it_is_not_said_that_nothing_was_done(live: Live, way: Way) -> None:
    one = 'startSession(input: { problemSummary: "x" }) { session { id } }'

    async with away(live, way):
        response = await ask(live, f"mutation {{ a: {one} b: {one} }}")

    assert told(response) == (200, None, ["OUTCOME_UNKNOWN"])


@ON_POSTGRESQL  # where what is read in an account has connections of its own
async def test_a_mutation_that_was_done_but_whose_answer_could_not_be_read_says_that_it_may_be(
    live: Live, way: Way
) -> None:
    handoff_id = await live.escalate_new(live.cast.bob)
    document = """mutation ($id: ID!) { claimHandoff(input: { handoffId: $id }) {
        ... on ClaimHandoffSuccess { handoff { timeline { kind } } } } }"""

    async with readers_taken(live.node.database) as reader_is_waited_for:
        asking = asyncio.create_task(ask(live, document, id=handoff_id))
        await eventually(reader_is_waited_for)
        await live.cast.database.dispose()
        await way.cut(live.node.database)
    response = await asking

    assert told(response) == (200, None, ["OUTCOME_UNKNOWN"])
    async with seen(way, live.cast) as cast:
        assert (await cast.newest_event()).kind == EventKind.HANDOFF_CLAIMED


@ON_POSTGRESQL
@pytest.mark.parametrize("is_alone", [True, False], ids=["in-one-message", "step-by-step"])
async def test_a_handoff_cut_off_in_its_commit_says_so_and_its_key_tells_what_became_of_it(
    live: Live, way: Way, is_alone: bool
) -> None:
    cast, session_id = live.cast, (await live.cast.start_session()).id
    wanted = {"sessionId": str(session_id), "intent": "ESCALATE", "idempotencyKey": "k"}
    if not is_alone:  # it closes another one
        claimed = await live.claim(cast.bob, await live.escalate(cast.bob, session_id))
        assert claimed["__typename"] == "ClaimHandoffSuccess"

    response = await cut_off_in_commit(live, way, ask(live, CREATE, input=wanted))

    assert told(response) == (200, None, ["OUTCOME_UNKNOWN"])
    assert "may have been done" in response.json()["errors"][0]["message"]
    await way.mend()
    async with seen(way, cast) as elsewhere:
        event = await elsewhere.newest_event()
    assert str(event.session_id) == wanted["sessionId"]
    again = (await ask(live, CREATE, input=wanted)).json()["data"]["createHandoff"]
    assert again["handoff"]["id"] == str(event.handoff_id)


@ON_POSTGRESQL
async def test_a_claim_cut_off_in_its_commit_says_so_and_repeated_succeeds(live: Live, way: Way) -> None:
    handoff_id = await live.escalate_new(live.cast.bob)

    response = await cut_off_in_commit(live, way, ask(live, CLAIM, id=handoff_id))

    assert told(response) == (200, None, ["OUTCOME_UNKNOWN"])
    await way.mend()
    again = (await ask(live, CLAIM, id=handoff_id)).json()["data"]["claimHandoff"]
    assert again["handoff"]["claimedBy"] == {"id": str(live.cast.alice.id)}


@ON_POSTGRESQL
async def test_a_mutation_that_postgresql_itself_ended_in_its_commit_was_not_done(
    live: Live, way: Way
) -> None:
    wanted = {"sessionId": str((await live.cast.start_session()).id), "intent": "ESCALATE"}
    async with commits_held(way) as books:
        asking = asyncio.create_task(ask(live, CREATE, input=wanted))
        await until_a_commit_is_held(books)
        async with books.owning() as tx:
            await tx.execute(text(END_WHO_WAITS))
        response = await asking

    assert told(response) == (503, "2", ["UNAVAILABLE"])
    again = (await ask(live, CREATE, input=wanted)).json()["data"]["createHandoff"]
    assert again["__typename"] == "CreateHandoffSuccess"


@ON_POSTGRESQL
async def test_a_claim_link_cut_off_in_its_commit_says_so_and_opened_again_shows_what_became_of_it(
    node_on_way: Live, way: Way
) -> None:
    path = await claim_path(node_on_way, node_on_way.cast.bob, await node_on_way.escalate_new())

    page = await cut_off_in_commit(node_on_way, way, node_on_way.http.post(path))

    assert (page.status_code, page.headers["retry-after"]) == (503, "2")
    assert IN_DOUBT in words(page)
    await way.mend()
    for method in ("GET", "POST"):
        again = await node_on_way.http.request(method, path)
        assert (again.status_code, "It is yours since" in words(again)) == (200, True)


@ON_POSTGRESQL
async def test_a_quiet_link_cut_off_in_its_commit_says_so_and_may_be_used_again(
    node_on_way: Live, way: Way
) -> None:
    path = quiet_path(node_on_way, node_on_way.cast.bob)

    page = await cut_off_in_commit(node_on_way, way, node_on_way.http.post(path))

    assert (page.status_code, IN_DOUBT in words(page)) == (503, True)
    await way.mend()
    again = await node_on_way.http.post(path)
    assert (again.status_code, "Reminders are off" in words(again)) == (200, True)


@ON_POSTGRESQL
@pytest.mark.parametrize("accept", [JSON, "text/html"])
async def test_a_link_to_sign_in_cut_off_in_its_commit_says_so_and_is_used_up(
    node_on_way: Live, way: Way, accept: str
) -> None:
    cast, headers = node_on_way.cast, {"Accept": accept}
    path = f"/login/{await make_link(cast, cast.bob)}"

    answer = await cut_off_in_commit(node_on_way, way, node_on_way.http.post(path, headers=headers))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    if accept == JSON:
        assert told(answer) == (503, "2", ["OUTCOME_UNKNOWN"])
    assert IN_DOUBT in (answer.json()["errors"][0]["message"] if accept == JSON else words(answer))
    await way.mend()
    assert (await node_on_way.http.post(path, headers=headers)).status_code == 410


async def cut_off_in_commit(
    live: Live, way: Way, asking: Coroutine[Any, Any, httpx.Response]
) -> httpx.Response:
    """Ask for what writes, and cut the node's way to its database amid the COMMIT, which succeeds then."""
    async with commits_held(way) as books:
        asked = asyncio.create_task(asking)
        await until_a_commit_is_held(books)
        await live.cast.database.dispose()
        await way.cut(live.node.database)
        return await asked


@asynccontextmanager
async def commits_held(way: Way) -> AsyncIterator[Database]:
    """Hold whoever has written an event, or has signed in by a link, in their COMMIT.

    That is until the block ends, and they have committed.
    """
    books = Database(way.url_of_others)
    try:
        async with books.owning() as tx:
            for statement in (*HOLD_COMMITS, HOLD_SIGN_INS):
                await tx.execute(text(statement))
        async with books.system() as gate:
            await gate.execute(text("SELECT pg_advisory_xact_lock(1)"))
            yield books
        async with books.owning() as tx:  # waits for those who hold the tables
            for table in ("events", "login_links"):
                await tx.execute(text(f"DROP TRIGGER hold_commit ON {table}"))
    finally:
        await books.dispose()


@asynccontextmanager
async def readers_taken(database: Database) -> AsyncIterator[Any]:
    """Let whoever reads in an account wait while the block runs; yields what tells that somebody does."""
    pool = database._reader
    async with AsyncExitStack() as stack:
        for _ in range(pool.engine.pool.size()):  # type: ignore[attr-defined]  # every pool but NullPool has it
            await pool.take_turn()
            stack.callback(pool.end_turn)

        async def is_waited_for() -> bool:
            return bool(pool._turns._waiters)

        yield is_waited_for
