"""Before anyone escalates: who would be told, how, and why or why not."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, select

from db.enums import Channel, DeliveryStatus, Role
from db.models import connections, deliveries
from db.users import UserRow
from resolvers import admin
from schema.context import utc_now
from tests.client import Api
from tests.mailing import open_dashboard

AUDIENCE = "query ($id: ID!) { escalationAudience(sessionId: $id) { user { name } channel reason } }"
UNKNOWN = "01890000-0000-7000-8000-000000000000"
OFFLINE = ("EMAIL", "Has no dashboard open that shows it.")
ONLINE = ("PUSH", "Has a dashboard open; a mail follows if it does not confirm.")


async def audience_of(api: Api, viewer: UserRow, session_id: object) -> dict[str, tuple[str | None, str]]:
    """Return how each person of the account would be told, and why, by name."""
    answer = (await api.ask(viewer, AUDIENCE, id=str(session_id))).only()
    return {member["user"]["name"]: (member["channel"], member["reason"]) for member in answer}


async def another_team(api: Api) -> UUID:
    async with api.cast.database.transaction(api.cast.account_id) as tx:
        return await admin.create_team(tx, "Servers", [api.cast.bob.id], now=utc_now())


async def test_everybody_of_the_account_is_listed_with_a_reason(api: Api) -> None:
    session = await api.cast.start_session()

    found = await audience_of(api, api.cast.alice, session.id)

    assert list(found.items()) == [
        ("Adam", OFFLINE),
        ("Alice", (None, "Escalates, and so need not be told.")),
        ("Bob", OFFLINE),
        ("Ina", (None, "Is deactivated.")),
        ("Olivia", OFFLINE),
        ("Vera", (None, "Is a viewer, and viewers are not told.")),
    ]


async def test_who_asks_is_the_one_who_would_escalate(api: Api) -> None:
    found = await audience_of(api, api.cast.bob, (await api.cast.start_session()).id)

    assert (found["Alice"], found["Bob"]) == (OFFLINE, (None, "Escalates, and so need not be told."))


async def test_a_viewer_may_ask_and_would_not_be_told(api: Api) -> None:
    found = await audience_of(api, api.cast.vera, (await api.cast.start_session()).id)

    assert (found["Alice"], found["Vera"]) == (OFFLINE, (None, "Is a viewer, and viewers are not told."))


@pytest.mark.parametrize(
    ("watches", "in_team", "told"),
    [
        ("every team", False, ONLINE),
        ("every team", True, ONLINE),
        ("its team", True, ONLINE),
        ("its team", False, OFFLINE),
        ("another team", True, OFFLINE),
    ],
)
async def test_a_dashboard_counts_where_it_would_show_the_session(
    api: Api, watches: str, in_team: bool, told: tuple[str, str]
) -> None:
    cast = api.cast
    teams = {"every team": None, "its team": cast.team_id, "another team": await another_team(api)}
    await open_dashboard(cast.database, cast.bob, team_id=teams[watches])

    found = await audience_of(api, cast.alice, (await cast.start_session(in_team=in_team)).id)

    assert (found["Bob"], found["Olivia"]) == (told, OFFLINE)


@pytest.mark.parametrize(
    ("muted", "is_online", "told"),
    [
        ("mute_push", True, ("EMAIL", "Has turned pushes off.")),
        ("mute_push", False, OFFLINE),
        ("mute_email", True, ("PUSH", "Has a dashboard open; no mail follows: they are off.")),
        ("mute_email", False, (None, "Has turned mails off, and has no dashboard open that shows it.")),
        ("quiet_reminders", True, ONLINE),
        ("quiet_reminders", False, OFFLINE),
    ],
)
async def test_what_somebody_turned_off_is_told_of(
    api: Api, muted: str, is_online: bool, told: tuple[str | None, str]
) -> None:
    cast = api.cast
    await cast.change(cast.bob, **{muted: True})
    if is_online:
        await open_dashboard(cast.database, cast.bob)

    found = await audience_of(api, cast.alice, (await cast.start_session()).id)

    assert (found["Bob"], found["Olivia"]) == (told, OFFLINE)


async def test_who_was_deleted_is_not_listed(api: Api) -> None:
    await api.cast.change(api.cast.bob, deleted_at=utc_now())

    found = await audience_of(api, api.cast.alice, (await api.cast.start_session()).id)

    assert list(found) == ["Adam", "Alice", "Ina", "Olivia", "Vera"]


@pytest.mark.parametrize("which", ["foreign", "unknown", "no id at all"])
async def test_a_session_that_is_not_of_the_account_is_not_found(api: Api, which: str) -> None:
    ids = {"foreign": str((await api.cast.start_session()).id), "unknown": UNKNOWN}

    answer = await api.ask(api.cast.charlie, AUDIENCE, id=ids.get(which, which))

    assert answer.data is None
    assert [error["message"] for error in answer.errors] == ["No session of your account has this id."]
    assert answer.codes == ["NOT_FOUND"]


async def shuffle_people(api: Api, choose: random.Random, teams: list[UUID | None]) -> None:
    """Give everybody but Alice other rights, preferences and dashboards."""
    cast = api.cast
    async with cast.database.transaction(cast.account_id) as tx:
        await tx.execute(delete(connections).where(connections.c.account_id == cast.account_id))
    for user in (cast.bob, cast.olivia, cast.adam, cast.vera, cast.ina):
        muted = choose.choice([{}, {}, {"mute_push": True}, {"mute_email": True}])
        rights = {"active": choose.random() < 0.8, "role": choose.choice([*Role, Role.ENGINEER, Role.ADMIN])}
        everything: dict[str, Any] = {"mute_push": False, "mute_email": False} | muted | rights
        await cast.change(user, quiet_reminders=choose.random() < 0.5, **everything)
        if everything["role"] != Role.VIEWER and choose.random() < 0.6:
            await open_dashboard(cast.database, user, team_id=choose.choice(teams))


async def first_planned(api: Api, handoff_id: str) -> dict[str, Channel]:
    """Return over which channel each recipient's first delivery that is not skipped goes, by name."""
    cast = api.cast
    names = {user.id: user.name for user in (*cast.responders, cast.vera, cast.ina)}
    statement = (
        select(deliveries.c.recipient_id, deliveries.c.channel)
        .where(deliveries.c.handoff_id == UUID(handoff_id), deliveries.c.recipient_id != cast.alice.id)
        .where(deliveries.c.status != DeliveryStatus.SKIPPED)
        .order_by(deliveries.c.due_at.desc())
    )
    async with cast.database.reading(cast.account_id) as tx:
        return {names[user_id]: channel for user_id, channel in await tx.connection.execute(statement)}


@pytest.mark.parametrize("seed", range(3))
async def test_an_escalation_tells_exactly_those_who_were_foretold(api: Api, seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311 (people, not secrets)
    cast = api.cast
    teams = [None, cast.team_id, await another_team(api)]
    for _ in range(4):
        await shuffle_people(api, choose, teams)
        session = await cast.start_session(in_team=choose.random() < 0.7)
        foretold = await audience_of(api, cast.alice, session.id)

        handoff_id = await api.escalate(cast.alice, session.id)

        told = {name: channel for name, (channel, _) in foretold.items() if channel is not None}
        assert await first_planned(api, handoff_id) == told, foretold
