"""Everyone of an account may see its people and its teams, by name, page by page."""

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from db.users import UserRow
from resolvers import admin
from schema.context import utc_now
from tests.client import Api

USERS = """
query ($active: Boolean, $first: Int! = 20, $after: String) {
  users(active: $active, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { id name active online } }
  }
}
"""
TEAMS = """
query ($first: Int! = 20, $after: String) { teams(first: $first, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } edges { node { id name } }
} }
"""
MEMBERS = """
query ($first: Int, $after: String) { teams { edges { node { name members(first: $first, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } edges { node { name } }
} } } } }
"""
ID = str(uuid4())
EVERYONE = ["Adam", "Alice", "Bob", "Ina", "Olivia", "Vera"]


async def walk(api: Api, document: str, **variables: object) -> list[list[Any]]:
    """Return the nodes of each page, as Vera, who only reads."""
    pages: list[list[Any]] = []
    after = None
    while True:
        page = (await api.ask(api.cast.vera, document, after=after, **variables)).only()
        pages.append([edge["node"] for edge in page["edges"]])
        if not page["pageInfo"]["hasNextPage"]:
            return pages
        after = page["pageInfo"]["endCursor"]


async def make_team(api: Api, name: str, *members: UserRow) -> str:
    """Make a team of the cast's account."""
    async with api.cast.database.transaction(api.cast.account_id) as tx:
        return str(await admin.create_team(tx, name, [user.id for user in members], now=utc_now()))


@pytest.mark.parametrize(
    ("active", "names"),
    [
        (None, EVERYONE),
        (True, ["Adam", "Alice", "Bob", "Olivia", "Vera"]),
        (False, ["Ina"]),
    ],
)
async def test_people_are_listed_by_name(api: Api, active: bool | None, names: list[str]) -> None:
    pages = await walk(api, USERS, active=active, first=2)

    assert [[node["name"] for node in page] for page in pages] == [
        names[start : start + 2] for start in range(0, len(names), 2)
    ]
    assert (await api.ask(api.cast.vera, USERS, active=active)).only()["totalCount"] == len(names)


async def test_people_of_one_name_are_each_listed_once(api: Api) -> None:
    async with api.cast.database.transaction(api.cast.account_id) as tx:
        for number in range(4):
            email = f"bob{number}@northwind.example"
            await admin.add_user(tx, email=email, name="Bob", role=api.cast.bob.role, now=utc_now())

    pages = await walk(api, USERS, first=2)

    ids = [node["id"] for page in pages for node in page]
    assert len(ids) == len(set(ids)) == len(EVERYONE) + 4


async def test_who_is_deleted_is_not_listed(api: Api) -> None:
    await api.cast.change(api.cast.ina, deleted_at=utc_now())
    await api.cast.change(api.cast.bob, deleted_at=utc_now())

    everyone, inactive = [await walk(api, USERS, active=active) for active in (None, False)]

    assert [[node["name"] for node in page] for page in everyone] == [["Adam", "Alice", "Olivia", "Vera"]]
    assert inactive == [[]]


async def test_teams_are_listed_by_name_with_the_ids_that_others_take(api: Api) -> None:
    ids = {name: await make_team(api, name) for name in ("Servers", "Desk")} | {
        "Networks": str(api.cast.team_id)
    }

    pages = await walk(api, TEAMS, first=2)

    assert pages == [
        [{"id": ids[name], "name": name} for name in ("Desk", "Networks")],
        [{"id": ids["Servers"], "name": "Servers"}],
    ]
    started = await api.change(api.cast.alice, "startSession", problemSummary="x", teamId=ids["Desk"])
    assert started.only()["session"]["team"] == {"name": "Desk"}


async def test_the_members_of_each_team_are_shown_page_by_page_but_not_who_was_deleted(api: Api) -> None:
    cast = api.cast
    await make_team(api, "Everybody", cast.vera, cast.olivia, cast.ina, cast.bob, cast.adam)
    await make_team(api, "Nobody")
    await cast.change(cast.adam, deleted_at=utc_now())

    first = await members(api, first=2)
    after = first["Everybody"]["pageInfo"]["endCursor"]
    second = await members(api, first=2, after=after)

    assert {name: names(shown) for name, shown in first.items()} == {
        "Everybody": ["Bob", "Ina"],
        "Networks": ["Alice", "Bob"],
        "Nobody": [],
    }
    assert {name: shown["totalCount"] for name, shown in first.items()} == {
        "Everybody": 4,
        "Networks": 2,
        "Nobody": 0,
    }
    assert names(second["Everybody"]) == ["Olivia", "Vera"]
    assert names((await members(api, first=None))["Everybody"]) == ["Bob", "Ina", "Olivia", "Vera"]


@pytest.mark.parametrize(
    "key",
    [[7, ID], ["\x00", ID], ["\ud800", ID], ["Bob"], ["Bob", "no id"]],
    ids=["a number", "NUL", "half a pair", "no id", "no UUID"],
)
@pytest.mark.parametrize("document", [USERS, TEAMS, MEMBERS], ids=["users", "teams", "members"])
async def test_what_is_no_cursor_of_the_list_is_refused(api: Api, document: str, key: list[Any]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(["", *key]).encode()).decode()

    answer = await api.ask(api.cast.vera, document, after=cursor)

    assert answer.codes == ["BAD_USER_INPUT"]


async def test_another_account_s_people_and_teams_are_not_listed(api: Api) -> None:
    found = [(await api.ask(api.cast.charlie, document)).only() for document in (USERS, TEAMS)]

    assert [[edge["node"]["name"] for edge in page["edges"]] for page in found] == [["Charlie"], []]
    assert [page["totalCount"] for page in found] == [1, 0]


async def members(api: Api, **variables: object) -> dict[str, Any]:
    """Return a page of members of each team, by its name."""
    teams = (await api.ask(api.cast.vera, MEMBERS, **variables)).only()["edges"]
    return {edge["node"]["name"]: edge["node"]["members"] for edge in teams}


def names(page: Any) -> list[str]:  # noqa: ANN401
    return [edge["node"]["name"] for edge in page["edges"]]
