"""API keys are made, listed and revoked by owners and admins; each token is shown once."""

import re
from uuid import UUID

import pytest

from db.enums import EventKind, Role
from db.session import new_id
from server import commands
from tests.client import Api

ME = "{ me { name role } }"
KEY = "id name scope createdAt lastUsedAt revokedAt user { name } createdBy { name }"
CREATE = f"""
mutation ($input: CreateApiKeyInput!) {{ createApiKey(input: $input) {{ token apiKey {{ {KEY} }} }} }}
"""
REVOKE = f"mutation ($id: ID!) {{ revokeApiKey(input: {{ keyId: $id }}) {{ apiKey {{ {KEY} }} }} }}"
LIST = f"""
query ($first: Int! = 20, $after: String) {{ apiKeys(first: $first, after: $after) {{
  totalCount pageInfo {{ hasNextPage endCursor }} edges {{ node {{ {KEY} }} }}
}} }}
"""
REVOKED = "This API key was revoked. Get a new one."


async def test_an_admin_makes_a_key_whose_token_is_shown_once_and_kept_hashed(api: Api) -> None:
    cast = api.cast

    wanted = {"name": " Assistant ", "scope": "INGEST", "userId": str(cast.alice.id)}
    made = (await api.ask(cast.adam, CREATE, input=wanted)).only()

    key = made["apiKey"]
    assert re.fullmatch(rf"hk_{UUID(key['id']).hex}_[A-Za-z0-9_-]{{43}}", made["token"])
    assert key == {
        "id": key["id"],
        "name": "Assistant",
        "scope": "INGEST",
        "createdAt": key["createdAt"],
        "lastUsedAt": None,
        "revokedAt": None,
        "user": {"name": "Alice"},
        "createdBy": {"name": "Adam"},
    }
    # Not partitioned at "_": a secret may hold one itself.
    secret = made["token"].removeprefix(f"hk_{UUID(key['id']).hex}_")
    assert secret not in str(await cast.all_rows())
    event = await cast.newest_event()
    assert (event.kind, event.actor_id) == (EventKind.API_KEY_CREATED, cast.adam.id)
    assert event.summary == "created the API key “Assistant” (INGEST) of Alice"


async def test_a_key_is_its_maker_s_own_unless_it_is_made_for_another(api: Api) -> None:
    wanted = {"name": "Mine", "scope": "FULL"}

    made = (await api.ask(api.cast.olivia, CREATE, input=wanted)).only()

    assert (await api.ask_with(made["token"], ME)).only() == {"name": "Olivia", "role": "OWNER"}


async def test_the_list_of_a_terminal_names_who_made_a_key(api: Api) -> None:
    cast = api.cast
    wanted = {"name": "Assistant", "scope": "INGEST", "userId": str(cast.alice.id)}
    await api.ask(cast.adam, CREATE, input=wanted)

    (line,) = await commands.list_keys(api.node.settings, str(cast.account_id))

    assert line.split("\t")[-3:] == [cast.alice.email, "Assistant", cast.adam.email]


async def test_a_revoked_key_is_refused_and_revoking_it_again_changes_nothing(api: Api) -> None:
    cast = api.cast
    key = await cast.make_key(cast.alice)
    before = await api.ask_with(key.token, ME)

    revoked = (await api.ask(cast.adam, REVOKE, id=str(key.key.id))).only()["apiKey"]
    event = await cast.newest_event()
    again = (await api.ask(cast.adam, REVOKE, id=str(key.key.id))).only()["apiKey"]

    assert before.only()["name"] == "Alice"
    assert (await api.ask_with(key.token, ME)).refusal() == ("UNAUTHENTICATED", REVOKED)
    assert revoked["revokedAt"] is not None
    assert revoked == again
    assert (event.kind, event.actor_id) == (EventKind.API_KEY_REVOKED, cast.adam.id)
    assert event.summary == "revoked the API key “Assistant”"
    assert await cast.newest_event() == event


async def test_only_owners_and_admins_manage_keys(api: Api) -> None:
    cast = api.cast
    key = await cast.make_key(cast.bob)
    before = await cast.all_rows()

    answers = [
        await api.ask(user, document, **variables)
        for user in (cast.alice, cast.vera)
        for document, variables in (
            (CREATE, {"input": {"name": "Mine", "scope": "FULL"}}),
            (REVOKE, {"id": str(key.key.id)}),
            (LIST, {}),
        )
    ]

    assert [answer.refusal() for answer in answers] == [("FORBIDDEN", "Admin access required")] * 6
    assert await cast.all_rows() == before


async def test_an_admin_cannot_make_an_owner_s_key_but_another_owner_can(api: Api) -> None:
    cast = api.cast
    wanted = {"name": "Theirs", "scope": "FULL", "userId": str(cast.olivia.id)}
    owner = await cast.change(cast.bob, role=Role.OWNER)

    refused, made = [await api.ask(user, CREATE, input=wanted) for user in (cast.adam, owner)]

    assert refused.refusal() == ("FORBIDDEN", "Owner access required to make an owner's API key")
    assert made.only()["apiKey"]["user"] == {"name": "Olivia"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"name": " "}, ("BAD_USER_INPUT", "name must not be empty.")),
        ({"name": "x" * 201}, ("BAD_USER_INPUT", "name has 201 characters; at most 200 are kept.")),
        ({"userId": "ina"}, ("BAD_USER_INPUT", "Ina is deactivated and cannot sign in.")),
        ({"userId": "charlie"}, ("NOT_FOUND", "No user of your account has this id.")),
        ({"userId": "nobody"}, ("NOT_FOUND", "No user of your account has this id.")),
    ],
)
async def test_a_key_that_cannot_be_made_is_refused(
    api: Api, given: dict[str, str], expected: tuple[str, str]
) -> None:
    cast = api.cast
    people = {"ina": str(cast.ina.id), "charlie": str(cast.charlie.id)}
    wanted = {"name": "Key", "scope": "FULL"} | given
    if "userId" in wanted:
        wanted["userId"] = people.get(wanted["userId"], str(new_id()))
    before = await cast.last_event()

    answer = await api.ask(cast.adam, CREATE, input=wanted)

    assert answer.refusal() == expected
    assert await cast.last_event() == before


async def test_a_key_of_another_account_is_not_there(api: Api) -> None:
    cast = api.cast
    key = await cast.make_key(cast.alice)
    charlie = await cast.change(cast.charlie, role=Role.OWNER)

    theirs, nothing = [await api.ask(charlie, REVOKE, id=str(id_)) for id_ in (key.key.id, new_id())]
    listed = await api.ask(charlie, LIST)

    assert theirs == nothing
    assert theirs.refusal() == ("NOT_FOUND", "No API key of your account has this id.")
    assert listed.only()["edges"] == []
    assert (await api.ask_with(key.token, ME)).only()["name"] == "Alice"


async def test_keys_are_listed_newest_first_page_by_page(api: Api) -> None:
    cast = api.cast
    for name in ("first", "second", "third"):
        await cast.make_key(cast.alice, name=name)

    page = (await api.ask(cast.adam, LIST, first=2)).only()
    rest = (await api.ask(cast.adam, LIST, first=2, after=page["pageInfo"]["endCursor"])).only()

    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (3, True)
    assert [edge["node"]["name"] for edge in page["edges"]] == ["third", "second"]
    assert [edge["node"]["name"] for edge in rest["edges"]] == ["first"]
    assert rest["pageInfo"]["hasNextPage"] is False
