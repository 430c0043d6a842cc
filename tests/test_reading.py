"""What can be read by its id, and what an id that names nothing is answered with."""

from uuid import UUID, uuid4

import graphql
import pytest

from db.session import new_id
from tests.client import Answer, Api
from tests.documents import SCHEMA

NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
NOT_FOUND = {
    "session": "No session of your account has this id.",
    "handoff": "No handoff of your account has this id.",
    "node": "Nothing in your account has this id.",
}
MALFORMED = ["", "7", "no id", "\x00", "ä" * 36, "g" * 32, "0" * 10_000, str(UUID(int=0)), "' OR 1=1 --"]


async def test_me_is_the_signed_in_user(api: Api) -> None:
    vera = api.cast.vera

    me = await api.ask(vera, "{ me { id name email role active online } }")

    assert me.only() == {
        "id": str(vera.id),
        "name": "Vera",
        "email": "vera@northwind.example",
        "role": "VIEWER",
        "active": True,
        "online": False,
    }


async def test_a_session_tells_its_account_team_owner_and_where_it_stands(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session(in_team=True)
    document = """
    query ($id: ID!) { session(id: $id) {
      id account { id name } team { id name } owner { id } status problemSummary problemDomain stepCount
      confidenceTier branching activeBranch { id } branches { id } handoffCount escalatedTo { id }
      psaTicketId createdAt resolvedAt escalationPackage
    } }
    """

    found = (await api.ask(cast.vera, document, id=str(session.id))).only()

    assert found == {
        "id": str(session.id),
        "account": {"id": str(cast.account_id), "name": "Northwind"},
        "team": {"id": str(cast.team_id), "name": "Networks"},
        "owner": {"id": str(cast.alice.id)},
        "status": "ACTIVE",
        "problemSummary": "VPN drops every hour",
        "stepCount": 0,
        "branching": False,
        "branches": [],
        "handoffCount": 0,
        "createdAt": session.created_at.isoformat(),
        **dict.fromkeys(["problemDomain", "confidenceTier", "activeBranch", "escalatedTo"]),
        **dict.fromkeys(["psaTicketId", "resolvedAt", "escalationPackage"]),
    }


async def test_the_timeline_of_a_handoff_tells_who_did_what_in_order(api: Api) -> None:
    cast = api.cast
    session_id = (await cast.start_session()).id
    handoff_id = await api.escalate(cast.alice, session_id)
    await api.escalate(cast.olivia, (await cast.start_session()).id)  # another's events stay out
    await api.change(cast.adam, "updateSession", sessionId=str(session_id), stepCount=3)
    await api.claim(cast.bob, handoff_id)
    await api.release(cast.bob, handoff_id, "no access")
    await api.change(cast.olivia, "resolveSession", sessionId=str(session_id))

    entries = (await api.handoff(handoff_id))["timeline"]

    assert [(entry["kind"], entry["actor"]["name"], entry["summary"]) for entry in entries] == [
        ("HANDOFF_CREATED", "Alice", "escalated the session"),
        ("SESSION_UPDATED", "Adam", "changed step count"),
        ("HANDOFF_CLAIMED", "Bob", "claimed it"),
        ("HANDOFF_RELEASED", "Bob", "released it: no access"),
        ("HANDOFF_CLOSED", "Olivia", "closed it: the session was resolved"),
    ]
    numbers = [entry["sequence"] for entry in entries]
    assert numbers == sorted(set(numbers))


async def test_node_finds_every_type_that_has_an_id(api: Api) -> None:
    ids = await api.cast.one_of_each(api.cast.alice)
    for kind in ("ApiKey", "PsaConnection"):
        del ids[kind]  # no Node: anybody of the account may ask for those
    del ids["Colleague"]  # another user

    found = {kind: (await api.ask(api.cast.vera, NODE, id=id_)).only() for kind, id_ in ids.items()}

    node = graphql.assert_interface_type(SCHEMA.get_type("Node"))
    assert ids.keys() == {one.name for one in SCHEMA.get_possible_types(node)}
    assert found == {kind: {"__typename": kind, "id": id_} for kind, id_ in ids.items()}


@pytest.mark.parametrize("field", NOT_FOUND)
async def test_an_id_that_names_nothing_is_null_and_not_found(api: Api, field: str) -> None:
    document = f"query ($id: ID!) {{ {field}(id: $id) {{ __typename }} }}"
    others = [str(uuid4()), str(new_id())]
    if field != "node":  # an id of another type
        others.append(str(api.cast.alice.id))

    answers = [await api.ask(api.cast.vera, document, id=id_) for id_ in [*others, *MALFORMED]]

    error = {"message": NOT_FOUND[field], "path": [field], "extensions": {"code": "NOT_FOUND"}}
    for answer in answers:
        assert _without_locations(answer) == Answer({field: None}, [error])


def _without_locations(answer: Answer) -> Answer:
    errors = [
        {name: value for name, value in error.items() if name != "locations"} for error in answer.errors
    ]
    return Answer(answer.data, errors)
