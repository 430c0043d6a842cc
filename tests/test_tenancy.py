"""Nothing crosses from one account to another: Charlie cannot even tell that something is there."""

import json
from uuid import uuid4

import pytest

from db.enums import Role
from db.users import UserRow
from tests.client import Answer, Api
from tests.documents import FOR_ADMINS, Operation, id_arguments, ids_for, members, request, root_fields

pytestmark = pytest.mark.unmeasured

OPERATIONS: tuple[Operation, ...] = ("query", "mutation")
PLACES = [
    (operation, field, argument)
    for operation in OPERATIONS
    for field in root_fields(operation)
    for argument in id_arguments(operation, field)
]
NOT_FOUND = {"NOT_FOUND", "SessionNotFound", "HandoffNotFound"}


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.OWNER])
async def test_an_id_of_another_account_is_answered_as_one_that_names_nothing(api: Api, role: Role) -> None:
    theirs = await api.cast.one_of_each(api.cast.alice)
    charlie = await api.cast.change(api.cast.charlie, role=role)
    own = await api.cast.one_of_each(charlie)
    before = await api.cast.all_rows()
    expected = {
        "parentBranchId": {"BAD_USER_INPUT"},
        "activeBranchId": {"BAD_USER_INPUT"},
        "claimedById": {"HandoffNotClaimedByYou"},
    }
    if role == Role.ENGINEER:
        expected["ownerId"] = {"FORBIDDEN"}
    for_others = FOR_ADMINS["query"] | FOR_ADMINS["mutation"] if role == Role.ENGINEER else set()

    for operation, field, argument in PLACES:
        sent = theirs | {"nothing": str(uuid4())}
        answers = {
            kind: await _send(api, charlie, operation, field, own, but={argument: id_})
            for kind, id_ in sent.items()
        }

        refusals = {"FORBIDDEN"} if field in for_others else expected.get(argument, NOT_FOUND)
        assert _refusal(answers["nothing"]) in refusals, (field, argument)
        assert answers == dict.fromkeys(sent, answers["nothing"]), (field, argument)
    assert await api.cast.all_rows() == before


async def test_no_query_shows_anything_of_another_account(api: Api) -> None:
    theirs = await api.cast.one_of_each(api.cast.alice)
    charlie = await api.cast.change(api.cast.charlie, role=Role.OWNER)  # who may ask for everything
    own = await api.cast.one_of_each(charlie)

    answers = [
        await _send(api, charlie, "query", field, own, depth=4, member=member)
        for field in root_fields("query")
        for member in members("query", field)
    ]

    shown = json.dumps([answer.data for answer in answers])
    assert [answer.errors for answer in answers] == [[]] * len(answers)
    assert own["Session"] in shown
    assert [id_ for id_ in theirs.values() if id_ in shown] == []
    assert "northwind" not in shown.lower()


async def test_lists_and_their_totals_hold_only_what_is_the_account_s_own(api: Api) -> None:
    for _ in range(3):
        await api.cast.one_of_each(api.cast.alice)
    own = await api.cast.one_of_each(api.cast.charlie)
    lists = "{ queue { totalCount edges { node { id } } } sessions { totalCount edges { node { id } } } }"

    found = await api.ask(api.cast.charlie, lists)

    assert found == Answer(
        {
            "queue": {"totalCount": 1, "edges": [{"node": {"id": own["Handoff"]}}]},
            "sessions": {"totalCount": 1, "edges": [{"node": {"id": own["Session"]}}]},
        }
    )


async def test_a_cursor_of_another_account_opens_nothing(api: Api) -> None:
    own = await api.cast.one_of_each(api.cast.charlie)
    for _ in range(2):
        await api.cast.one_of_each(api.cast.alice)
    queue = "query ($after: String) { queue(after: $after) { edges { cursor node { id } } } }"
    theirs = (await api.ask(api.cast.alice, queue)).only()["edges"][0]["cursor"]

    found = (await api.ask(api.cast.charlie, queue, after=theirs)).only()

    assert [edge["node"]["id"] for edge in found["edges"]] == [own["Handoff"]]


async def _send(
    api: Api,
    user: UserRow,
    operation: Operation,
    field: str,
    own: dict[str, str],
    *,
    but: dict[str, str] | None = None,
    depth: int = 2,
    member: str = "",
) -> Answer:
    """Ask for a root field with the user's own ids, but those given."""
    ids = ids_for(field, own) | (but or {})
    asked = request(operation, field, ids, depth=depth, member=member)
    return await api.ask(user, asked.document, **asked.variables)


def _refusal(answer: Answer) -> str:
    """Return the code of the one error, or the type of the answer without one."""
    if answer.errors:
        (code,) = answer.codes
        assert set((answer.data or {}).values()) <= {None}
        return code
    return str(answer.only()["__typename"])
