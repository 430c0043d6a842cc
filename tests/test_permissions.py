"""Who may ask for what: nobody unless signed in, a viewer to read, and what the database says now counts."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest

from db.enums import Role
from db.session import new_id
from tests.client import SECRET, Answer, Api
from tests.documents import FOR_ADMINS, Operation, ids_for, request, root_fields

ME = "{ me { name role } }"
START = 'mutation { startSession(input: { problemSummary: "VPN drops" }) { session { owner { name } } } }'
SIGN_IN = "Sign in: send a valid token."
EXPIRED = "Your token has expired. Get a new one."
INVALID = "Your token is not valid. Get a new one."
LOCKED_OUT = "This user cannot sign in any more. Ask an admin of the account."
READ_ONLY = "Engineer or admin access required"
ADMINS_ONLY = "Admin access required"


@pytest.mark.parametrize("operation", ["query", "mutation"])
async def test_no_root_field_answers_who_is_not_signed_in(api: Api, operation: Operation) -> None:
    ids = await api.cast.one_of_each(api.cast.alice)
    before = await api.cast.all_rows()

    answers = await _ask_for_everything(api, None, operation, ids)

    assert {field: _refusal(answer) for field, answer in answers.items()} == dict.fromkeys(
        root_fields(operation), ("UNAUTHENTICATED", SIGN_IN)
    )
    assert await api.cast.all_rows() == before


async def test_a_viewer_may_read_everything_but_what_is_for_admins(api: Api) -> None:
    ids = await api.cast.one_of_each(api.cast.alice)

    answers = await _ask_for_everything(api, api.token(api.cast.vera), "query", ids)

    refused = {field: _refusal(answers.pop(field)) for field in FOR_ADMINS["query"]}
    assert refused == dict.fromkeys(FOR_ADMINS["query"], ("FORBIDDEN", ADMINS_ONLY))
    assert answers.keys() == root_fields("query").keys() - refused.keys()
    assert [answer.errors for answer in answers.values()] == [[]] * len(answers)


async def test_a_viewer_may_write_nothing_but_their_own_preferences(api: Api) -> None:
    ids = await api.cast.one_of_each(api.cast.alice)
    before = await api.cast.all_rows()

    answers = await _ask_for_everything(api, api.token(api.cast.vera), "mutation", ids)

    assert answers.pop("updateNotificationPreferences").errors == []
    reasons = {field: ADMINS_ONLY if field in FOR_ADMINS["mutation"] else READ_ONLY for field in answers}
    assert {field: _refusal(answer) for field, answer in answers.items()} == {
        field: ("FORBIDDEN", reason) for field, reason in reasons.items()
    }
    assert answers.keys() == root_fields("mutation").keys() - {"updateNotificationPreferences"}
    assert await api.cast.all_rows() == before


@pytest.mark.parametrize("operation", ["query", "mutation"])
async def test_what_is_for_admins_is_for_owners_too_and_for_no_engineer(
    api: Api, operation: Operation
) -> None:
    ids = await api.cast.one_of_each(api.cast.alice)
    fields = FOR_ADMINS[operation]

    before = await api.cast.all_rows()
    engineer = await _ask_for_everything(api, api.token(api.cast.bob), operation, ids, only=fields)
    after = await api.cast.all_rows()
    admin = await _ask_for_everything(api, api.token(api.cast.adam), operation, ids, only=fields)
    owner = await _ask_for_everything(api, api.token(api.cast.olivia), operation, ids, only=fields)

    assert {field: _refusal(answer) for field, answer in engineer.items()} == dict.fromkeys(
        fields, ("FORBIDDEN", ADMINS_ONLY)
    )
    assert after == before
    allowed = [(field, answer.codes) for each in (admin, owner) for field, answer in each.items()]
    # Their arguments are not all good: one name is taken twice, one connection deleted before the others.
    refused = [codes for field, codes in allowed if codes and "Psa" not in field]
    assert (refused, [field for field, codes in allowed if "FORBIDDEN" in codes]) == ([], [])


async def test_a_viewer_is_refused_alike_whether_or_not_the_handoff_exists(api: Api) -> None:
    handoff_id = await api.escalate(api.cast.alice, (await api.cast.start_session()).id)
    document = "mutation ($id: ID!) { claimHandoff(input: { handoffId: $id }) { __typename } }"

    known, unknown = [await api.ask(api.cast.vera, document, id=id_) for id_ in (handoff_id, str(uuid4()))]

    assert known == unknown
    assert _refusal(known) == ("FORBIDDEN", READ_ONLY)


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN, Role.ENGINEER])
async def test_a_role_given_in_the_database_counts_at_the_next_request(api: Api, role: Role) -> None:
    token = api.token(api.cast.vera)
    before = await api.ask_with(token, START)

    await api.cast.change(api.cast.vera, role=role)
    promoted = await api.ask_with(token, START)
    me = await api.ask_with(token, ME)
    await api.cast.change(api.cast.vera, role=Role.VIEWER)
    demoted = await api.ask_with(token, START)

    assert _refusal(before) == _refusal(demoted) == ("FORBIDDEN", READ_ONLY)
    assert promoted.only() == {"session": {"owner": {"name": "Vera"}}}
    assert me.only() == {"name": "Vera", "role": role.value}


async def test_a_token_ends_when_it_says_so(api: Api) -> None:
    old, good = (_sign(api, exp=datetime.now(UTC) + timedelta(minutes=minutes)) for minutes in (-1, 1))

    assert _refusal(await api.ask_with(old, ME)) == ("UNAUTHENTICATED", EXPIRED)
    assert (await api.ask_with(good, ME)).only() == {"name": "Alice", "role": "ENGINEER"}


async def test_a_token_that_is_not_ours_names_nobody(api: Api) -> None:
    good = _sign(api)
    header, payload, signature = good.split(".")
    others_payload = _sign(api, sub=str(api.cast.olivia.id)).split(".")[1]
    tokens = {
        "signed with another secret": _sign(api, key=SECRET[::-1]),
        "for another audience": _sign(api, aud="another"),
        "for no audience": _sign(api, aud=None),
        "without an end": _sign(api, exp=None),
        "without a name": _sign(api, sub=None),
        "for a name that is no id": _sign(api, sub="alice@northwind.example"),
        "not valid yet": _sign(api, nbf=datetime.now(UTC) + timedelta(hours=1)),
        "ending after all times": _sign(api, exp=10**18),
        "ending at no time": _sign(api, exp="soon"),
        "not signed": _sign(api, key=None, algorithm="none"),
        "with its signature cut off": f"{header}.{payload}.",
        "with another's payload": f"{header}.{others_payload}.{signature}",
        "no token at all": "alice",
    }
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        tokens["signed by another rule"] = _sign(api, algorithm="HS512")

    answers = {what: await api.ask_with(token, ME) for what, token in tokens.items()}

    assert {what: _refusal(answer) for what, answer in answers.items()} == dict.fromkeys(
        tokens, ("UNAUTHENTICATED", INVALID)
    )


async def test_only_a_bearer_token_signs_in(api: Api) -> None:
    token = api.token(api.cast.alice)
    headers = ["", "Bearer", "Bearer ", f"Basic {token}", token, f"Token {token}", f"bearer  {token} "]

    answers = []
    for header in headers:
        response = await api.http.post("/graphql", json={"query": ME}, headers={"Authorization": header})
        answers.append(Answer(**response.json()))

    assert answers.pop().only() == {"name": "Alice", "role": "ENGINEER"}
    assert {_refusal(answer) for answer in answers} == {("UNAUTHENTICATED", SIGN_IN)}


async def test_who_was_deactivated_or_deleted_or_never_was_cannot_sign_in(api: Api) -> None:
    cast = api.cast
    tokens = {
        "inactive": api.token(cast.ina),
        "deactivated": api.token(cast.alice),
        "deleted": api.token(cast.olivia),
        "unknown": _sign(api, sub=str(new_id())),
    }
    before = [await api.ask_with(tokens[who], ME) for who in ("deactivated", "deleted")]

    await cast.change(cast.alice, active=False)
    await cast.change(cast.olivia, deleted_at=datetime.now(UTC))
    answers = {who: await api.ask_with(token, ME) for who, token in tokens.items()}

    assert [answer.only()["name"] for answer in before] == ["Alice", "Olivia"]
    assert {who: _refusal(answer) for who, answer in answers.items()} == dict.fromkeys(
        tokens, ("UNAUTHENTICATED", LOCKED_OUT)
    )


async def test_the_schema_and_typename_need_no_token_in_demo_mode(api: Api) -> None:
    answer = await api.ask(None, "{ __typename __schema { queryType { name } } }")

    assert answer == Answer({"__typename": "Query", "__schema": {"queryType": {"name": "Query"}}})


async def _ask_for_everything(
    api: Api, token: str | None, operation: Operation, ids: dict[str, str], *, only: set[str] | None = None
) -> dict[str, Answer]:
    """Ask for each root field of an operation, or only for some, with arguments that are good."""
    answers = {}
    for field in only or root_fields(operation):
        asked = request(operation, field, ids_for(field, ids), depth=2)
        answers[field] = await api.ask_with(token, asked.document, **asked.variables)
    return answers


def _sign(api: Api, key: str | None = SECRET, algorithm: str = "HS256", **claims: Any) -> str:  # noqa: ANN401
    """Sign a token that is Alice's and good, but for what is given; None leaves a claim out."""
    good = {"sub": str(api.cast.alice.id), "aud": "handoff", "exp": datetime.now(UTC) + timedelta(hours=1)}
    said = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(said, key, algorithm=algorithm)  # type: ignore[arg-type]  # no key is what "none" takes


def _refusal(answer: Answer) -> tuple[str, str]:
    """Return code and message of the one refusal that an answer is."""
    assert set((answer.data or {}).values()) <= {None}
    (error,) = answer.errors
    return error["extensions"]["code"], error["message"]
