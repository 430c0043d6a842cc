"""A retried startSession, appendSessionMessages or addSessionBranch finds what the first one made."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from db.enums import ApiKeyScope
from db.models import idempotency_keys
from db.users import UserRow
from tests.cast import Cast
from tests.client import CREATE, Api

REUSED = "idempotencyKey was used with another input in the last 24 hours. Use a new key."
LIST = "{ sessions(first: 100) { totalCount } }"
SAID = [
    {"role": "USER", "content": "It drops", "at": "2026-01-31T09:30:00Z"},
    {"role": "ASSISTANT", "content": "When?"},
]
TEXTS = ["It drops", "When?"]


async def test_a_retry_returns_the_first_session_and_writes_nothing(api: Api) -> None:
    cast = api.cast
    first = await start(api, cast.alice, messages=SAID)
    before = await cast.all_rows()

    second = await start(api, cast.alice, messages=SAID)

    assert second == first
    assert await cast.all_rows() == before


async def test_a_retry_shows_the_session_as_it_is_now(api: Api) -> None:
    first = await start(api, api.cast.alice)
    (await api.change(api.cast.bob, "resolveSession", sessionId=first["id"])).only()

    second = await start(api, api.cast.alice)

    assert (second["id"], second["status"]) == (first["id"], "RESOLVED")


async def test_a_retry_adds_no_message_again(api: Api) -> None:
    cast = api.cast
    session_id = await new_session(api)
    first = await append(api, cast.alice, session_id)
    before = await cast.all_rows()

    second = await append(api, cast.alice, session_id)

    assert second == first
    assert contents(second) == TEXTS
    assert await cast.all_rows() == before


async def test_a_retry_of_messages_shows_what_was_added_since_and_that_it_was_resolved(api: Api) -> None:
    cast = api.cast
    session_id = await new_session(api)
    await append(api, cast.alice, session_id)
    await append(api, cast.bob, session_id, messages=[{"role": "USER", "content": "At noon"}])
    (await api.change(cast.bob, "resolveSession", sessionId=session_id)).only()

    again = await append(api, cast.alice, session_id)
    late = (await api.change(cast.alice, "appendSessionMessages", sessionId=session_id, messages=SAID)).only()

    assert again["session"]["status"] == "RESOLVED"
    assert contents(again) == [*TEXTS, "At noon"]
    assert late["__typename"] == "SessionResolved"


async def test_a_retry_adds_no_branch_again_also_where_the_session_was_resolved_meanwhile(api: Api) -> None:
    cast = api.cast
    session_id = await new_session(api)
    await branch(api, cast.alice, session_id)
    await branch(api, cast.alice, session_id, label="Logs", idempotencyKey="k2")
    (await api.change(cast.bob, "resolveSession", sessionId=session_id)).only()
    before = await cast.all_rows()

    again = await branch(api, cast.alice, session_id)
    late = (await api.change(cast.alice, "addSessionBranch", sessionId=session_id, label="MTU")).only()

    assert again["session"]["status"] == "RESOLVED"
    assert labels(again) == ["Disk", "Logs"]
    assert late["__typename"] == "SessionResolved"
    assert await cast.all_rows() == before


@pytest.mark.parametrize(
    "changed",
    [
        {"label": "Disc"},
        {"status": "ruled_out"},
        {"statusReason": "Full"},
        {"parentBranchId": True},
        {"sessionId": True},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_the_same_key_with_another_branch_is_refused(api: Api, changed: dict[str, Any]) -> None:
    cast = api.cast
    session_id = await new_session(api)
    first = await branch(api, cast.alice, session_id)
    ids = {"parentBranchId": first["session"]["branches"][0]["id"], "sessionId": await new_session(api)}
    before = await cast.all_rows()
    given = {"sessionId": session_id, "label": "Disk", "idempotencyKey": "k1"}
    given |= {name: ids[name] if value is True else value for name, value in changed.items()}

    answer = await api.change(cast.alice, "addSessionBranch", **given)

    assert answer.refusal() == ("BAD_USER_INPUT", REUSED)
    assert await cast.all_rows() == before


async def test_without_a_key_a_repeated_request_makes_another(api: Api) -> None:
    cast = api.cast

    sessions = [await start(api, cast.alice, idempotencyKey=None) for _ in range(2)]
    answers = [await append(api, cast.alice, sessions[0]["id"], idempotencyKey=None) for _ in range(2)]
    branched = [await branch(api, cast.alice, sessions[0]["id"], idempotencyKey=None) for _ in range(2)]

    assert sessions[0]["id"] != sessions[1]["id"]
    assert contents(answers[-1]) == TEXTS * 2
    assert labels(branched[-1]) == ["Disk"] * 2


@pytest.mark.parametrize(
    "changed",
    [
        {"problemSummary": "Mail bounces"},
        {"problemDomain": "mail"},
        {"confidenceTier": "LOW"},
        {"psaTicketId": "4711"},
        {"messages": SAID},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_the_same_key_with_another_session_is_refused(api: Api, changed: dict[str, Any]) -> None:
    await start(api, api.cast.alice)
    before = await api.cast.all_rows()

    answer = await api.change(api.cast.alice, "startSession", **wanted(**changed))

    assert answer.refusal() == ("BAD_USER_INPUT", REUSED)
    assert await api.cast.all_rows() == before


@pytest.mark.parametrize(
    "messages",
    [SAID[:1], [SAID[0] | {"at": "2026-01-31T09:31:00Z"}, SAID[1]]],
    ids=["fewer", "at other times"],
)
async def test_the_same_key_with_other_messages_is_refused(api: Api, messages: list[dict[str, str]]) -> None:
    cast = api.cast
    session_id = await new_session(api)
    await append(api, cast.alice, session_id)
    before = await cast.all_rows()
    given = {"sessionId": session_id, "messages": messages, "idempotencyKey": "k1"}

    answer = await api.change(cast.alice, "appendSessionMessages", **given)

    assert answer.refusal() == ("BAD_USER_INPUT", REUSED)
    assert await cast.all_rows() == before


async def test_the_same_key_for_another_session_is_refused(api: Api) -> None:
    cast = api.cast
    session_id, other_id = await new_session(api), await new_session(api)
    await append(api, cast.alice, session_id)
    before = await cast.all_rows()
    given = {"sessionId": other_id, "messages": SAID, "idempotencyKey": "k1"}

    answer = await api.change(cast.alice, "appendSessionMessages", **given)

    assert answer.refusal() == ("BAD_USER_INPUT", REUSED)
    assert await cast.all_rows() == before


async def test_a_key_belongs_to_one_request_whichever_mutation_it_is(api: Api) -> None:
    cast = api.cast
    session_id = (await start(api, cast.alice))["id"]
    handoff = {"sessionId": session_id, "intent": "PARK", "idempotencyKey": "k2"}
    assert (await api.ask(cast.alice, CREATE, input=handoff)).only()["__typename"] == "CreateHandoffSuccess"
    before = await cast.all_rows()

    answers = [
        await api.change(
            cast.alice, "appendSessionMessages", sessionId=session_id, messages=SAID, idempotencyKey="k1"
        ),
        await api.change(cast.alice, "startSession", **wanted(idempotencyKey="k2")),
        await api.change(
            cast.alice, "addSessionBranch", sessionId=session_id, label="Disk", idempotencyKey="k1"
        ),
        await api.ask(cast.alice, CREATE, input=handoff | {"idempotencyKey": "k1"}),
    ]

    assert [answer.refusal() for answer in answers] == [("BAD_USER_INPUT", REUSED)] * 4
    assert await cast.all_rows() == before


async def test_the_key_of_another_user_or_account_is_another_key(api: Api) -> None:
    cast = api.cast
    people = (cast.alice, cast.bob, cast.charlie)

    started = [await start(api, user) for user in people]
    answers = [
        await append(api, user, session["id"], idempotencyKey="k2")
        for user, session in zip((cast.bob, cast.alice, cast.charlie), started, strict=True)
    ]

    assert len({session["id"] for session in started}) == 3
    assert [session["owner"]["name"] for session in started] == ["Alice", "Bob", "Charlie"]
    assert [contents(answer) for answer in answers] == [TEXTS] * 3


async def test_a_key_of_scope_ingest_repeats_a_session_of_somebody_else_s(api: Api) -> None:
    cast = api.cast
    key = await cast.make_key(cast.bob, ApiKeyScope.INGEST)
    document = "mutation ($input: StartSessionInput!) { startSession(input: $input) { session { id } } }"
    given = wanted(ownerId=str(cast.alice.id))

    answers = [(await api.ask_with(key.token, document, input=given)).only() for _ in range(2)]

    assert answers[0] == answers[1]
    assert await count(api) == 1


@pytest.mark.parametrize("key", ["", "  ", "x" * 201, "NUL \x00"])
async def test_a_key_that_cannot_be_stored_is_refused_and_nothing_is_made(api: Api, key: str) -> None:
    cast = api.cast
    session_id = await new_session(api)
    before = await cast.all_rows()

    answers = [
        await api.change(cast.alice, "startSession", **wanted(idempotencyKey=key)),
        await api.change(
            cast.alice, "appendSessionMessages", sessionId=session_id, messages=SAID, idempotencyKey=key
        ),
        await api.change(
            cast.alice, "addSessionBranch", sessionId=session_id, label="Disk", idempotencyKey=key
        ),
    ]

    assert [answer.codes for answer in answers] == [["BAD_USER_INPUT"]] * 3
    assert await cast.all_rows() == before


async def test_a_refused_request_does_not_use_its_key(api: Api) -> None:
    cast = api.cast
    session_id = await new_session(api)
    before = await cast.all_rows()
    refused = [
        await api.change(cast.alice, "startSession", **wanted(problemSummary=" ")),
        await api.change(cast.alice, "startSession", **wanted(ownerId=str(cast.bob.id))),
        await api.change(
            cast.alice, "appendSessionMessages", sessionId=session_id, messages=[], idempotencyKey="k2"
        ),
        await api.change(
            cast.alice, "addSessionBranch", sessionId=session_id, label=" ", idempotencyKey="k3"
        ),
    ]
    unchanged = await cast.all_rows()

    started = await start(api, cast.alice)
    appended = await append(api, cast.alice, session_id, idempotencyKey="k2")
    branched = await branch(api, cast.alice, session_id, idempotencyKey="k3")

    codes = ["BAD_USER_INPUT", "FORBIDDEN", "BAD_USER_INPUT", "BAD_USER_INPUT"]
    assert [answer.codes for answer in refused] == [[code] for code in codes]
    assert unchanged == before
    assert started["owner"] == {"name": "Alice"}
    assert contents(appended) == TEXTS
    assert labels(branched) == ["Disk"]


async def test_a_key_older_than_a_day_is_forgotten(api: Api) -> None:
    cast = api.cast
    handoff = {"sessionId": await new_session(api), "intent": "PARK", "idempotencyKey": "k0"}
    (await api.ask(cast.alice, CREATE, input=handoff)).only()
    first = await start(api, cast.alice)
    await append(api, cast.alice, first["id"], idempotencyKey="k2")
    await age_keys(cast, timedelta(hours=24, seconds=1))

    other = await start(api, cast.alice)
    appended = await append(api, cast.alice, first["id"], idempotencyKey="k2")
    after_handoff = await start(api, cast.alice, idempotencyKey="k0")

    assert len({first["id"], other["id"], after_handoff["id"]}) == 3
    assert contents(appended) == TEXTS * 2
    assert await start(api, cast.alice) == other


async def test_a_key_of_nearly_a_day_is_remembered(api: Api) -> None:
    cast = api.cast
    first = await start(api, cast.alice)
    await append(api, cast.alice, first["id"], idempotencyKey="k2")
    await age_keys(cast, timedelta(hours=23, minutes=50))

    again = await append(api, cast.alice, first["id"], idempotencyKey="k2")

    assert (await start(api, cast.alice))["id"] == first["id"]
    assert contents(again) == TEXTS


@pytest.mark.parametrize("known_before", [True, False], ids=["expired", "new"])
async def test_equal_requests_at_once_start_one_session_and_add_messages_once(
    api: Api, known_before: bool
) -> None:
    cast = api.cast
    session_id = await new_session(api)
    if known_before:
        await start(api, cast.alice)
        await append(api, cast.alice, session_id, idempotencyKey="k2")
        await age_keys(cast, timedelta(hours=25))
    had, messages_had = await count(api), len(contents({"session": await api.session(session_id)}))
    before = await cast.last_event()

    started = await asyncio.gather(*(start(api, cast.alice) for _ in range(10)))
    appended = await asyncio.gather(
        *(append(api, cast.alice, session_id, idempotencyKey="k2") for _ in range(10))
    )
    branched = await asyncio.gather(
        *(branch(api, cast.alice, session_id, idempotencyKey="k3") for _ in range(10))
    )

    assert all(session == started[0] for session in started)
    assert all(answer == appended[0] for answer in appended)
    assert [labels(answer) for answer in branched] == [["Disk"]] * 10
    assert await count(api) == had + 1
    assert len(contents(appended[0])) == messages_had + 2
    assert await cast.last_event() == before + 3


async def test_of_other_requests_with_one_key_at_once_one_is_accepted(api: Api) -> None:
    cast = api.cast
    session_ids = [await new_session(api) for _ in range(3)]
    before = await cast.last_event()

    answers = await asyncio.gather(
        *(api.change(cast.alice, "startSession", **wanted(problemSummary=str(n))) for n in range(3)),
        *(
            api.change(
                cast.alice, "appendSessionMessages", sessionId=session_id, messages=SAID, idempotencyKey="k1"
            )
            for session_id in session_ids
        ),
    )

    refused = [answer.refusal() for answer in answers if answer.errors]
    assert refused == [("BAD_USER_INPUT", REUSED)] * 5
    assert await cast.last_event() == before + 1


def wanted(**given: Any) -> dict[str, Any]:  # noqa: ANN401 (anything of the input)
    """Return an input of startSession with the key k1."""
    return {"problemSummary": "VPN drops every hour", "idempotencyKey": "k1"} | given


async def start(api: Api, user: UserRow, **given: Any) -> Any:  # noqa: ANN401
    """Start a session with the key k1 unless given, and return it."""
    return (await api.change(user, "startSession", **wanted(**given))).only()["session"]


async def append(api: Api, user: UserRow, session_id: str, **given: Any) -> Any:  # noqa: ANN401
    """Add messages with the key k1 unless given, and return the answer, which is a success."""
    given = {"sessionId": session_id, "messages": SAID, "idempotencyKey": "k1"} | given
    answer = (await api.change(user, "appendSessionMessages", **given)).only()
    assert answer["__typename"] == "SessionSuccess"
    return answer


async def branch(api: Api, user: UserRow, session_id: str, **given: Any) -> Any:  # noqa: ANN401
    """Add a branch with the key k1 unless given, and return the answer, which is a success."""
    given = {"sessionId": session_id, "label": "Disk", "idempotencyKey": "k1"} | given
    answer = (await api.change(user, "addSessionBranch", **given)).only()
    assert answer["__typename"] == "SessionSuccess"
    return answer


def labels(answer: Any) -> list[str]:  # noqa: ANN401
    """Return the branches of the session of an answer, in their order."""
    return [branch["label"] for branch in answer["session"]["branches"]]


def contents(answer: Any) -> list[str]:  # noqa: ANN401
    """Return what was said in the session of an answer."""
    return [edge["node"]["content"] for edge in answer["session"]["messages"]["edges"]]


async def new_session(api: Api) -> str:
    return str((await api.cast.start_session()).id)


async def count(api: Api) -> int:
    """Count the sessions of the account."""
    return int((await api.ask(api.cast.vera, LIST)).only()["totalCount"])


async def age_keys(cast: Cast, age: timedelta) -> None:
    async with cast.database.system() as tx:
        await tx.execute(update(idempotency_keys).values(created_at=datetime.now(UTC) - age))
