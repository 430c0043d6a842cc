"""An answer is sent again only while it is exact, and only to whom it would be made."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from db import users
from db.enums import ApiKeyScope, Role
from db.users import UserRow
from resolvers import admin
from schema.build import build_schema
from schema.context import utc_now
from schema.evented import EVENTED, is_evented
from server.answers import Answers
from server.endpoint import Endpoint
from tests.cast import Cast
from tests.client import Api, running_api

QUEUE = """{ queue(first: 50) { totalCount edges { node {
  id state notes handedOffBy { name active } claimedBy { name } timeline { kind }
  session {
    id stepCount status problemSummary team { name } branches { label status } messages { totalCount }
  }
} } } }"""
SESSIONS = """{ sessions(first: 50) { edges { node {
  id stepCount status handoffs(first: 5) { edges { node { state } } }
} } } }"""
UPDATE_USER = "mutation ($input: UpdateUserInput!) { updateUser(input: $input) { __typename } }"
UPDATE_TEAM = "mutation ($input: UpdateTeamInput!) { updateTeam(input: $input) { __typename } }"
CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("updateSession", {"stepCount": 5}),
    ("updateSession", {"problemSummary": "Something else"}),
    ("appendSessionMessages", {"messages": [{"role": "USER", "content": "Still broken."}]}),
    ("addSessionBranch", {"label": "DNS"}),
    ("resolveSession", {"actualCause": "DNS"}),
]


@pytest.fixture
async def nodes(database_url: str, cast: Cast) -> AsyncIterator[tuple[Api, Api, Api]]:
    """Two nodes that send answers again, and one that makes each anew."""
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(running_api(database_url, cast)) for _ in range(2)]
        plain = await stack.enter_async_context(running_api(database_url, cast, reused_answers=False))
        yield first, second, plain


@pytest.mark.unmeasured
async def test_no_answer_is_older_than_what_was_done_before_on_whichever_node(
    nodes: tuple[Api, Api, Api],
) -> None:
    dice = random.Random(7)  # noqa: S311 (no secret)
    play = Play(nodes, dice)
    for _ in range(40):
        await play.step()
        document = dice.choice([QUEUE, SESSIONS])
        user = dice.choice([play.cast.alice, play.cast.vera])

        for _ in range(3):
            found = await dice.choice(nodes[:2]).ask(user, document)
            assert found == await nodes[2].ask(user, document)
            assert found.errors == []

    assert sum(len(answers_of(node)._kept) for node in nodes[:2]) > 3


@pytest.mark.parametrize(
    ("mutation", "given"),
    [
        ("updateUser", {"userId": "alice", "name": "Alicia"}),
        ("updateUser", {"userId": "alice", "active": False}),
        ("updateTeam", {"teamId": "team", "name": "Networking"}),
    ],
    ids=["renamed", "deactivated", "team renamed"],
)
async def test_what_an_admin_changes_is_shown_at_once_on_whichever_node(
    nodes: tuple[Api, Api, Api], mutation: str, given: dict[str, Any]
) -> None:
    first, second, plain = nodes
    cast = first.cast
    ids = {"alice": str(cast.alice.id), "team": str(cast.team_id)}
    await first.create(cast.alice, (await cast.start_session(in_team=True)).id)
    before = [await node.ask(cast.vera, QUEUE) for node in (first, first, second, second)]

    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    document = f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ __typename }} }}"
    changes = {name: ids.get(value, value) for name, value in given.items()}
    (await first.ask(cast.adam, document, input=changes)).only()

    after = [await node.ask(cast.vera, QUEUE) for node in (first, second)]
    assert after == [await plain.ask(cast.vera, QUEUE)] * 2
    assert after[0] not in before


@pytest.mark.unmeasured
async def test_who_reads_while_others_write_sees_all_that_was_acknowledged(
    nodes: tuple[Api, Api, Api],
) -> None:
    cast = nodes[0].cast
    session = await cast.start_session("Counts its steps")
    document = f'{{ session(id: "{session.id}") {{ stepCount }} }}'
    acknowledged, is_over = 0, False

    async def write() -> None:
        nonlocal acknowledged, is_over
        for step in range(1, 31):
            node = nodes[step % 2]
            (await node.change(cast.alice, "updateSession", sessionId=str(session.id), stepCount=step)).only()
            acknowledged = step
        is_over = True

    async def read(node: Api) -> None:
        while not is_over:
            before = acknowledged
            seen = (await node.ask(cast.vera, document)).only()["stepCount"]
            assert before <= seen

    await asyncio.gather(write(), *[read(node) for node in nodes[:2] for _ in range(4)])

    assert [(await node.ask(cast.vera, document)).only() for node in nodes] == [{"stepCount": 30}] * 3


async def test_equal_requests_at_once_are_made_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await asked_twice(api, api.cast.alice)
    await api.cast.start_session("One more event")
    session = await api.cast.start_session("And one that is told")
    await api.create(api.cast.alice, session.id, "PARK")
    made = count_runs(api, monkeypatch)

    answers = await asyncio.gather(*[api.ask(api.cast.vera, QUEUE) for _ in range(10)])

    assert answers == [answers[0]] * 10
    assert made() == 1


async def test_an_answer_is_kept_from_whoever_may_not_have_it(api: Api) -> None:
    await asked_twice(api, api.cast.alice)
    ingest = await api.cast.make_key(api.cast.alice, ApiKeyScope.INGEST)
    full = await api.cast.make_key(api.cast.alice)

    assert (await api.ask(None, QUEUE)).codes == ["UNAUTHENTICATED"]
    assert (await api.ask_with(ingest.token, QUEUE)).codes == ["FORBIDDEN"]
    assert (await api.ask_with(full.token, QUEUE)).errors == []
    assert (await api.ask(api.cast.charlie, QUEUE)).only()["totalCount"] == 0


async def test_who_was_deactivated_is_refused_at_once(api: Api) -> None:
    token = api.token(api.cast.vera)
    await asked_twice(api, api.cast.vera)
    async with api.cast.database.transaction(api.cast.account_id) as tx:
        await users.change(tx, api.cast.vera.id, {"active": False})

    answer = await api.ask_with(token, QUEUE)

    assert answer.codes == ["UNAUTHENTICATED"]


async def test_answers_with_an_error_and_answers_that_depend_on_more_are_not_kept(api: Api) -> None:
    for document in (
        '{ session(id: "nothing") { id } }',
        "{ queue { edges { node { deliveries { totalCount } } } } }",
        "{ queue { edges { node { myNotice { told } handedOffBy { online } } } } }",
        "{ me { name } }",
        "{ __schema { queryType { name } } }",
        "{ queue { totalCount } me { name } }",
    ):
        await api.ask(api.cast.alice, document)
        await api.ask(api.cast.alice, document)

    assert not answers_of(api)._kept


async def test_the_media_type_is_that_of_each_request(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.token(api.cast.alice)}"}
    wanted = ["application/json", "application/graphql-response+json"] * 3

    found = [
        await api.http.post("/graphql", json={"query": QUEUE}, headers=headers | {"Accept": accept})
        for accept in wanted
    ]

    assert [answer.headers["content-type"].partition(";")[0] for answer in found] == wanted
    assert len({answer.text for answer in found}) == 1


async def test_what_is_kept_is_bounded_by_its_bytes(api: Api) -> None:
    answers = answers_of(api)
    answers.most_bytes = 20_000
    for first in range(1, 41):
        document = f"{{ queue(first: {first}) {{ totalCount }} }}"
        await api.ask(api.cast.alice, document)
        await api.ask(api.cast.alice, document)

    assert 1 < len(answers._kept) < 40
    assert answers._bytes == sum(kept.size for kept in answers._kept.values()) <= 20_000


def test_every_field_that_is_said_to_be_told_of_exists() -> None:
    schema = build_schema()._schema

    for kind, fields in EVENTED.items():
        assert fields <= set(schema.type_map[kind].fields), kind  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            "{ queue { edges { node { ... on Node { id } ...F } } } } fragment F on Handoff { state }",
            True,
        ),
        ("{ queue { edges { node { ...F } } } } fragment F on Handoff { deliveries { totalCount } }", False),
        ("{ queue { __typename pageInfo { endCursor } } }", True),
        ("{ ... on Query { me { id } } }", False),
        ("{ node(id: 1) { id } }", False),
        ("mutation { claimHandoff(handoffId: 1) { __typename } }", False),
    ],
)
def test_what_events_tell_of_is_told_apart(document: str, expected: bool) -> None:
    assert is_evented(build_schema()._schema, document, None) is expected


class Play:
    """Does one thing after another that the queue or the sessions show."""

    def __init__(self, nodes: tuple[Api, Api, Api], dice: random.Random) -> None:
        self.cast = nodes[0].cast
        self._nodes = nodes
        self._dice = dice
        self._sessions: list[str] = []

    async def step(self) -> None:
        """Do something, on any node."""
        node = self._dice.choice(self._nodes)
        if len(self._sessions) < 3 or self._dice.random() < 0.15:
            given = {"problemSummary": "Another", "teamId": str(self.cast.team_id)}
            answer = await node.change(self.cast.alice, "startSession", **given)
            self._sessions.append(answer.only()["session"]["id"])
            return
        deeds = [
            self._hand_off,
            self._hand_off,
            self._take,
            self._take,
            self._change,
            self._change,
            self._hire,
            self._rename,
            self._regroup,
        ]
        await self._dice.choice(deeds)(node, self._dice.choice(self._sessions))

    async def _hand_off(self, node: Api, session: str) -> None:
        intent = self._dice.choice(["PARK", "ESCALATE"])
        await node.create(self.cast.alice, session, intent, notes=str(self._dice.random()))

    async def _take(self, node: Api, session: str) -> None:
        queue = (await self._nodes[2].ask(self.cast.bob, QUEUE)).only()["edges"]
        if queue:
            claimed = await node.claim(self.cast.bob, queue[0]["node"]["id"])
            if self._dice.random() < 0.5:
                await node.release(self.cast.bob, claimed["handoff"]["id"])

    async def _change(self, node: Api, session: str) -> None:
        mutation, given = self._dice.choice(CHANGES)
        await node.change(self.cast.alice, mutation, sessionId=session, **given)

    async def _rename(self, node: Api, session: str) -> None:
        user = self._dice.choice([self.cast.alice, self.cast.bob])
        given = {"userId": str(user.id), "name": f"{user.name} {self._dice.randint(1, 9)}"}
        (await node.ask(self.cast.adam, UPDATE_USER, input=given)).only()

    async def _regroup(self, node: Api, session: str) -> None:
        given = {"teamId": str(self.cast.team_id), "name": f"Networks {self._dice.randint(1, 9)}"}
        (await node.ask(self.cast.adam, UPDATE_TEAM, input=given)).only()

    async def _hire(self, node: Api, session: str) -> None:
        async with self.cast.database.transaction(self.cast.account_id) as tx:
            email = f"new{self._dice.random()}@northwind.test"
            await admin.add_user(tx, email=email, name="New", role=Role.ENGINEER, now=utc_now())


async def asked_twice(api: Api, user: UserRow) -> None:
    """Ask so that the answer is kept."""
    first, second = [await api.ask(user, QUEUE) for _ in range(2)]
    assert first == second
    assert answers_of(api)._kept


def answers_of(api: Api) -> Answers:
    """Return the answers that a node keeps."""
    endpoint = endpoint_of(api)
    assert endpoint._answers is not None
    return endpoint._answers


def endpoint_of(api: Api) -> Endpoint:
    app = api.http._transport.app  # type: ignore[attr-defined]
    assert isinstance(app, Starlette)
    (endpoint,) = [
        route.endpoint
        for route in app.routes
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint)
    ]
    assert isinstance(endpoint, Endpoint)
    return endpoint


def count_runs(api: Api, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count how often answers are made from now on."""
    endpoint, runs = endpoint_of(api), []
    process = endpoint.process_result

    async def counted(*args: Any) -> Any:  # noqa: ANN401
        runs.append(args)
        return await process(*args)

    monkeypatch.setattr(endpoint, "process_result", counted)
    return lambda: len(runs)
