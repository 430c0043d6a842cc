"""What was said in a session: added at its end, numbered without gaps, read in pages."""

import asyncio
from typing import Any

from tests.client import Api


async def test_messages_are_appended_after_the_last_one(api: Api) -> None:
    session_id = str((await api.cast.start_session()).id)
    for texts in (["one", "two"], ["three"]):
        messages = [{"role": "SYSTEM", "content": text} for text in texts]
        answer = await api.change(
            api.cast.alice, "appendSessionMessages", sessionId=session_id, messages=messages
        )

    shown = answer.only()["session"]["messages"]
    assert shown["totalCount"] == 3
    assert [(e["node"]["index"], e["node"]["content"]) for e in shown["edges"]] == [
        (0, "one"),
        (1, "two"),
        (2, "three"),
    ]
    event = await api.cast.newest_event()
    assert (event.kind, event.summary) == ("MESSAGES_APPENDED", "added 1 message")
    assert str(event.session_id) == session_id


async def test_messages_appended_at_once_are_numbered_without_gaps(api: Api) -> None:
    session_id = str((await api.cast.start_session()).id)

    async def append(text: str) -> None:
        messages = [{"role": "USER", "content": text}, {"role": "ASSISTANT", "content": f"re: {text}"}]
        given = {"sessionId": session_id, "messages": messages}
        (await api.change(api.cast.alice, "appendSessionMessages", **given)).only()

    await asyncio.gather(*(append(str(n)) for n in range(8)))

    nodes = [edge["node"] for edge in (await api.session(session_id))["messages"]["edges"]]
    assert [node["index"] for node in nodes] == list(range(16))
    questions, replies = nodes[::2], nodes[1::2]
    assert [f"re: {node['content']}" for node in questions] == [node["content"] for node in replies]


async def test_messages_are_paged_through_in_order(api: Api) -> None:
    session_id = str((await api.cast.start_session()).id)
    messages = [{"role": "USER", "content": str(n)} for n in range(7)]
    given = {"sessionId": session_id, "messages": messages}
    (await api.change(api.cast.alice, "appendSessionMessages", **given)).only()

    pages = [await _page(api, session_id, None)]
    while pages[-1]["pageInfo"]["hasNextPage"]:
        pages.append(await _page(api, session_id, pages[-1]["pageInfo"]["endCursor"]))

    seen = [[edge["node"]["content"] for edge in page["edges"]] for page in pages]
    assert seen == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert [page["pageInfo"]["hasPreviousPage"] for page in pages] == [False, True, True]
    assert {page["totalCount"] for page in pages} == {7}
    last = pages[-1]["pageInfo"]["endCursor"]
    assert (await _page(api, session_id, last))["edges"] == []


async def _page(api: Api, session_id: str, after: str | None) -> Any:  # noqa: ANN401
    document = """query ($id: ID!, $after: String) { session(id: $id) { messages(first: 3, after: $after) {
      totalCount edges { node { content } }
      pageInfo { hasNextPage hasPreviousPage endCursor }
    } } }"""
    return (await api.ask(api.cast.vera, document, id=session_id, after=after)).only()["messages"]
