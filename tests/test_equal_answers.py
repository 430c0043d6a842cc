"""However an answer is made, its bytes are those that Strawberry and graphql-core make of the same rows."""

import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.enums import Role
from db.users import UserRow
from tests.cast import Cast
from tests.client import Api, running_api
from tests.readable import Readable
from tests.sent import SENT, named

pytestmark = pytest.mark.unmeasured

#: The settings that make answers in another way, each of which can be switched off.
WAYS = ("compiled_completion", "exact_columns", "plans", "reused_answers")
NONE = dict.fromkeys(WAYS, False)
QUEUE = """
query ($first: Int!, $after: String, $order: QueueOrder!, $wanted: QueueFilter) {
  queue(first: $first, after: $after, orderBy: $order, filter: $wanted) {
    totalCount __typename pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { ...Whole ... on Node { __typename id } again: priority } }
  }
}
"""
CLAIM = """
mutation ($id: ID!) { claimHandoff(input: { handoffId: $id }) {
  __typename ... on ClaimHandoffSuccess { handoff { id ...Whole } }
} }
"""
WHOLE = """
fragment Whole on Handoff {
  intent state priority notes createdAt claimedAt psaNoteId psaNotePushed
  claimedBy { id } handedOffBy { id name email role active } sourceBranch { id label parentBranch { label } }
  session { ...Known owner { name } team { id name } activeBranch { order statusReason } escalatedTo { id } }
}
fragment Known on Session {
  id status problemSummary problemDomain stepCount confidenceTier branching handoffCount psaTicketId
  psaConnectionId actualCause createdAt resolvedAt
}
"""


@dataclass(frozen=True, slots=True)
class Ways:
    """The API on one database, with no other way of making answers, and with each and all of them."""

    plain: Api
    others: dict[str, Api]


@pytest.fixture
async def ways(database_url: str, cast: Cast) -> AsyncIterator[Ways]:
    async with AsyncExitStack() as stack:

        async def run(**on: bool) -> Api:
            return await stack.enter_async_context(running_api(database_url, cast, **NONE | on))

        yield Ways(
            await run(),
            {
                "all": await run(**dict.fromkeys(WAYS, True)),
                **{way: await run(**{way: True}) for way in WAYS},
            },
        )


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(dice=st.randoms(use_true_random=False))
async def test_every_way_makes_the_same_bytes(ways: Ways, known: dict[str, str], dice: random.Random) -> None:
    request = Readable(dice, known).request()
    user = dice.choice([ways.plain.cast.alice, ways.plain.cast.adam, ways.plain.cast.vera])

    expected = await ask(ways.plain, user, request)
    for name in ("all", dice.choice(WAYS)):
        for _ in range(2):  # the second time it may be answered from what was kept
            found = await ask(ways.others[name], user, request)

            if is_a_matter_of_time(expected.json()):
                expected_answer, answer = expected.json(), found.json()
                assert (found.status_code, answer["data"]) == (expected.status_code, expected_answer["data"])
                assert_same_faults(answer, expected_answer)
            else:
                assert (found.status_code, found.text) == (expected.status_code, expected.text), (
                    name,
                    request,
                )
                assert found.headers == expected.headers


def test_answers_differ_in_nothing_but_which_of_the_faults_of_one_null_came_in_time() -> None:
    first, second = fault("a1", "No session"), fault("a2", "No handoff")
    answer = {"data": None, "errors": [first]}

    assert is_a_matter_of_time(answer)
    assert not is_a_matter_of_time({"data": None, "errors": [{"message": "Syntax Error"}]})
    assert not is_a_matter_of_time({"data": {"a1": None}, "errors": [first]})
    assert_same_faults(answer, {"data": None, "errors": [first, second]})
    assert_same_faults(answer, {"data": None, "errors": [second]})
    with pytest.raises(AssertionError):
        assert_same_faults(answer, {"data": None, "errors": [fault("a1", "No such session")]})


@pytest.mark.parametrize("order", ["NEWEST_FIRST", "OLDEST_FIRST", "PRIORITY_FIRST"])
async def test_every_page_of_the_queue_is_the_same(ways: Ways, known: dict[str, str], order: str) -> None:
    filters = [
        None,
        {"intent": "PARK"},
        {"priority": "NORMAL", "teamId": known["Team"]},
        {"problemDomain": "dns"},
    ]
    for wanted in filters:
        after, seen, total = None, 0, -1
        while total < 0 or after:
            variables = {"first": 3, "after": after, "order": order, "wanted": wanted}
            asked = {"query": QUEUE + WHOLE, "variables": variables}
            expected = await ask(ways.plain, ways.plain.cast.alice, asked)

            for name in ("all", "exact_columns"):
                assert (await ask(ways.others[name], ways.plain.cast.alice, asked)).text == expected.text
            page = expected.json()["data"]["queue"]
            seen, total = seen + len(page["edges"]), page["totalCount"]
            after = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
        assert seen == total


async def test_whatever_is_sent_is_answered_or_refused_the_same(ways: Ways, known: dict[str, str]) -> None:
    cast = ways.plain.cast
    requests = [
        {"query": document, "variables": named(sent, known)} for document, each in SENT for sent in each
    ]
    for asked, user in product(requests, [cast.alice, cast.adam, cast.vera]):
        expected = await ask(ways.plain, user, asked)

        for name in ("all", "plans", "plans"):  # the second time it is known
            found = await ask(ways.others[name], user, asked)
            assert (found.status_code, found.text) == (expected.status_code, expected.text), (name, asked)
            assert found.headers == expected.headers


async def test_what_a_mutation_answers_is_what_is_read_afterwards(ways: Ways, known: dict[str, str]) -> None:
    cast = ways.plain.cast
    asked = {"query": CLAIM + WHOLE, "variables": {"id": known["Handoff"]}}

    answers = [await ask(ways.others["all"], cast.alice, asked)]  # here the session is known from the claim
    answers += [await ask(api, cast.alice, asked) for api in (ways.plain, *ways.others.values())]

    assert answers[0].json()["data"]["claimHandoff"]["handoff"]["claimedBy"] == {"id": str(cast.alice.id)}
    assert {answer.text for answer in answers} == {answers[0].text}


@pytest.fixture
async def known(ways: Ways) -> dict[str, str]:
    """Sessions and handoffs of every kind; the ids of one of each type."""
    cast = ways.plain.cast
    for number in range(3):
        ids = await cast.one_of_each(cast.alice)
        session = await cast.start_session(f"DNS {number}", owner=cast.bob)
        await ways.plain.create(cast.bob, session.id, "PARK", notes='ä \u2028 "quoted" </script>')
    await ways.plain.claim(cast.bob, ids["Handoff"])
    await cast.change(cast.bob, role=Role.ADMIN)
    return ids | await cast.one_of_each(cast.alice)


async def ask(api: Api, user: UserRow, request: dict[str, Any]) -> httpx.Response:
    """Ask as the user, with a token that is the same for all who ask."""
    headers = {"Authorization": f"Bearer {api.token(user)}", "Content-Type": "application/json"}
    return await api.http.post("/graphql", content=json.dumps(request), headers=headers)


def fault(field: str, message: str) -> dict[str, Any]:
    return {"message": message, "path": [field]}


def is_a_matter_of_time(answer: dict[str, Any]) -> bool:
    """Tell whether a null stands in the place of several fields, of which any might have failed first.

    Of fields that are resolved at the same time the first to fail makes their parent null. Whether another's
    error is added before the answer is made depends on how long its statements take (GraphQL, 6.4.4).
    """
    return any(len(_null_for(answer["data"], error)) < len(error["path"]) for error in _faults(answer))


def assert_same_faults(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Compare which places are null, and what is said of each field that failed in both."""
    sides = [{tuple(error["path"]): error for error in _faults(answer)} for answer in (one, other)]
    places = [{_null_for(answer["data"], error) for error in _faults(answer)} for answer in (one, other)]
    assert places[0] == places[1]
    for path in sides[0].keys() & sides[1].keys():
        assert sides[0][path] == sides[1][path]


def _faults(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [error for error in answer.get("errors", ()) if "path" in error]


def _null_for(data: Any, error: dict[str, Any]) -> tuple[str | int, ...]:  # noqa: ANN401 (any part of an answer)
    """Return the path of the null that an error left."""
    path = error["path"]
    for depth, key in enumerate(path):
        if data is None:
            return tuple(path[:depth])
        data = data[key]
    return tuple(path)
