"""Who made an API key may know its token: the promotion of its user gives its maker no rights."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db import api_keys as stored
from db import events
from db.enums import ApiKeyScope, EventKind, Role
from db.session import Transaction
from db.users import UserRow
from resolvers import api_keys, people
from resolvers.api_keys import NewApiKey
from resolvers.errors import Forbidden
from resolvers.people import UserChanges
from tests.cast import Cast
from tests.client import Api
from tests.holding import until_waiting

CREATE = "mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { token } }"
UPDATE = """mutation ($input: UpdateUserInput!) { updateUser(input: $input) {
    __typename ... on UpdateUserSuccess { user { role } }
} }"""
ME = "{ me { name role } }"
REVOKED = ("UNAUTHENTICATED", "This API key was revoked. Get a new one.")


async def test_a_new_owner_keeps_the_keys_of_whoever_could_make_an_owner_s(api: Api) -> None:
    cast = api.cast
    bob = await cast.change(cast.bob, role=Role.ADMIN)
    by_admin = await made(api, cast.adam, bob)
    kept = [
        await made(api, cast.olivia, bob),
        await made(api, bob, bob),
        (await cast.make_key(bob)).token,  # by the command line
    ]
    others = await made(api, cast.adam, cast.alice)

    await promote(api, cast.olivia, bob, Role.OWNER)

    assert await refusal(api, by_admin) == REVOKED
    assert [(await api.ask_with(key, ME)).only()["role"] for key in kept] == ["OWNER"] * 3
    assert (await api.ask_with(others, ME)).only()["name"] == "Alice"


@pytest.mark.parametrize("scope", ["FULL", "INGEST"])
async def test_an_event_tells_of_each_key_after_that_of_the_promotion(api: Api, scope: str) -> None:
    cast = api.cast
    await made(api, cast.adam, cast.alice, name="Assistant", scope=scope)
    before = await cast.last_event()

    await promote(api, cast.olivia, cast.alice, Role.OWNER)

    async with cast.database.reading(cast.account_id) as tx:
        happened = [(e.kind, e.actor_id, e.summary) for e in await events.after(tx, before, limit=9)]
        (key,) = await stored.all_of_account(tx)
    summary = "revoked the API key “Assistant” of Alice, who is OWNER now: "
    summary += "Adam made it, and could make none for that role"
    assert happened == [
        (EventKind.USER_CHANGED, cast.olivia.id, "made Alice OWNER"),
        (EventKind.API_KEY_REVOKED, cast.olivia.id, summary),
    ]
    assert key.revoked_at is not None


async def test_a_new_admin_keeps_the_keys_that_an_admin_made(api: Api) -> None:
    cast = api.cast
    key = await made(api, cast.adam, cast.alice)

    await promote(api, cast.olivia, cast.alice, Role.ADMIN)

    assert (await api.ask_with(key, ME)).only() == {"name": "Alice", "role": "ADMIN"}


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.ADMIN, Role.OWNER])
@pytest.mark.parametrize(
    "left", [{"role": Role.ENGINEER}, {"active": False}, {"deleted_at": datetime(2026, 1, 1, tzinfo=UTC)}]
)
async def test_who_is_no_admin_any_more_has_no_part_in_a_promotion(
    api: Api, left: dict[str, Any], role: Role
) -> None:
    cast = api.cast
    key = await made(api, cast.adam, cast.vera)
    await cast.change(cast.adam, **left)

    await promote(api, cast.olivia, cast.vera, role)

    assert await refusal(api, key) == REVOKED


async def test_who_is_no_owner_any_more_has_no_part_in_a_promotion_to_one(api: Api) -> None:
    cast = api.cast
    bob = await cast.change(cast.bob, role=Role.OWNER)
    key = await made(api, bob, cast.alice)
    await cast.change(bob, role=Role.ADMIN)

    await promote(api, cast.olivia, cast.alice, Role.ADMIN)
    as_admin = (await api.ask_with(key, ME)).only()["role"]
    await promote(api, cast.olivia, cast.alice, Role.OWNER)

    assert as_admin == "ADMIN"
    assert await refusal(api, key) == REVOKED


async def test_whatever_gives_no_rights_revokes_nothing(api: Api) -> None:
    cast = api.cast
    key = await made(api, cast.adam, cast.bob)
    await cast.change(cast.adam, role=Role.ENGINEER)

    await change(api, cast.olivia, cast.bob, name="Robert")
    await change(api, cast.olivia, cast.bob, role="VIEWER")

    assert (await api.ask_with(key, ME)).only() == {"name": "Robert", "role": "VIEWER"}


async def test_a_key_that_was_made_with_a_key_counts_as_made_by_its_maker(api: Api) -> None:
    cast = api.cast
    bob = await cast.change(cast.bob, role=Role.ADMIN)
    by_adam, by_command_line = await made(api, cast.adam, bob), (await cast.make_key(bob)).token
    tokens = [
        (await api.ask_with(token, CREATE, input={"name": "Second", "scope": "FULL"})).only()["token"]
        for token in (by_adam, by_command_line)
    ]

    await promote(api, cast.olivia, bob, Role.OWNER)

    assert await refusal(api, tokens[0]) == REVOKED
    assert (await api.ask_with(tokens[1], ME)).only()["role"] == "OWNER"


async def test_with_a_key_that_somebody_else_made_no_third_person_gets_one(api: Api) -> None:
    cast = api.cast
    by_olivia = await made(api, cast.olivia, cast.adam)
    wanted = {"name": "Third", "scope": "FULL", "userId": str(cast.bob.id)}

    answer = await api.ask_with(by_olivia, CREATE, input=wanted)

    said = "Somebody else made the API key that you signed in with. Sign in yourself to make somebody a key."
    assert answer.refusal() == ("FORBIDDEN", said)


async def test_a_key_that_was_revoked_before_stays_as_it_is(api: Api) -> None:
    cast = api.cast
    await made(api, cast.adam, cast.alice)
    async with cast.database.transaction(cast.account_id) as tx:
        (key,) = await stored.all_of_account(tx)
        await api_keys.revoke(tx, key.id, actor_id=None, now=datetime(2026, 1, 1, tzinfo=UTC))
    before = await cast.last_event()

    await promote(api, cast.olivia, cast.alice, Role.OWNER)

    assert await cast.last_event() == before + 1
    async with cast.database.reading(cast.account_id) as tx:
        assert (await stored.by_ids(tx, [key.id]))[key.id].revoked_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_key_that_is_made_while_somebody_is_promoted_is_found(cast: Cast) -> None:
    async def promote_alice() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            await make_owner(tx, cast.alice)

    async with cast.database.transaction(cast.account_id) as tx:
        key = await api_keys.create_as_admin(
            tx, cast.adam, cast.alice.id, "Theirs", ApiKeyScope.FULL, now=datetime.now(UTC)
        )
        promoting = asyncio.create_task(promote_alice())
        await until_waiting(cast, 1)
    await promoting

    async with cast.database.reading(cast.account_id) as tx:
        assert (await stored.by_ids(tx, [key.key.id]))[key.key.id].revoked_at is not None


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_who_was_promoted_at_this_moment_gets_no_key_of_an_admin_s(cast: Cast) -> None:
    async def make_key() -> NewApiKey:
        async with cast.database.transaction(cast.account_id) as tx:
            return await api_keys.create_as_admin(
                tx, cast.adam, cast.alice.id, "Theirs", ApiKeyScope.FULL, now=datetime.now(UTC)
            )

    async with cast.database.transaction(cast.account_id) as tx:
        await make_owner(tx, cast.alice)
        making = asyncio.create_task(make_key())
        await until_waiting(cast, 1)

    with pytest.raises(Forbidden):
        await making


async def made(api: Api, maker: UserRow, user: UserRow, *, name: str = "Key", scope: str = "FULL") -> str:
    """Make a key for a user, and return its token."""
    wanted = {"userId": str(user.id), "name": name, "scope": scope}
    return str((await api.ask(maker, CREATE, input=wanted)).only()["token"])


async def promote(api: Api, by: UserRow, user: UserRow, role: Role) -> None:
    await change(api, by, user, role=role.value)


async def change(api: Api, by: UserRow, user: UserRow, **changes: Any) -> None:  # noqa: ANN401
    """Change a person, which must succeed."""
    answer = (await api.ask(by, UPDATE, input={"userId": str(user.id), **changes})).only()
    assert answer["__typename"] == "UpdateUserSuccess"


async def refusal(api: Api, token: str) -> tuple[str, str]:
    """Return how a token is refused."""
    return (await api.ask_with(token, ME)).refusal()


async def make_owner(tx: Transaction, user: UserRow) -> None:
    """Promote somebody from the command line."""
    owner = UserChanges(role=Role.OWNER)
    await people.change(tx, None, user.id, owner, now=datetime.now(UTC), grace=timedelta(0))
