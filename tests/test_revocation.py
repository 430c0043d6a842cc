"""Who loses the right to be here is refused at the next request, and what runs for them ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from sqlalchemy import select, update

from db import users
from db.enums import EventKind, Role
from db.models import login_links
from db.models import users as users_table
from db.session import new_id
from db.users import UserRow
from resolvers import admin, api_keys, logins
from tests.cast import Cast, deactivate
from tests.client import SECRET, Api
from tests.live import Live, running_server
from tests.sockets import ALMOST_AN_HOUR, ESCALATIONS, QUEUE_CHANGES, Operation, open_socket
from tests.terminal import Terminal

ME = "{ me { name } }"
SIGNED_OUT = ("UNAUTHENTICATED", "You were signed out. Sign in again.")
Loss = Callable[[Cast, UserRow], Awaitable[object]]


@pytest.fixture
async def live(database_url: str, cast: Cast) -> AsyncIterator[Live]:
    """A server that asks often whether a viewer may go on."""
    async with running_server(database_url, cast, recheck_seconds=0.05) as live:
        yield live


async def test_tokens_issued_before_a_sign_out_are_refused_and_later_ones_are_not(api: Api) -> None:
    alice, bob = api.cast.alice, api.cast.bob
    old, others = api.token(alice), api.token(bob)
    before = await api.ask_with(old, ME)

    await sign_out(api.cast, alice)
    new = api.token(alice)

    assert before.only() == {"name": "Alice"}
    assert (await api.ask_with(old, ME)).refusal() == SIGNED_OUT
    assert (await api.ask_with(new, ME)).only() == {"name": "Alice"}
    assert (await api.ask_with(others, ME)).only() == {"name": "Bob"}


async def test_a_token_that_does_not_say_when_it_was_issued_ends_with_a_sign_out(api: Api) -> None:
    claims = {"sub": str(api.cast.alice.id), "aud": "handoff"}
    token = jwt.encode(claims | {"exp": datetime.now(UTC) + timedelta(hours=1)}, SECRET)
    before = await api.ask_with(token, ME)

    await sign_out(api.cast, api.cast.alice)

    assert before.only() == {"name": "Alice"}
    assert (await api.ask_with(token, ME)).refusal() == SIGNED_OUT


async def test_a_sign_out_is_an_event_and_takes_the_links_to_sign_in_with_it(api: Api) -> None:
    cast = api.cast
    async with cast.database.transaction(cast.account_id) as tx:
        await logins.make_link(tx, cast.alice, now=datetime.now(UTC))
        await logins.make_link(tx, cast.bob, now=datetime.now(UTC))

    await sign_out(cast, cast.alice)

    event = await cast.newest_event()
    assert (event.kind, event.summary) == (EventKind.USER_SIGNED_OUT, "signed Alice out everywhere")
    assert event.actor_id is None
    async with cast.database.reading(cast.account_id) as tx:
        left = (await tx.connection.execute(select(login_links.c.user_id))).scalars().all()
    assert left == [cast.bob.id]


async def test_api_keys_outlive_a_sign_out(api: Api) -> None:
    token = (await api.cast.make_key(api.cast.alice)).token

    await sign_out(api.cast, api.cast.alice)

    assert (await api.ask_with(token, ME)).only() == {"name": "Alice"}


def test_the_command_signs_a_user_out(database_url: str) -> None:
    terminal = Terminal(database_url=database_url, secret=SECRET)
    terminal.ask("account", "add", "Contoso")
    terminal.ask("user", "add", "bo@contoso.example", "--account", "Contoso", "--name", "Bo")

    said = terminal.ask("user", "sign-out", "Bo@Contoso.example")

    assert said == "Signed bo@contoso.example out everywhere.\n"
    assert terminal.find_user("bo@contoso.example").tokens_not_before is not None
    assert terminal.refused("user", "sign-out", "no@contoso.example") == (
        "No user has the address no@contoso.example."
    )


async def lock_out(cast: Cast, user: UserRow) -> None:
    """Deactivate a user, as the command line does."""
    async with cast.database.transaction(user.account_id) as tx:
        await deactivate(tx, user)


async def delete(cast: Cast, user: UserRow) -> None:
    """Delete a user."""
    await cast.change(user, deleted_at=datetime.now(UTC))


async def move(cast: Cast, user: UserRow) -> None:
    """Move a user to the other account."""
    async with cast.database.owning() as tx:
        where = users_table.c.id == user.id
        await tx.execute(update(users_table).where(where).values(account_id=cast.other_account_id))


async def sign_out(cast: Cast, user: UserRow) -> None:
    """Sign a user out everywhere."""
    async with cast.database.transaction(user.account_id) as tx:
        await admin.sign_out(tx, user, now=datetime.now(UTC))


async def demote(cast: Cast, user: UserRow) -> None:
    """Make a user a viewer."""
    await cast.change(user, role=Role.VIEWER)


@pytest.mark.parametrize("subscription", [ESCALATIONS, QUEUE_CHANGES])
@pytest.mark.parametrize(
    ("lose", "code"),
    [
        (lock_out, "UNAUTHENTICATED"),
        (delete, "UNAUTHENTICATED"),
        (sign_out, "UNAUTHENTICATED"),
        (demote, "FORBIDDEN"),
    ],
)
async def test_what_runs_for_who_lost_their_rights_ends(
    live: Live, lose: Loss, code: str, subscription: str
) -> None:
    user = await add_user(live.cast)
    async with live.dashboard(user) as socket:
        pushed = await begun(live, await socket.subscribe(subscription, after=await live.cursor()))

        await lose(live.cast, user)

        assert await pushed.refusal() == code


async def test_what_runs_for_who_was_moved_to_another_account_ends(live: Live) -> None:
    user = await add_user(live.cast)
    async with live.dashboard(user) as socket:
        pushed = await socket.subscribe(QUEUE_CHANGES, after=await live.cursor())
        await live.escalate_new(intent="PARK")  # which tells nobody: no delivery refers to the user
        await pushed.next_event()

        await move(live.cast, user)

        assert await pushed.refusal() == "UNAUTHENTICATED"


async def test_what_runs_with_a_revoked_key_ends(live: Live) -> None:
    cast = live.cast
    key = await cast.make_key(cast.bob)
    async with open_socket(live.socket_url) as socket:
        await socket.init(key.token)
        pushed = await begun(live, await socket.subscribe(ESCALATIONS, after=await live.cursor()))

        async with cast.database.transaction(cast.account_id) as tx:
            await api_keys.revoke(tx, key.key.id, actor_id=None, now=datetime.now(UTC))

        assert await pushed.refusal() == "UNAUTHENTICATED"


async def test_a_socket_is_closed_when_its_token_ends(database_url: str, cast: Cast) -> None:
    async with (
        running_server(database_url, cast, ahead=ALMOST_AN_HOUR) as live,
        live.dashboard(cast.bob) as socket,
    ):
        await socket.subscribe(QUEUE_CHANGES)

        assert await socket.close_code() == 4403
        assert socket.connection.close_reason == "Your token has expired"


async def test_a_socket_shows_nothing_of_the_account_that_its_user_left(live: Live) -> None:
    user = await add_user(live.cast)
    async with live.dashboard(user) as socket:
        before = await (await socket.subscribe(ME)).next_event()

        await move(live.cast, user)

        assert before == {"name": "Mo"}
        for document in (ME, "{ queue { totalCount } }", QUEUE_CHANGES):
            assert await (await socket.subscribe(document)).refusal() == "UNAUTHENTICATED"
    async with live.dashboard(user) as socket:
        assert await (await socket.subscribe(ME)).next_event() == {"name": "Mo"}


async def test_by_default_rights_are_asked_for_again_in_less_than_five_seconds(api: Api) -> None:
    assert api.node.services.recheck_seconds < 5


async def begun(live: Live, pushed: Operation) -> Operation:
    """Wait until a subscription has pushed something."""
    await live.escalate_new()
    await pushed.next_event()
    return pushed


async def add_user(cast: Cast) -> UserRow:
    """Add an engineer to whom nothing refers, and who so can be moved."""
    async with cast.database.transaction(cast.account_id) as tx:
        name = f"mo.{new_id().hex}@northwind.example"
        user_id = await admin.add_user(tx, email=name, name="Mo", role=Role.ENGINEER, now=datetime.now(UTC))
        return (await users.by_ids(tx, [user_id]))[user_id]
