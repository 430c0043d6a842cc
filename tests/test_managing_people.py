"""Owners and admins add, change and delete the people of their account; who may do what to whom."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from db import teams, users
from db.enums import EventKind, Role
from db.models import audit_log
from db.session import new_id
from db.users import UserRow
from tests.client import Answer, Api
from tests.patience import PATIENCE

USER = "id name email role active"
RESULT = "__typename ... on Problem { message } ... on EmailTaken { takenBy { name } }"
ADD = f"""
mutation ($input: AddUserInput!) {{ addUser(input: $input) {{
  {RESULT} ... on AddUserSuccess {{ user {{ {USER} }} }}
}} }}
"""
UPDATE = f"""
mutation ($input: UpdateUserInput!) {{ updateUser(input: $input) {{
  {RESULT} ... on UpdateUserSuccess {{ user {{ {USER} }} }}
}} }}
"""
DELETE = f"""
mutation ($id: ID!) {{ deleteUser(input: {{ userId: $id }}) {{
  __typename ... on Problem {{ message }} ... on DeleteUserSuccess {{ user {{ {USER} }} }}
}} }}
"""
ME = "{ me { name role } }"
LAST_OWNER = {
    "__typename": "LastOwner",
    "message": "This is the account's only active owner. Make somebody else an owner first.",
}
FOR_OWNERS = ("FORBIDDEN", "Owner access required to make or change an owner")
OWN_ROLE = ("FORBIDDEN", "Nobody changes their own role. Ask another owner or admin.")
ONESELF = ("FORBIDDEN", "Nobody deactivates or deletes themselves. Ask another owner or admin.")
NOT_FOUND = ("NOT_FOUND", "No user of your account has this id.")
NEW = {"email": " Dora@Northwind.example ", "name": " Dora "}


async def update(api: Api, actor: UserRow, user: UserRow, **changes: object) -> Answer:
    """Change somebody."""
    return await api.ask(actor, UPDATE, input={"userId": str(user.id), **changes})


async def delete(api: Api, actor: UserRow, user: UserRow) -> Answer:
    """Delete somebody."""
    return await api.ask(actor, DELETE, id=str(user.id))


async def updated(api: Api, actor: UserRow, user: UserRow, **changes: object) -> Any:  # noqa: ANN401
    """Change somebody, and return them."""
    answer = (await update(api, actor, user, **changes)).only()
    assert answer["__typename"] == "UpdateUserSuccess"
    return answer["user"]


async def test_an_admin_adds_an_engineer_who_may_sign_in_and_is_told(api: Api) -> None:
    cast = api.cast

    added = (await api.ask(cast.adam, ADD, input=NEW)).only()

    dora = added["user"]
    assert added["__typename"] == "AddUserSuccess"
    assert dora == {
        "id": dora["id"],
        "name": "Dora",
        "email": "dora@northwind.example",
        "role": "ENGINEER",
        "active": True,
    }
    event = await cast.newest_event()
    assert (event.kind, event.actor_id, event.summary) == (
        EventKind.USER_ADDED,
        cast.adam.id,
        "added Dora as ENGINEER",
    )
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    assert "Dora" in {name for _, name, *_ in await api.deliveries(handoff_id)}


@pytest.mark.parametrize("role", ["ADMIN", "ENGINEER", "VIEWER"])
async def test_an_admin_adds_people_of_every_role_but_owners(api: Api, role: str) -> None:
    added = (await api.ask(api.cast.adam, ADD, input={**NEW, "role": role})).only()

    assert added["user"]["role"] == role


async def test_to_make_an_owner_takes_an_owner(api: Api) -> None:
    cast = api.cast
    before = await cast.last_event()

    refused = [
        await api.ask(cast.adam, ADD, input={**NEW, "role": "OWNER"}),
        await update(api, cast.adam, cast.bob, role="OWNER"),
    ]

    assert [answer.refusal() for answer in refused] == [FOR_OWNERS] * 2
    assert await cast.last_event() == before
    made = (await api.ask(cast.olivia, ADD, input={**NEW, "role": "OWNER"})).only()
    assert made["user"]["role"] == "OWNER"
    assert (await updated(api, cast.olivia, cast.bob, role="OWNER"))["role"] == "OWNER"


@pytest.mark.parametrize(
    "changes", [{"name": "Liv"}, {"email": "liv@x.example"}, {"role": "ADMIN"}, {"active": False}], ids=str
)
async def test_to_change_an_owner_takes_an_owner(api: Api, changes: dict[str, object]) -> None:
    cast = api.cast
    second = await cast.change(cast.bob, role=Role.OWNER)
    before = await cast.all_rows()

    answers = [await update(api, cast.adam, second, **changes), await delete(api, cast.adam, second)]

    assert [answer.refusal() for answer in answers] == [FOR_OWNERS] * 2
    assert await cast.all_rows() == before
    await updated(api, cast.olivia, second, **changes)


async def test_to_bring_an_owner_back_takes_an_owner(api: Api) -> None:
    cast = api.cast
    gone = await cast.change(cast.bob, role=Role.OWNER, active=False)

    assert (await update(api, cast.adam, gone, active=True)).refusal() == FOR_OWNERS
    assert (await updated(api, cast.olivia, gone, active=True))["active"] is True


async def test_a_change_is_shown_and_told_with_who_made_it(api: Api) -> None:
    cast = api.cast

    shown = await updated(api, cast.adam, cast.bob, name="Bo", email="BO@northwind.example", role="ADMIN")

    assert shown == {
        "id": str(cast.bob.id),
        "name": "Bo",
        "email": "bo@northwind.example",
        "role": "ADMIN",
        "active": True,
    }
    event = await cast.newest_event()
    assert (event.kind, event.actor_id) == (EventKind.USER_CHANGED, cast.adam.id)
    assert event.summary == "renamed Bob to Bo, changed the address of Bo, made Bo ADMIN"


async def test_what_is_left_out_stays_and_what_is_as_it_was_writes_nothing(api: Api) -> None:
    cast = api.cast
    before = await cast.all_rows()

    shown = await updated(api, cast.adam, cast.bob, name="Bob", role=None, active=True)

    assert shown["email"] == cast.bob.email
    assert await cast.all_rows() == before


async def test_who_is_deactivated_cannot_sign_in_until_they_are_brought_back(api: Api) -> None:
    cast = api.cast
    token = api.token(cast.bob)

    gone = await updated(api, cast.adam, cast.bob, active=False)
    deactivated = await cast.newest_event()
    refused = await api.ask_with(token, ME)
    back = await updated(api, cast.adam, cast.bob, active=True)
    reactivated = await cast.newest_event()

    assert (gone["active"], back["active"]) == (False, True)
    assert refused.codes == ["UNAUTHENTICATED"]
    assert (await api.ask_with(token, ME)).only()["name"] == "Bob"
    assert [(event.kind, event.summary) for event in (deactivated, reactivated)] == [
        (EventKind.USER_DEACTIVATED, "deactivated Bob"),
        (EventKind.USER_REACTIVATED, "reactivated Bob"),
    ]


async def test_who_is_deleted_is_in_no_list_but_history_keeps_their_name(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.bob, (await cast.start_session(owner=cast.bob)).id)

    gone = (await delete(api, cast.adam, cast.bob)).only()
    event = await cast.newest_event()
    again = (await delete(api, cast.adam, cast.bob)).only()

    assert gone == again
    assert (gone["__typename"], gone["user"]["active"]) == ("DeleteUserSuccess", False)
    assert (event.kind, event.summary) == (EventKind.USER_DELETED, "deleted Bob")
    assert await cast.newest_event() == event
    listed = (await api.ask(cast.vera, "{ users { edges { node { name } } } }")).only()["edges"]
    assert "Bob" not in [edge["node"]["name"] for edge in listed]
    assert (await api.handoff(handoff_id))["handedOffBy"]["name"] == "Bob"
    assert (await api.ask(cast.bob, ME)).codes == ["UNAUTHENTICATED"]
    assert (await updated(api, cast.adam, cast.bob, active=True))["active"] is True
    assert (await api.ask(cast.bob, ME)).only()["name"] == "Bob"


async def test_an_address_that_is_taken_says_whose_it_is_in_the_account_alone(api: Api) -> None:
    cast = api.cast
    await delete(api, cast.adam, cast.bob)
    before = await cast.all_rows()
    taken = [cast.alice.email.upper(), cast.bob.email, cast.charlie.email]

    added = [(await api.ask(cast.adam, ADD, input={**NEW, "email": email})).only() for email in taken]
    changed = [(await update(api, cast.adam, cast.vera, email=email)).only() for email in taken]

    assert [answer["__typename"] for answer in (*added, *changed)] == ["EmailTaken"] * 6
    whose = ["Alice", "Bob", None] * 2
    assert [answer["takenBy"] and answer["takenBy"]["name"] for answer in (*added, *changed)] == whose
    is_taken = "There is a user with the address {} already{}."
    assert [answer["message"] for answer in added] == [
        is_taken.format("alice@northwind.example", ""),
        is_taken.format("bob@northwind.example", ", who left: make them active again"),
        is_taken.format(cast.charlie.email, ""),
    ]
    assert changed[1]["message"] == is_taken.format("bob@northwind.example", "")
    assert await cast.all_rows() == before


async def test_of_two_who_take_an_address_at_once_one_gets_it(api: Api) -> None:
    cast = api.cast

    answers = await asyncio.gather(
        *(api.ask(cast.adam, ADD, input=NEW) for _ in range(3)),
        update(api, cast.adam, cast.bob, email="dora@northwind.example"),
    )

    kinds = sorted(answer.only()["__typename"] for answer in answers)
    assert kinds.count("EmailTaken") == 3


async def test_nobody_changes_their_own_role_or_deactivates_or_deletes_themselves(api: Api) -> None:
    cast = api.cast
    await cast.change(cast.bob, role=Role.OWNER)
    before = await cast.all_rows()

    for who in (cast.adam, cast.olivia):
        answers = [
            await update(api, who, who, role="VIEWER"),
            await update(api, who, who, active=False),
            await delete(api, who, who),
        ]
        assert [answer.refusal() for answer in answers] == [OWN_ROLE, ONESELF, ONESELF]

    assert await cast.all_rows() == before
    assert (await updated(api, cast.adam, cast.adam, name="Ad", role="ADMIN"))["name"] == "Ad"


async def test_the_last_active_owner_stays_one(api: Api) -> None:
    cast = api.cast
    second = await cast.change(cast.bob, role=Role.OWNER, active=False)
    before = await cast.all_rows()

    answers = [
        await update(api, cast.olivia, cast.olivia, role="ADMIN"),
        await update(api, cast.olivia, cast.olivia, active=False),
        await delete(api, cast.olivia, cast.olivia),
    ]

    assert [answer.only() for answer in answers] == [LAST_OWNER] * 3
    assert await cast.all_rows() == before
    await updated(api, cast.olivia, second, active=True)
    await updated(api, second, cast.olivia, role="ADMIN")
    assert (await api.ask(cast.olivia, ME)).only()["role"] == "ADMIN"


@pytest.mark.parametrize("change", [{"role": "ENGINEER"}, {"active": False}], ids=str)
async def test_of_two_owners_who_remove_each_other_one_stays(api: Api, change: dict[str, object]) -> None:
    cast = api.cast
    second = await cast.change(cast.bob, role=Role.OWNER)

    for _ in range(4):
        answers = await asyncio.gather(
            update(api, cast.olivia, second, **change), update(api, second, cast.olivia, **change)
        )

        ends = [answer.codes or [answer.only()["__typename"]] for answer in answers]
        assert ["UpdateUserSuccess"] in ends
        assert set(map(str, ends)) - {"['UpdateUserSuccess']"} <= {
            "['FORBIDDEN']",
            "['UNAUTHENTICATED']",
            "['LastOwner']",
        }
        assert len(set(map(str, ends))) == 2
        for owner in (cast.olivia, second):
            await cast.change(owner, role=Role.OWNER, active=True)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": " "}, "name must not be empty."),
        ({"name": "x" * 201}, "name has 201 characters; at most 200 are kept."),
        ({"email": "dora"}, "email must be an address like bo@example.com."),
        ({"email": f"{'d' * 250}@x.de"}, "email has 255 characters; at most 254 are kept."),
        (
            {"name": "NUL \x00 here"},
            "name holds a character that is not text (NUL or half a surrogate pair).",
        ),
    ],
)
async def test_what_cannot_be_stored_is_refused(api: Api, given: dict[str, str], sentence: str) -> None:
    before = await api.cast.last_event()

    added = await api.ask(api.cast.adam, ADD, input=NEW | given)
    changed = await update(api, api.cast.adam, api.cast.bob, **given)

    assert [answer.refusal() for answer in (added, changed)] == [("BAD_USER_INPUT", sentence)] * 2
    assert await api.cast.last_event() == before


async def test_a_user_of_another_account_is_not_there(api: Api) -> None:
    cast = api.cast
    before = await cast.all_rows()

    answers = [
        await api.ask(cast.olivia, UPDATE, input={"userId": user_id, "name": "Mine"})
        for user_id in (str(cast.charlie.id), str(new_id()), "no id at all")
    ]
    answers.append(await delete(api, cast.olivia, cast.charlie))

    assert [answer.refusal() for answer in answers] == [NOT_FOUND] * 4
    assert await cast.all_rows() == before


async def test_what_is_refused_is_recorded(api: Api) -> None:
    cast = api.cast

    await update(api, cast.adam, cast.olivia, name="Liv")
    await delete(api, cast.olivia, cast.olivia)
    await api.ask(cast.bob, ADD, input=NEW)

    await api.node.refusals.stop()
    statement = select(audit_log.c.user_id, audit_log.c.operation, audit_log.c.outcome)
    async with cast.database.system_reading() as tx:
        recorded = (await tx.connection.execute(statement.order_by(audit_log.c.id))).all()
    assert [tuple(row) for row in recorded] == [
        (cast.adam.id, "updateUser", "FORBIDDEN"),
        (cast.olivia.id, "deleteUser", "LastOwner"),
        (cast.bob.id, "addUser", "FORBIDDEN"),
    ]


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_sessions_are_started_and_escalated_while_somebody_and_their_team_are_renamed(api: Api) -> None:
    cast = api.cast
    async with cast.database.transaction(cast.account_id) as tx:
        await users.change(tx, cast.alice.id, {"email": "alicia@northwind.example", "name": "Alicia"})
        await users.change(tx, cast.bob.id, {"email": "bo@northwind.example"})
        await teams.rename(tx, cast.team_id, "Networking")

        async with asyncio.timeout(PATIENCE):  # whoever refers to a row waits for who changes its key
            session = await cast.start_session(in_team=True)
            handoff_id = await api.escalate(cast.alice, session.id)

    assert "Bob" in {name for _, name, *_ in await api.deliveries(handoff_id)}
