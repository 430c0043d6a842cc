"""Owners and admins make and rename teams, and say who is in them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from db.enums import EventKind
from db.session import new_id
from db.users import UserRow
from tests.client import Answer, Api

TEAM = "id name members { edges { node { name } } }"
CREATE = f"""
mutation ($input: CreateTeamInput!) {{ createTeam(input: $input) {{
  __typename ... on Problem {{ message }} ... on CreateTeamSuccess {{ team {{ {TEAM} }} }}
}} }}
"""
RENAME = f"""
mutation ($input: UpdateTeamInput!) {{ updateTeam(input: $input) {{
  __typename ... on Problem {{ message }} ... on UpdateTeamSuccess {{ team {{ {TEAM} }} }}
}} }}
"""
ADD = f"mutation ($input: TeamMemberInput!) {{ addTeamMember(input: $input) {{ team {{ {TEAM} }} }} }}"
REMOVE = f"mutation ($input: TeamMemberInput!) {{ removeTeamMember(input: $input) {{ team {{ {TEAM} }} }} }}"
TAKEN = {"__typename": "TeamNameTaken", "message": "There is a team named Networks already."}
NO_TEAM = ("NOT_FOUND", "No team of your account has this id.")
NO_USER = ("NOT_FOUND", "No user of your account has this id.")


async def create(api: Api, name: str, *members: UserRow) -> Answer:
    """Make a team, as Adam."""
    member_ids = [str(user.id) for user in members]
    return await api.ask(api.cast.adam, CREATE, input={"name": name, "memberIds": member_ids})


async def told(api: Api) -> tuple[EventKind, object, str]:
    """Return what happened last, who did it, and what is said of it."""
    event = await api.cast.newest_event()
    return event.kind, event.actor_id, event.summary


def shown(team: Any) -> tuple[str, list[str]]:  # noqa: ANN401
    return team["name"], [edge["node"]["name"] for edge in team["members"]["edges"]]


async def test_a_team_is_made_with_its_members(api: Api) -> None:
    cast = api.cast

    made = (await create(api, " Servers ", cast.vera, cast.bob, cast.bob)).only()

    assert made["__typename"] == "CreateTeamSuccess"
    assert shown(made["team"]) == ("Servers", ["Bob", "Vera"])
    assert await told(api) == (EventKind.TEAM_CREATED, cast.adam.id, "created the team Servers")


async def test_a_team_needs_no_members(api: Api) -> None:
    made = (await api.ask(api.cast.olivia, CREATE, input={"name": "Servers"})).only()

    assert shown(made["team"]) == ("Servers", [])


async def test_a_team_is_renamed_and_sessions_show_it(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session(in_team=True)
    wanted = {"teamId": str(cast.team_id), "name": "Networking"}

    renamed = (await api.ask(cast.adam, RENAME, input=wanted)).only()
    event = await told(api)
    again = (await api.ask(cast.adam, RENAME, input=wanted)).only()

    assert shown(renamed["team"]) == ("Networking", ["Alice", "Bob"])
    assert again == renamed
    assert event == (EventKind.TEAM_CHANGED, cast.adam.id, "renamed the team Networks to Networking")
    assert await told(api) == event
    assert (await api.session(session.id))["team"] == {"name": "Networking"}


async def test_who_was_removed_becomes_a_member_of_nothing_until_they_are_back(api: Api) -> None:
    cast = api.cast
    await cast.change(cast.vera, deleted_at=datetime.now(UTC), active=False)
    given = {"teamId": str(cast.team_id), "userId": str(cast.vera.id)}
    before = await cast.all_rows()

    refused = [await create(api, "Servers", cast.vera), await api.ask(cast.adam, ADD, input=given)]
    unchanged = await cast.all_rows()
    await cast.change(cast.vera, deleted_at=None, active=True)
    added = (await api.ask(cast.adam, ADD, input=given)).only()

    sentence = "Vera was removed. Make them active again first."
    assert [answer.refusal() for answer in refused] == [("BAD_USER_INPUT", sentence)] * 2
    assert unchanged == before
    assert shown(added["team"]) == ("Networks", ["Alice", "Bob", "Vera"])


async def test_a_name_is_taken_once_in_an_account(api: Api) -> None:
    cast = api.cast
    other = (await create(api, "Servers")).only()["team"]["id"]
    before = await cast.all_rows()

    made = (await create(api, "Networks", cast.bob)).only()
    renamed = (await api.ask(cast.adam, RENAME, input={"teamId": other, "name": "Networks"})).only()

    assert (made, renamed) == (TAKEN, TAKEN)
    assert await cast.all_rows() == before


async def test_of_two_who_take_a_name_at_once_one_gets_it(api: Api) -> None:
    answers = await asyncio.gather(*(create(api, "Servers", api.cast.bob) for _ in range(4)))

    kinds = sorted(answer.only()["__typename"] for answer in answers)
    assert kinds == ["CreateTeamSuccess", *["TeamNameTaken"] * 3]


async def test_members_come_and_go_and_to_repeat_it_writes_nothing(api: Api) -> None:
    cast = api.cast
    vera = {"teamId": str(cast.team_id), "userId": str(cast.vera.id)}

    added = [shown((await api.ask(cast.adam, ADD, input=vera)).only()["team"])]
    came = await told(api)
    added.append(shown((await api.ask(cast.adam, ADD, input=vera)).only()["team"]))
    repeated = await told(api)
    removed = [shown((await api.ask(cast.adam, REMOVE, input=vera)).only()["team"])]
    went = await told(api)
    removed.append(shown((await api.ask(cast.adam, REMOVE, input=vera)).only()["team"]))

    assert added == [("Networks", ["Alice", "Bob", "Vera"])] * 2
    assert removed == [("Networks", ["Alice", "Bob"])] * 2
    assert came == repeated == (EventKind.TEAM_CHANGED, cast.adam.id, "added Vera to the team Networks")
    assert went == (EventKind.TEAM_CHANGED, cast.adam.id, "took Vera out of the team Networks")
    assert await told(api) == went


async def test_what_is_of_another_account_is_not_there(api: Api) -> None:
    cast = api.cast
    own, theirs, nothing = str(cast.team_id), str(cast.charlie.id), str(new_id())
    before = await cast.all_rows()

    for document in (ADD, REMOVE):
        for user_id in (theirs, nothing):
            answer = await api.ask(cast.adam, document, input={"teamId": own, "userId": user_id})
            assert answer.refusal() == NO_USER
        pair = {"teamId": nothing, "userId": str(cast.bob.id)}
        assert (await api.ask(cast.adam, document, input=pair)).refusal() == NO_TEAM
    renamed = await api.ask(cast.adam, RENAME, input={"teamId": nothing, "name": "Mine"})
    assert renamed.refusal() == NO_TEAM
    assert (await create(api, "Servers", cast.bob, cast.charlie)).refusal() == NO_USER
    assert await cast.all_rows() == before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [(" ", "name must not be empty."), ("x" * 201, "name has 201 characters; at most 200 are kept.")],
    ids=["empty", "long"],
)
async def test_a_name_that_cannot_be_stored_is_refused(api: Api, name: str, sentence: str) -> None:
    cast = api.cast
    before = await cast.last_event()

    made = await create(api, name)
    renamed = await api.ask(cast.adam, RENAME, input={"teamId": str(cast.team_id), "name": name})

    assert [answer.refusal() for answer in (made, renamed)] == [("BAD_USER_INPUT", sentence)] * 2
    assert await cast.last_event() == before


async def test_more_members_than_one_request_may_name_are_refused(api: Api) -> None:
    answer = await create(api, "Everybody", *[api.cast.bob] * 501)

    expected = "memberIds names 501 users; name at most 500 at a time."
    assert answer.refusal() == ("BAD_USER_INPUT", expected)
