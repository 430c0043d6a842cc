"""A running subscription ends when its viewer's rights do."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from db.enums import Role
from tests.cast import Cast, deactivate
from tests.live import Live, running_server
from tests.mailing import remind, set_policy
from tests.sockets import ESCALATIONS, QUEUE_CHANGES


@pytest.fixture
async def live(database_url: str, cast: Cast) -> AsyncIterator[Live]:
    """A server that asks often whether a viewer may go on."""
    async with running_server(database_url, cast, recheck_seconds=0.05) as live:
        yield live


@pytest.mark.parametrize("subscription", [ESCALATIONS, QUEUE_CHANGES])
async def test_the_subscription_of_a_deactivated_user_ends(live: Live, subscription: str) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(subscription, after=await live.cursor())
        await live.escalate_new()
        await pushed.next_event()

        async with live.node.database.transaction(cast.account_id) as tx:
            await deactivate(tx, cast.bob)

        assert await pushed.refusal() == "UNAUTHENTICATED"
        await live.until_online()


async def test_the_wallboard_of_a_deactivated_viewer_ends(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.vera) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        await live.escalate_new()
        await pushed.next_event()

        async with live.node.database.transaction(cast.account_id) as tx:
            await deactivate(tx, cast.vera)

        assert await pushed.refusal() == "UNAUTHENTICATED"


async def test_the_subscription_of_a_deleted_user_ends(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS)
        await live.until_online(cast.bob)

        await cast.change(cast.bob, deleted_at=datetime.now(UTC))

        assert await pushed.refusal() == "UNAUTHENTICATED"
        await live.until_online()


@pytest.mark.parametrize("subscription", [ESCALATIONS, QUEUE_CHANGES])
async def test_the_subscription_of_a_responder_who_became_a_viewer_ends(
    live: Live, subscription: str
) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(subscription, after=await live.cursor())
        await live.escalate_new()
        await pushed.next_event()

        await cast.change(cast.bob, role=Role.VIEWER)

        assert await pushed.refusal() == "FORBIDDEN"
        await live.until_online()


async def test_a_demoted_user_may_subscribe_again_as_a_viewer_and_is_not_online(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS)
        await live.until_online(cast.bob)
        await cast.change(cast.bob, role=Role.VIEWER)
        await pushed.refusal()

        again = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        created = await live.create(cast.alice, (await cast.start_session()).id)

        assert (await again.next_event())["handoff"]["id"] == created["handoff"]["id"]
        assert created["reach"] == {"online": 0, "email": 2, "unreachable": False}


async def test_the_siblings_of_a_subscription_that_ends_may_go_on(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS)
        await live.until_online(cast.bob)
        await cast.change(cast.bob, role=Role.VIEWER)
        await pushed.refusal()

        sibling = await socket.subscribe("{ me { role } }")

        assert await sibling.next_event() == {"role": "VIEWER"}


async def test_an_engineer_who_becomes_an_admin_goes_on(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS)
        await live.until_online(cast.bob)
        await cast.change(cast.bob, role=Role.ADMIN)

        handoff_id = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == handoff_id


async def test_nothing_is_pushed_to_a_user_after_their_deactivation(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        await live.escalate_new()
        await pushed.next_event()

        async with live.node.database.transaction(cast.account_id) as tx:
            await deactivate(tx, cast.bob)
        await live.escalate_new()

        assert await pushed.refusal() == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("mutation", "code"),
    [
        ("updateUser(input: { userId: $id, active: false })", "UNAUTHENTICATED"),
        ("updateUser(input: { userId: $id, role: VIEWER })", "FORBIDDEN"),
        ("deleteUser(input: { userId: $id })", "UNAUTHENTICATED"),
    ],
    ids=["deactivated", "demoted", "deleted"],
)
async def test_what_an_admin_changes_ends_subscriptions_before_they_are_asked_for_again(
    database_url: str, cast: Cast, mutation: str, code: str
) -> None:
    async with (
        running_server(database_url, cast, recheck_seconds=3600) as live,
        live.dashboard(cast.bob) as socket,
    ):
        pushed = await socket.subscribe(QUEUE_CHANGES, after=await live.cursor())
        await live.escalate_new()
        await pushed.next_event()

        changed = await live.ask(
            cast.adam, f"mutation ($id: ID!) {{ {mutation} {{ __typename }} }}", id=str(cast.bob.id)
        )

        assert changed.errors == []
        assert await pushed.refusal() == code


async def test_an_admin_who_becomes_an_engineer_is_pushed_what_engineers_are(
    database_url: str, cast: Cast
) -> None:
    async with (
        running_server(database_url, cast, recheck_seconds=3600) as live,
        live.dashboard(cast.adam) as socket,
    ):
        await set_policy(live, reminderAfter=["PT5M"], remind="OWNERS_AND_ADMINS")
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        before = await live.escalate_new()
        assert (await pushed.next_event())["handoff"]["id"] == before

        document = "mutation ($id: ID!) { updateUser(input: { userId: $id, role: ENGINEER }) { __typename } }"
        assert (await live.ask(cast.olivia, document, id=str(cast.adam.id))).errors == []
        assert await remind(live) == 1
        after = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == after


@pytest.mark.parametrize("shared_streams", [True, False])
async def test_a_viewer_who_becomes_an_engineer_is_online_from_then_on(
    database_url: str, cast: Cast, shared_streams: bool
) -> None:
    document = (
        "mutation ($id: ID!, $to: Role!) { updateUser(input: { userId: $id, role: $to }) { __typename } }"
    )
    async with (
        running_server(database_url, cast, recheck_seconds=3600, shared_streams=shared_streams) as live,
        live.dashboard(cast.vera) as socket,
    ):
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        watched = await live.escalate_new()
        assert (await pushed.next_event())["handoff"]["id"] == watched
        await live.until_online()

        assert (await live.ask(cast.olivia, document, id=str(cast.vera.id), to="ENGINEER")).errors == []
        await live.until_online(cast.vera)
        created = await live.create(cast.alice, (await cast.start_session()).id)

        assert created["reach"] == {"online": 1, "email": 3, "unreachable": False}
        assert (await pushed.next_event())["handoff"]["id"] == created["handoff"]["id"]
        assert (await live.ask(cast.olivia, document, id=str(cast.vera.id), to="VIEWER")).errors == []
        assert await pushed.refusal() == "FORBIDDEN"
        await live.until_online()
