"""Who is told of an escalation, over which channel and when; and whom the answer says it reached."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db import presence, system
from db.presence import ConnectionRow
from db.session import new_id
from db.users import UserRow
from resolvers import admin
from tests.cast import Cast
from tests.client import HANDOFF, Api

EMAIL = ("EMAIL", "PENDING", None)
PUSH = ("PUSH", "PENDING", None)


async def test_an_escalation_is_sent_to_every_responder_but_the_one_who_escalates(api: Api) -> None:
    cast = api.cast

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    # Not to Vera, who only reads, not to Ina, who is inactive, not to Charlie of the other account.
    assert await api.deliveries(answer["handoff"]["id"]) == [
        (0, "Adam", *EMAIL),
        (0, "Bob", *EMAIL),
        (0, "Olivia", *EMAIL),
    ]
    assert answer["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def test_the_owner_of_the_session_is_told_when_a_colleague_escalates_it(api: Api) -> None:
    cast = api.cast

    handoff_id = await api.escalate(cast.bob, (await cast.start_session(owner=cast.alice)).id)

    assert [name for _, name, *_ in await api.deliveries(handoff_id)] == ["Adam", "Alice", "Olivia"]


async def test_the_team_of_the_session_does_not_narrow_whom_it_is_sent_to(api: Api) -> None:
    cast = api.cast

    handoff_id = await api.escalate(cast.alice, (await cast.start_session(in_team=True)).id)

    assert [name for _, name, *_ in await api.deliveries(handoff_id)] == ["Adam", "Bob", "Olivia"]


async def test_deleted_and_deactivated_responders_are_not_told(api: Api) -> None:
    cast = api.cast
    await cast.change(cast.adam, deleted_at=datetime.now(UTC))
    await cast.change(cast.olivia, active=False)

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    assert await api.deliveries(answer["handoff"]["id"]) == [(0, "Bob", *EMAIL)]
    assert answer["reach"] == {"online": 0, "email": 1, "unreachable": False}


async def test_parking_tells_no_one_and_reaches_no_one(api: Api) -> None:
    cast = api.cast
    await _connect(cast, cast.bob)

    answer = await api.create(cast.alice, (await cast.start_session()).id, "PARK")

    assert await api.deliveries(answer["handoff"]["id"]) == []
    assert answer["reach"] == {"online": 0, "email": 0, "unreachable": False}


async def test_an_escalation_without_anybody_to_tell_is_made_and_says_so_loudly(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    cast = api.cast
    session = await cast.start_session(owner=cast.charlie)

    answer = await api.create(cast.charlie, session.id)

    assert answer["__typename"] == "CreateHandoffSuccess"
    assert answer["reach"] == {"online": 0, "email": 0, "unreachable": True}
    (record,) = (record for record in caplog.records if record.name == "notify.rounds")
    assert (record.levelname, record.getMessage()) == ("WARNING", "nobody can be reached")
    assert vars(record)["handoff_id"] == answer["handoff"]["id"]
    handoff = (await api.ask(cast.charlie, HANDOFF, id=answer["handoff"]["id"])).only()
    assert [
        (delivery["kind"], _recipient_and_channel(edge), delivery["status"])
        for edge in handoff["deliveries"]["edges"]
        for delivery in [edge["node"]]
    ] == [("UNREACHED", ("Charlie", "EMAIL"), "PENDING")]
    assert [(entry["kind"], entry["summary"]) for entry in handoff["timeline"]] == [
        ("HANDOFF_CREATED", "escalated the session"),
        ("ESCALATION_UNREACHED", "found nobody to tell"),
    ]


async def test_online_responders_get_a_push_now_and_a_mail_after_the_grace(api: Api) -> None:
    cast = api.cast
    await _connect(cast, cast.bob)

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    handoff = await api.handoff(answer["handoff"]["id"])
    made = datetime.fromisoformat(handoff["createdAt"])
    due = {_recipient_and_channel(edge): _due(edge) - made for edge in handoff["deliveries"]["edges"]}
    assert due == {
        ("Bob", "PUSH"): timedelta(0),
        ("Bob", "EMAIL"): api.node.settings.grace,
        ("Olivia", "EMAIL"): timedelta(0),
        ("Adam", "EMAIL"): timedelta(0),
    }
    assert answer["reach"] == {"online": 1, "email": 2, "unreachable": False}


async def test_whoever_escalates_does_not_count_as_online(api: Api) -> None:
    cast = api.cast
    await _connect(cast, cast.alice)

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    assert answer["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def test_people_of_a_node_that_stopped_beating_are_offline(api: Api) -> None:
    cast = api.cast
    await _connect(cast, cast.bob, beaten_before=presence.STALE_AFTER + timedelta(seconds=1))

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    assert (0, "Bob", *PUSH) not in await api.deliveries(answer["handoff"]["id"])
    assert answer["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def test_people_of_a_node_that_beat_lately_are_online(api: Api) -> None:
    cast = api.cast
    await _connect(cast, cast.bob, beaten_before=presence.STALE_AFTER - timedelta(seconds=15))

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    assert (0, "Bob", *PUSH) in await api.deliveries(answer["handoff"]["id"])
    assert answer["reach"] == {"online": 1, "email": 2, "unreachable": False}


@pytest.mark.parametrize("in_team", [True, False])
async def test_a_dashboard_of_another_team_does_not_make_its_viewer_online(api: Api, in_team: bool) -> None:
    cast = api.cast
    async with cast.database.transaction(cast.account_id) as tx:
        other = await admin.create_team(tx, "Printers", [cast.bob.id], now=datetime.now(UTC))
    await _connect(cast, cast.bob, team_id=other)

    answer = await api.create(cast.alice, (await cast.start_session(in_team=in_team)).id)

    assert answer["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def test_a_dashboard_of_the_team_makes_its_viewer_online_for_that_team_alone(api: Api) -> None:
    cast = api.cast
    await _connect(cast, cast.bob, team_id=cast.team_id)

    of_the_team = await api.create(cast.alice, (await cast.start_session(in_team=True)).id)
    of_no_team = await api.create(cast.alice, (await cast.start_session()).id)

    assert of_the_team["reach"] == {"online": 1, "email": 2, "unreachable": False}
    assert of_no_team["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def test_a_person_with_two_dashboards_counts_once_and_gets_one_push(api: Api) -> None:
    cast = api.cast
    for _ in range(2):
        await _connect(cast, cast.bob)

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    deliveries = await api.deliveries(answer["handoff"]["id"])
    assert [d for d in deliveries if d[1] == "Bob"] == [(0, "Bob", *EMAIL), (0, "Bob", *PUSH)]
    assert answer["reach"] == {"online": 1, "email": 2, "unreachable": False}


async def test_a_person_who_closed_one_of_two_dashboards_is_online(api: Api) -> None:
    cast = api.cast
    closed, _ = await _connect(cast, cast.bob), await _connect(cast, cast.bob)
    await _disconnect(cast, closed)

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    assert answer["reach"] == {"online": 1, "email": 2, "unreachable": False}


async def test_a_person_who_closed_every_dashboard_is_offline(api: Api) -> None:
    cast = api.cast
    await _disconnect(cast, await _connect(cast, cast.bob))

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    assert answer["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def test_a_deactivated_responder_who_is_still_connected_is_not_told(api: Api) -> None:
    cast = api.cast
    await _connect(cast, cast.ina)
    await _connect(cast, cast.vera)

    answer = await api.create(cast.alice, (await cast.start_session()).id)

    assert [name for _, name, *_ in await api.deliveries(answer["handoff"]["id"])] == [
        "Adam",
        "Bob",
        "Olivia",
    ]
    assert answer["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def _connect(
    cast: Cast, user: UserRow, *, team_id: UUID | None = None, beaten_before: timedelta = timedelta(0)
) -> UUID:
    """Store a dashboard of the user on a node of its own, which beat that long ago; return its id."""
    now = datetime.now(UTC)
    connection = ConnectionRow(user.account_id, new_id(), new_id(), user.id, team_id, now)
    async with cast.database.system() as tx:
        await system.add_node(tx, connection.node_id, "elsewhere", now=now - beaten_before)
    async with cast.database.transaction(user.account_id) as tx:
        await presence.connect(tx, connection)
    return connection.id


async def _disconnect(cast: Cast, connection_id: UUID) -> None:
    async with cast.database.transaction(cast.account_id) as tx:
        await presence.disconnect(tx, connection_id)


def _recipient_and_channel(edge: dict[str, Any]) -> tuple[str, str]:
    return edge["node"]["recipient"]["name"], edge["node"]["channel"]


def _due(edge: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(edge["node"]["dueAt"])
