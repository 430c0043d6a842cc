"""What a client learns of a failure: what it can correct, or that the server failed, and nothing else."""

import logging
import re
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from resolvers.errors import Refusal
from tests.client import Api

START = "mutation ($input: StartSessionInput!) { startSession(input: $input) { session { id } } }"
QUEUE = "query ($input: QueueFilter) { queue(filter: $input) { totalCount } }"

INTERNAL = "Something went wrong on the server. It was logged."
#: Words of the tools behind the API, which no client should meet.
INNARDS = re.compile(
    r"SELECT|INSERT|UPDATE|FROM|sql|Traceback|Exception|Error:|\bNone\b|\bTrue\b|class|object at|\.py|\{'|"
    r"asyncpg|strawberry|graphql|UUID\(",
    re.IGNORECASE,
)
#: Documents that are wrong, and what a client is told.
WRONG = {
    "{ queue(": "Syntax Error: Expected Name, found <EOF>.",
    "{ me { id } } }": "Syntax Error: Unexpected '}'.",
    "{ quue { totalCount } }": "Cannot query field 'quue' on type 'Query'.",
    "{ me { nme } }": "Cannot query field 'nme' on type 'User'.",
    "{ me }": "Field 'me' of type 'User!' must have a selection of subfields.",
    "{ queue(firs: 1) { totalCount } }": "Unknown argument 'firs' on field 'Query.queue'.",
    "{ queue(orderBy: NEWEST) { totalCount } }": "Value 'NEWEST' does not exist in 'QueueOrder' enum.",
    '{ node(id: "1") { ... on Sesion { id } } }': "Unknown type 'Sesion'.",
    "query ($f: QueueFiltr) { queue(filter: $f) { totalCount } }": "Unknown type 'QueueFiltr'.",
    "{ me @skp(if: true) { id } }": "Unknown directive '@skp'.",
}
#: Inputs that are wrong, with their document, and what a client is told of the variable.
WRONG_INPUTS: list[tuple[str, Any, list[str]]] = [
    (
        QUEUE,
        {"teamid": "x"},
        [": Expected value of type 'QueueFilter' not to include unknown field 'teamid'."],
    ),
    (
        QUEUE,
        {"priority": "URGNT"},
        [" at .priority: Value 'URGNT' does not exist in 'HandoffPriority' enum."],
    ),
    (QUEUE, "x", [": Expected value of type 'QueueFilter' to be an object."]),
    (QUEUE, {"teamId": {"a": None}}, [" at .teamId: ID cannot represent value."]),
    (START, None, [": Expected value of non-null type 'StartSessionInput!' not to be null."]),
    (START, {"problemSummary": True}, [" at .problemSummary: String cannot represent a non string value."]),
    (
        START,
        {"problemSummry": "x"},
        [
            ": Expected value of type 'StartSessionInput' to include required field 'problemSummary'.",
            ": Expected value of type 'StartSessionInput' not to include unknown field 'problemSummry'.",
        ],
    ),
]
#: Instants that are none, or that cannot be stored.
BAD_INSTANTS = [
    "now",
    7,
    "2026-02-30T00:00:00Z",
    "2026-01-31T25:00:00Z",
    "2026-01-31T00:00:00+99:99",
    "",
    "2026-01-31T12:00:00",
]
BAD_INSTANTS += ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "\x00", {"a": None}, [None]]


async def test_a_document_that_is_wrong_is_told_what_and_where_without_guesses(api: Api) -> None:
    answers = {document: await api.ask(api.cast.vera, document) for document in WRONG}

    for document, answer in answers.items():
        (error,) = answer.errors
        assert answer.data is None
        assert error.pop("locations") != []
        assert error == {"message": WRONG[document], "extensions": {"code": "BAD_USER_INPUT"}}


async def test_a_variable_that_is_wrong_is_told_which_and_why_without_guesses(api: Api) -> None:
    for document, wrong, expected in WRONG_INPUTS:
        answer = await api.ask(api.cast.alice, document, input=wrong)

        assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"] * len(expected))
        messages = [f"Variable '$input' has invalid value{text}" for text in expected]
        assert [error["message"] for error in answer.errors] == messages


async def test_a_page_size_that_is_none_is_told_without_repeating_it(api: Api) -> None:
    document = "query ($first: Int!) { queue(first: $first) { totalCount } }"
    said = {"1": "non-integer", True: "non-integer", 1.5: "non-integer", 2**31: "non 32-bit signed integer"}

    for first, what in said.items():
        answer = await api.ask(api.cast.vera, document, first=first)

        assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"])
        message = f"Variable '$first' has invalid value: Int cannot represent {what} value."
        assert [error["message"] for error in answer.errors] == [message]


async def test_an_instant_that_is_none_is_refused_in_words_of_the_api(api: Api) -> None:
    before = await api.cast.all_rows()

    for instant in BAD_INSTANTS:
        messages = [{"role": "USER", "content": "x", "at": instant}]
        answer = await api.ask(api.cast.alice, START, input={"problemSummary": "x", "messages": messages})

        assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"]), instant
        assert INNARDS.search(answer.errors[0]["message"]) is None
    assert await api.cast.all_rows() == before


async def test_an_unexpected_fault_of_a_query_is_masked_and_logged_once_with_its_cause(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    session_id = str((await api.cast.start_session()).id)
    await _rename(api, "session_messages", "gone")
    document = (
        "query ($id: ID!) { me { name } session(id: $id) { messages { totalCount edges { cursor } } } }"
    )

    answer = await api.ask(api.cast.vera, document, id=session_id)

    (error,) = answer.errors
    assert error.pop("locations") != []
    assert answer.data == {"me": {"name": "Vera"}, "session": None}
    assert error == {"message": INTERNAL, "path": ["session", "messages"], "extensions": {"code": "INTERNAL"}}
    assert _logged(caplog) == [("schema.errors", "unexpected error", ["session", "messages"])]


async def test_an_unexpected_fault_of_a_mutation_is_masked_and_leaves_nothing_behind(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    before = await api.cast.all_rows()
    await _rename(api, "session_messages", "gone")
    messages = [{"role": "USER", "content": "x"}]

    answer = await api.ask(api.cast.alice, START, input={"problemSummary": "x", "messages": messages})

    await _rename(api, "gone", "session_messages")
    (error,) = answer.errors
    assert answer.data is None
    assert (error["message"], error["extensions"]) == (INTERNAL, {"code": "INTERNAL"})
    assert _logged(caplog) == [("schema.errors", "unexpected error", ["startSession"])]
    assert await api.cast.all_rows() == before


async def test_a_database_that_cannot_say_who_asks_is_a_fault_and_no_refusal(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    await _rename(api, "users", "gone")

    answer = await api.ask(api.cast.alice, "{ me { name } }")

    assert answer.data is None
    assert [(error["message"], error["extensions"]) for error in answer.errors] == [
        (INTERNAL, {"code": "INTERNAL"})
    ]
    assert _logged(caplog) == [("schema.errors", "unexpected error", ["me"])]


async def test_refusals_and_mistakes_of_clients_are_not_logged(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [
        await api.ask(None, "{ me { name } }"),
        await api.ask(api.cast.vera, START, input={"problemSummary": "x"}),
        await api.ask(api.cast.vera, "{ queue(first: 0) { totalCount } }"),
        await api.ask(api.cast.vera, '{ handoff(id: "x") { id } }'),
        await api.ask(api.cast.vera, "{ nothing }"),
    ]

    codes = ["UNAUTHENTICATED", "FORBIDDEN", "BAD_USER_INPUT", "NOT_FOUND", "BAD_USER_INPUT"]
    assert [answer.codes for answer in answers] == [[code] for code in codes]
    assert _logged(caplog) == []


def test_no_refusal_speaks_of_what_is_behind_the_api() -> None:
    words = [refusal.__doc__ or "" for refusal in _kinds(Refusal)]

    assert len(words) >= 11
    assert [message for message in words if INNARDS.search(message)] == []


async def _rename(api: Api, table: str, name: str) -> None:
    """Take a table away from the service, or give it back."""
    async with api.cast.database.owning() as tx:
        await tx.connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


def _logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, list[str]]]:
    """Return logger, message and path of each record that is no note; each has the database's fault."""
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    for record in records:
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], DBAPIError)
    return [(record.name, record.getMessage(), vars(record)["path"]) for record in records]


def _kinds(kind: type[Refusal]) -> list[type[Refusal]]:
    return [kind, *(below for one in kind.__subclasses__() for below in _kinds(one))]
