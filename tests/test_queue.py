"""The queue: every open handoff once, in the order that was asked for, whatever happens meanwhile."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.enums import HandoffIntent, HandoffPriority
from db.handoffs import HandoffRow
from resolvers import handing_off, sessions
from resolvers.new_handoffs import NewHandoff
from resolvers.sessions import NewSession
from tests.cast import Cast
from tests.client import Answer, Api

QUEUE = """
query ($filter: QueueFilter, $orderBy: QueueOrder! = NEWEST_FIRST, $first: Int! = 100, $after: String) {
  queue(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { id state } }
  }
}
"""
ORDERS = ("NEWEST_FIRST", "OLDEST_FIRST", "PRIORITY_FIRST")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
#: What stands nowhere in a cursor.
BAD: list[Any] = [None, -(10**30), 10**30, 1e400, "x", "", [], {}, "\x00", "9" * 5000]
NOT_A_CURSOR = "after is not a cursor of this list. Pass an endCursor that it gave you."


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_of_any_size_hold_every_open_handoff_once_and_in_order(api: Api, order: str) -> None:
    waiting = _sorted(await _fill(api.cast, 12), order)

    walks = {size: await _walk(api, size, orderBy=order) for size in (1, 3, 5, 12, 100)}

    for size, pages in walks.items():
        assert [_ids(page) for page in pages] == [
            waiting[start : start + size] for start in range(0, 12, size)
        ]
        assert {page["totalCount"] for page in pages} == {12}


async def test_a_page_tells_where_it_stands(api: Api) -> None:
    await _fill(api.cast, 6)

    pages = await _walk(api, 2)

    assert [page["pageInfo"] for page in pages] == [
        {
            "hasNextPage": number < 2,
            "hasPreviousPage": number > 0,
            "startCursor": page["edges"][0]["cursor"],
            "endCursor": page["edges"][1]["cursor"],
        }
        for number, page in enumerate(pages)
    ]


@pytest.mark.parametrize("order", ORDERS)
async def test_what_waits_all_the_while_is_seen_once_though_others_come_and_go(api: Api, order: str) -> None:
    before = _sorted(await _fill(api.cast, 9), order)
    first = await _queue(api, first=3, orderBy=order)

    await api.claim(api.cast.bob, before[1])  # on the page that was read
    await api.claim(api.cast.bob, before[6])  # on one that was not
    await api.escalate(api.cast.alice, (await api.cast.start_session()).id, priority="URGENT")
    rest = await _walk(api, 3, orderBy=order, after=first["pageInfo"]["endCursor"])

    seen = [*_ids(first), *(id_ for page in rest for id_ in _ids(page))]
    assert [id_ for id_ in seen if id_ in before] == [id_ for id_ in before if id_ != before[6]]
    assert len(seen) == len(set(seen))


async def test_an_empty_queue_is_an_empty_page(api: Api) -> None:
    info = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}

    assert await _queue(api) == {"totalCount": 0, "pageInfo": info, "edges": []}


async def test_filters_narrow_the_queue_alone_and_together(api: Api) -> None:
    a = await _wait(api, "PARK", "URGENT", "mail", in_team=False)
    b = await _wait(api, "ESCALATE", "URGENT", "network", in_team=False)
    c = await _wait(api, "PARK", "LOW", "network", in_team=True)
    d = await _wait(api, "ESCALATE", "LOW", "mail", in_team=True)
    team = {"teamId": str(api.cast.team_id)}
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [a, b, c, d]),
        ({"intent": None, "priority": None, "teamId": None, "problemDomain": None}, [a, b, c, d]),
        ({"intent": "PARK"}, [a, c]),
        ({"priority": "URGENT"}, [a, b]),
        ({"problemDomain": "network"}, [b, c]),
        ({"problemDomain": "net"}, []),
        (team, [c, d]),
        (team | {"problemDomain": "network"}, [c]),
        (team | {"intent": "ESCALATE", "priority": "LOW", "problemDomain": "mail"}, [d]),
        ({"intent": "PARK", "priority": "LOW", "problemDomain": "mail"}, []),
    ]

    found = [await _walk(api, 1, filter=wanted, orderBy="OLDEST_FIRST") for wanted, _ in cases]

    assert [[id_ for page in pages for id_ in _ids(page)] for pages in found] == [ids for _, ids in cases]
    assert [pages[0]["totalCount"] for pages in found] == [len(ids) for _, ids in cases]


async def test_the_domain_is_that_of_the_session_as_it_is_now(api: Api) -> None:
    handoff_id = await _wait(api, "PARK", "LOW", "mail", in_team=False)
    session_id = (await api.handoff(handoff_id))["session"]["id"]

    await api.change(api.cast.bob, "updateSession", sessionId=session_id, problemDomain="network")

    assert _ids(await _queue(api, filter={"problemDomain": "mail"})) == []
    assert _ids(await _queue(api, filter={"problemDomain": "network"})) == [handoff_id]


async def test_claimed_and_closed_handoffs_are_absent_and_released_ones_are_back_in_their_place(
    api: Api,
) -> None:
    cast = api.cast
    first, second, third = _sorted(await _fill(cast, 3), "OLDEST_FIRST")

    await api.claim(cast.bob, first)
    session_id = (await api.handoff(second))["session"]["id"]
    await api.change(cast.bob, "resolveSession", sessionId=session_id)
    while_claimed = await _queue(api, orderBy="OLDEST_FIRST")
    await api.release(cast.bob, first)
    afterwards = await _queue(api, orderBy="OLDEST_FIRST")

    assert (_ids(while_claimed), while_claimed["totalCount"]) == ([third], 1)
    assert (_ids(afterwards), afterwards["totalCount"]) == ([first, third], 2)


@pytest.mark.parametrize("order", ORDERS)
async def test_the_cursor_of_another_order_is_refused(api: Api, order: str) -> None:
    await _fill(api.cast, 2)
    cursors = {one: (await _queue(api, first=1, orderBy=one))["pageInfo"]["endCursor"] for one in ORDERS}

    answers = {one: await _ask(api, orderBy=order, after=cursor) for one, cursor in cursors.items()}

    assert answers.pop(order).errors == []
    assert [_refusal(answer) for answer in answers.values()] == [("BAD_USER_INPUT", NOT_A_CURSOR)] * 2


@pytest.mark.parametrize("order", ORDERS)
async def test_what_is_no_cursor_is_refused(api: Api, order: str) -> None:
    await _fill(api.cast, 2)
    good = (await _queue(api, first=1, orderBy=order))["pageInfo"]["endCursor"]
    parts = json.loads(base64.urlsafe_b64decode(good))
    mangled = [
        _encode([*parts[:place], bad, *parts[place + 1 :]]) for place in range(len(parts)) for bad in BAD
    ]
    garbage = ["", "7", "ä", "%%%%", good[:-1], good[:-8], good[1:], "A" * 20_000, _encode([]), _encode({})]

    answers = [await _ask(api, orderBy=order, after=cursor) for cursor in [*garbage, *mangled]]

    assert {_refusal(answer) for answer in answers} == {("BAD_USER_INPUT", NOT_A_CURSOR)}


async def test_a_page_holds_1_to_100(api: Api) -> None:
    answers = [await _ask(api, first=first) for first in (0, -1, 101, 2**31 - 1, -(2**31))]

    assert {_refusal(answer) for answer in answers} == {
        ("BAD_USER_INPUT", "first must be between 1 and 100.")
    }


async def test_an_unknown_and_a_foreign_team_are_not_found(api: Api) -> None:
    cast = api.cast
    own = await api.ask(cast.vera, QUEUE, filter={"teamId": str(cast.team_id)})

    foreign = await api.ask(cast.charlie, QUEUE, filter={"teamId": str(cast.team_id)})
    others = [
        await _ask(api, filter={"teamId": team}) for team in (str(uuid4()), "", "no id", str(UUID(int=0)))
    ]

    assert own.errors == []
    refusals = {_refusal(answer) for answer in [foreign, *others]}
    assert refusals == {("NOT_FOUND", "No team of your account has this id.")}


async def test_a_domain_that_cannot_be_stored_is_refused(api: Api) -> None:
    answer = await _ask(api, filter={"problemDomain": "net\x00work"})

    message = "problemDomain holds a character that is not text (NUL or half a surrogate pair)."
    assert _refusal(answer) == ("BAD_USER_INPUT", message)


async def _ask(api: Api, **variables: Any) -> Answer:  # noqa: ANN401
    return await api.ask(api.cast.vera, QUEUE, **variables)


async def _queue(api: Api, **variables: Any) -> Any:  # noqa: ANN401
    return (await _ask(api, **variables)).only()


async def _walk(api: Api, size: int, **variables: Any) -> list[Any]:  # noqa: ANN401
    pages = [await _queue(api, first=size, **variables)]
    while pages[-1]["pageInfo"]["hasNextPage"]:
        assert len(pages) < 50
        after = pages[-1]["pageInfo"]["endCursor"]
        pages.append(await _queue(api, first=size, **(variables | {"after": after})))
    return pages


async def _fill(cast: Cast, number: int) -> list[HandoffRow]:
    """Park sessions of Alice's, three at a time in the same instant, with every priority."""
    made = []
    async with cast.database.transaction(cast.account_id) as tx:
        for place in range(number):
            session = await sessions.start(tx, cast.alice, NewSession(problem_summary="VPN drops"), now=NOON)
            priority = HandoffPriority(place % len(HandoffPriority))
            new = NewHandoff(session_id=session.id, intent=HandoffIntent.PARK, priority=priority)
            now = NOON + timedelta(microseconds=place // 3)
            made.append((await handing_off.create(tx, cast.alice, new, now=now, grace=timedelta(0))).handoff)
    return made


async def _wait(api: Api, intent: str, priority: str, domain: str, *, in_team: bool) -> str:
    """Hand off a session of that domain and return the handoff's id."""
    session = await api.cast.start_session(in_team=in_team)
    await api.change(api.cast.alice, "updateSession", sessionId=str(session.id), problemDomain=domain)
    return await api.escalate(api.cast.alice, session.id, intent=intent, priority=priority)


def _sorted(rows: Sequence[HandoffRow], order: str) -> list[str]:
    if order == "PRIORITY_FIRST":
        found = sorted(rows, key=lambda row: (row.priority, row.created_at, row.id))
    else:
        found = sorted(rows, key=lambda row: (row.created_at, row.id), reverse=order == "NEWEST_FIRST")
    return [str(row.id) for row in found]


def _ids(page: Any) -> list[str]:  # noqa: ANN401
    assert {edge["node"]["state"] for edge in page["edges"]} <= {"OPEN"}
    return [edge["node"]["id"] for edge in page["edges"]]


def _encode(parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def _refusal(answer: Answer) -> tuple[str, str]:
    """Return code and message of an answer that is nothing but one refusal."""
    assert answer.data is None
    (error,) = answer.errors
    return error["extensions"]["code"], error["message"]
