"""The lists below objects, and that of all sessions: page by page, each item once."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from db.enums import MessageRole
from resolvers import sessions
from resolvers.sessions import NewMessage
from tests.client import Answer, Api

SESSIONS = """
query ($status: SessionStatus, $first: Int! = 20, $after: String) {
  sessions(status: $status, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { cursor node { id status } }
  }
}
"""
MESSAGES = """
query ($id: ID!, $first: Int, $after: String) { session(id: $id) { messages(first: $first, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } edges { cursor node { index role content at } }
} } }
"""
HANDOFFS = """
query ($id: ID!, $first: Int, $after: String) { session(id: $id) { handoffs(first: $first, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } edges { cursor node { id } }
} } }
"""
DELIVERIES = """
query ($id: ID!, $first: Int, $after: String) { handoff(id: $id) { deliveries(first: $first, after: $after) {
  totalCount pageInfo { hasNextPage endCursor }
  edges { cursor node { id kind channel status attempts recipient { name } handoff { id } } }
} } }
"""
#: Cursors of a list of another kind, and of places that no list has.
NO_PLACES = [
    base64.urlsafe_b64encode(json.dumps(key).encode()).decode()
    for key in (
        ["", 10**30],
        ["", -1],
        ["", 10**30, str(uuid4())],
        ["", 0, "no id"],
        ["", 0, 7],
        ["NEWEST_FIRST", 0],
    )
]


async def test_sessions_come_newest_first_page_by_page(api: Api) -> None:
    started = [str((await api.cast.start_session(f"Problem {number}")).id) for number in range(5)]

    pages = await _walk(api, SESSIONS, first=2)

    assert [[node["id"] for node in page] for page in pages] == [
        started[4:2:-1],
        started[2:0:-1],
        started[:1],
    ]


async def test_sessions_can_be_narrowed_to_a_status(api: Api) -> None:
    cast = api.cast
    active, parked, escalated, resolved = [(await cast.start_session()).id for _ in range(4)]
    await api.create(cast.alice, parked, "PARK")
    await api.create(cast.alice, escalated, "ESCALATE")
    await api.change(cast.alice, "resolveSession", sessionId=str(resolved))

    found = {
        status: (await api.ask(cast.vera, SESSIONS, status=status)).only()
        for status in ("ACTIVE", "PAUSED", "ESCALATED", "RESOLVED", None)
    }

    ids = {status: [edge["node"]["id"] for edge in page["edges"]] for status, page in found.items()}
    newest_first = [str(id_) for id_ in (resolved, escalated, parked, active)]
    assert ids == {
        "ACTIVE": [str(active)],
        "PAUSED": [str(parked)],
        "ESCALATED": [str(escalated)],
        "RESOLVED": [str(resolved)],
        None: newest_first,
    }
    assert [page["totalCount"] for page in found.values()] == [1, 1, 1, 1, 4]


async def test_messages_come_in_order_page_by_page(api: Api) -> None:
    session_id = (await api.cast.start_session()).id
    now = datetime.now(UTC)
    said = [NewMessage(role=MessageRole.USER, content=f"Line {number}", at=now) for number in range(5)]
    async with api.cast.database.transaction(api.cast.account_id) as tx:
        await sessions.append_messages(tx, api.cast.alice, session_id, said, now=now)

    pages = await _walk(api, MESSAGES, id=str(session_id), first=2)

    shown = [
        {"index": index, "role": "USER", "content": f"Line {index}", "at": now.isoformat()}
        for index in range(5)
    ]
    assert pages == [shown[:2], shown[2:4], shown[4:]]


async def test_the_handoffs_of_a_session_are_its_history_newest_first(api: Api) -> None:
    cast = api.cast
    session_id = (await cast.start_session()).id
    other = await api.escalate(cast.alice, (await cast.start_session()).id)
    made = []
    for _ in range(3):
        made.append(await api.escalate(cast.alice, session_id))
        await api.claim(cast.bob, made[-1])

    pages = await _walk(api, HANDOFFS, id=str(session_id), first=2)

    assert other not in made
    assert pages == [[{"id": made[2]}, {"id": made[1]}], [{"id": made[0]}]]


async def test_the_deliveries_of_a_handoff_come_page_by_page(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)

    pages = await _walk(api, DELIVERIES, id=handoff_id, first=2)

    nodes = [node for page in pages for node in page]
    assert [len(page) for page in pages] == [2, 1]
    assert sorted(node["recipient"]["name"] for node in nodes) == ["Adam", "Bob", "Olivia"]
    assert len({node["id"] for node in nodes}) == 3
    shared = {"kind": "ESCALATION", "channel": "EMAIL", "status": "PENDING", "attempts": 0}
    for node in nodes:
        assert node == node | shared | {"handoff": {"id": handoff_id}}


@pytest.mark.parametrize(
    "document", [MESSAGES, HANDOFFS, DELIVERIES], ids=["messages", "handoffs", "deliveries"]
)
async def test_a_page_below_an_object_holds_1_to_100_and_takes_its_own_cursors_only(
    api: Api, document: str
) -> None:
    ids = await api.cast.one_of_each(api.cast.alice)
    id_ = ids["Handoff" if document == DELIVERIES else "Session"]
    refused: list[dict[str, Any]] = [{"first": 0}, {"first": 101}, {"after": "no cursor"}, {"after": ""}]
    refused += [{"after": cursor} for cursor in NO_PLACES]

    answers = [await api.ask(api.cast.vera, document, id=id_, **given) for given in refused]

    field = "handoff" if document == DELIVERIES else "session"
    assert {str(answer.data) for answer in answers} == {str({field: None})}
    assert [answer.codes for answer in answers] == [["BAD_USER_INPUT"]] * len(refused)


async def test_a_page_below_an_object_holds_20_unless_told(api: Api) -> None:
    session_id = (await api.cast.start_session()).id
    said = [{"role": "SYSTEM", "content": "."}] * 21
    await api.change(api.cast.alice, "appendSessionMessages", sessionId=str(session_id), messages=said)

    answers = [
        await api.ask(api.cast.vera, MESSAGES, id=str(session_id), **given) for given in ({}, {"first": None})
    ]

    pages = [answer.only()["messages"] for answer in answers]
    assert [(len(page["edges"]), page["totalCount"]) for page in pages] == [(20, 21)] * 2


async def _walk(api: Api, document: str, **variables: Any) -> list[list[Any]]:  # noqa: ANN401
    """Return the nodes of each page of the one list of a document, whose total is that of all pages."""
    pages = [_connection(await api.ask(api.cast.vera, document, **variables))]
    while pages[-1]["pageInfo"]["hasNextPage"]:
        after = pages[-1]["pageInfo"]["endCursor"]
        pages.append(_connection(await api.ask(api.cast.vera, document, after=after, **variables)))
    assert {page["totalCount"] for page in pages} == {sum(len(page["edges"]) for page in pages)}
    return [[edge["node"] for edge in page["edges"]] for page in pages]


def _connection(answer: Answer) -> Any:  # noqa: ANN401
    found = answer.only()
    while "edges" not in found:
        (found,) = found.values()
    return found
