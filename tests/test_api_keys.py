"""API keys: a machine signs in as a user, can do no more than its scope, and is refused once revoked."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
)
from sqlalchemy import select, update

from db.enums import ApiKeyScope, Role
from db.models import api_keys
from db.session import new_id
from resolvers.api_keys import NewApiKey
from schema.build import build_schema
from schema.permissions import BEYOND_INGEST
from server.process import Node
from tests.cast import Cast
from tests.client import Answer, Api, make_settings
from tests.documents import Operation, ids_for, request, root_fields
from tests.live import Live
from tests.sockets import ESCALATIONS, eventually, open_socket

ME = "{ me { name role } }"
START = """
mutation ($ownerId: ID) { startSession(input: { problemSummary: "VPN drops", ownerId: $ownerId }) {
  session { owner { name } }
} }
"""
NODE = "query ($id: ID!) { node(id: $id) { id } }"
INGEST_ONLY = "This API key may only feed sessions in (scope INGEST). Use one with scope FULL."
BEYOND_INGEST_MESSAGE = (
    "This API key may only feed sessions in (scope INGEST): it reads neither handoffs nor addresses of "
    "people. Use one with scope FULL."
)
NOT_VALID = "This API key is not valid. Get a new one."
INGEST_FIELDS = {
    "query": {"me", "session"},
    "mutation": {
        "startSession",
        "updateSession",
        "appendSessionMessages",
        "addSessionBranch",
        "updateSessionBranch",
        "resolveSession",
    },
}


async def test_a_full_key_does_what_its_user_may_and_no_more(api: Api) -> None:
    cast = api.cast
    key = await cast.make_key(cast.alice, ApiKeyScope.FULL)

    started = await api.ask_with(key.token, START)
    listed = await api.ask_with(key.token, "{ apiKeys { totalCount } }")
    await cast.change(cast.alice, role=Role.VIEWER)
    demoted = await api.ask_with(key.token, START)

    assert started.only() == {"session": {"owner": {"name": "Alice"}}}
    assert (listed.data, listed.refusal()) == (None, ("FORBIDDEN", "Admin access required"))
    assert demoted.refusal() == ("FORBIDDEN", "Engineer or admin access required")


@pytest.mark.parametrize("operation", ["query", "mutation"])
async def test_an_ingest_key_may_feed_sessions_in_and_nothing_else(api: Api, operation: Operation) -> None:
    cast = api.cast
    ids = await cast.one_of_each(cast.olivia)
    key = await cast.make_key(cast.olivia, ApiKeyScope.INGEST)
    refused = root_fields(operation).keys() - INGEST_FIELDS[operation]
    before = await cast.last_event()

    answers = {}
    for field in refused:
        asked = request(operation, field, ids_for(field, ids), depth=1)
        document = NODE if field == "node" else asked.document  # all types of nodes at once are too much
        answers[field] = await api.ask_with(key.token, document, **asked.variables)

    assert refused
    assert {field: answer.refusal() for field, answer in answers.items()} == dict.fromkeys(
        refused, ("FORBIDDEN", INGEST_ONLY)
    )
    assert await cast.last_event() == before


async def test_an_ingest_key_reads_me_and_sessions_and_feeds_them(api: Api) -> None:
    cast = api.cast
    key = await cast.make_key(cast.alice, ApiKeyScope.INGEST)
    session_id = str((await cast.start_session()).id)
    fed = [
        'appendSessionMessages(input: { sessionId: $id, messages: [{ role: USER, content: "Hi" }] })',
        'addSessionBranch(input: { sessionId: $id, label: "DNS" })',
        "updateSession(input: { sessionId: $id, stepCount: 3 })",
        "resolveSession(input: { sessionId: $id })",
    ]

    me = await api.ask_with(key.token, ME)
    answers = [
        await api.ask_with(key.token, f"mutation ($id: ID!) {{ {field} {{ __typename }} }}", id=session_id)
        for field in fed
    ]
    session = await api.ask_with(key.token, "query ($id: ID!) { session(id: $id) { status } }", id=session_id)

    assert me.only() == {"name": "Alice", "role": "ENGINEER"}
    assert [answer.only() for answer in answers] == [{"__typename": "SessionSuccess"}] * 4
    assert session.only() == {"status": "RESOLVED"}


SESSION_WITH = "query ($id: ID!) { session(id: $id) { id %s } }"
UPDATE_WITH = """
mutation ($id: ID!) { updateSession(input: { sessionId: $id, stepCount: 9 }) {
  ... on SessionSuccess { session { id ...more } }
} }
fragment more on Session { %s }
"""
BEYOND = [
    "handoffs { totalCount }",
    "escalationPackage",
    "owner { email }",
    "escalatedTo { ... on Node { ... on User { email } } }",
    "h: handoffs(first: 1) @skip(if: true) { edges { node { deliveries { totalCount } } } }",
]


@pytest.mark.parametrize("selected", BEYOND)
@pytest.mark.parametrize("document", [SESSION_WITH, UPDATE_WITH], ids=["query", "mutation"])
async def test_an_ingest_key_reads_neither_handoffs_nor_addresses(
    api: Api, document: str, selected: str
) -> None:
    cast = api.cast
    key = await cast.make_key(cast.alice, ApiKeyScope.INGEST)
    session = await cast.start_session(owner=cast.bob)
    await api.escalate(cast.bob, session.id, notes="Only for colleagues")
    before = await cast.last_event()

    refused = await api.ask_with(key.token, document % selected, id=str(session.id))

    assert refused.refusal() == ("FORBIDDEN", BEYOND_INGEST_MESSAGE)
    assert await cast.last_event() == before
    full = await cast.make_key(cast.alice)
    assert not (await api.ask_with(full.token, document % selected, id=str(session.id))).errors


async def test_an_ingest_key_learns_not_even_its_own_address(api: Api) -> None:
    key = await api.cast.make_key(api.cast.alice, ApiKeyScope.INGEST)

    assert (await api.ask_with(key.token, "{ me { email } }")).refusal() == (
        "FORBIDDEN",
        BEYOND_INGEST_MESSAGE,
    )


def test_nothing_that_an_ingest_key_may_ask_leads_to_a_handoff() -> None:
    core = build_schema()._schema
    roots = [(core.query_type, INGEST_FIELDS["query"]), (core.mutation_type, INGEST_FIELDS["mutation"])]
    reached, waiting = set[str](), list[GraphQLNamedType]()
    for root, names in roots:
        assert root is not None
        waiting += [get_named_type(root.fields[name].type) for name in names]
    while waiting:
        kind = waiting.pop()
        if kind.name in reached:
            continue
        reached.add(kind.name)
        if isinstance(kind, GraphQLUnionType | GraphQLInterfaceType):
            waiting += core.get_possible_types(kind)
        if isinstance(kind, GraphQLObjectType):
            open_ = {name for name in kind.fields if (kind.name, name) not in BEYOND_INGEST}
            waiting += [get_named_type(kind.fields[name].type) for name in open_]

    assert {"Session", "SessionMessage", "SessionBranch", "User"} <= reached
    assert reached.isdisjoint({"Handoff", "Delivery", "Assessment", "TimelineEntry", "SessionSnapshot"})


async def test_a_viewer_gets_no_ingest_key(api: Api) -> None:
    cast = api.cast
    create = """mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { token } }"""
    wanted = {"userId": str(cast.vera.id), "name": "Wallboard", "scope": "INGEST"}

    refused = await api.ask(cast.adam, create, input=wanted)
    made = await api.ask(cast.adam, create, input=wanted | {"scope": "FULL"})

    assert refused.refusal() == (
        "BAD_USER_INPUT",
        "Vera is a viewer, and viewers feed no sessions in. Make it a key of scope FULL.",
    )
    assert made.only()["token"].startswith("hk_")


async def test_an_ingest_key_starts_sessions_for_any_responder_whoever_its_user_is(api: Api) -> None:
    cast = api.cast
    keys = [await cast.make_key(user, ApiKeyScope.INGEST) for user in (cast.adam, cast.alice)]

    answers = [
        await api.ask_with(key.token, START, ownerId=str(owner.id))
        for key in keys
        for owner in (cast.bob, cast.olivia)
    ]

    owners = [{"session": {"owner": {"name": name}}} for name in ("Bob", "Olivia")]
    assert [answer.only() for answer in answers] == owners * 2


async def test_a_full_key_starts_sessions_for_others_only_where_its_user_may(api: Api) -> None:
    cast = api.cast
    admins, engineers = await cast.make_key(cast.adam), await cast.make_key(cast.alice)

    allowed, refused = [
        await api.ask_with(key.token, START, ownerId=str(cast.bob.id)) for key in (admins, engineers)
    ]

    assert allowed.only() == {"session": {"owner": {"name": "Bob"}}}
    assert refused.refusal() == ("FORBIDDEN", "Admin access required to start a session for somebody else")


async def test_an_ingest_key_starts_no_session_for_who_may_have_none(api: Api) -> None:
    cast = api.cast
    key = await cast.make_key(cast.alice, ApiKeyScope.INGEST)
    before = await cast.last_event()

    answers = [
        await api.ask_with(key.token, START, ownerId=str(user.id))
        for user in (cast.vera, cast.ina, cast.charlie)
    ]

    assert [answer.refusal() for answer in answers] == [
        ("BAD_USER_INPUT", "ownerId is a viewer, who only reads. Name an owner, admin or engineer."),
        ("BAD_USER_INPUT", "ownerId is a user who cannot sign in any more."),
        ("NOT_FOUND", "No user of your account has this id."),
    ]
    assert await cast.last_event() == before


async def test_an_ingest_key_of_who_became_a_viewer_starts_nothing(api: Api) -> None:
    cast = api.cast
    key = await cast.make_key(cast.alice, ApiKeyScope.INGEST)
    await cast.change(cast.alice, role=Role.VIEWER)

    answer = await api.ask_with(key.token, START, ownerId=str(cast.bob.id))

    assert answer.refusal() == ("FORBIDDEN", "Engineer or admin access required")


async def test_no_other_text_is_a_key(api: Api) -> None:
    cast = api.cast
    token = (await cast.make_key(cast.alice)).token
    bobs = (await cast.make_key(cast.bob)).token
    head, key_id, secret = token.split("_", 2)
    texts = {
        "another's secret": f"{head}_{key_id}_{bobs.split('_', 2)[2]}",
        "another's id": f"{head}_{bobs.split('_', 2)[1]}_{secret}",
        "an unknown id": f"{head}_{new_id().hex}_{secret}",
        "a part of it": token[:-1],
        "more than it": f"{token}A",
        "its name alone": "hk_",
        "capitals": f"hk_{key_id.upper()}_{secret}",
        "no letters": f"hk_{key_id}_{'é' * 43}",
    }

    answers = {what: await _ask_raw(api, text) for what, text in texts.items()}

    assert {what: answer.refusal() for what, answer in answers.items()} == dict.fromkeys(
        texts, ("UNAUTHENTICATED", NOT_VALID)
    )


async def test_the_key_of_a_deactivated_user_is_refused(api: Api) -> None:
    key = await api.cast.make_key(api.cast.alice)

    await api.cast.change(api.cast.alice, active=False)

    message = "This user cannot sign in any more. Ask an admin of the account."
    assert (await api.ask_with(key.token, ME)).refusal() == ("UNAUTHENTICATED", message)


async def test_the_last_use_is_recorded_at_most_once_a_minute(database_url: str, cast: Cast) -> None:
    key = await cast.make_key(cast.alice)
    now = datetime.now(UTC)
    uses = {"first": now, "a moment later": now + timedelta(seconds=59), "later": now + timedelta(minutes=1)}

    recorded = {}
    for what, at in uses.items():
        node = Node(make_settings(database_url))
        node.key_uses._now = partial(datetime.astimezone, at, UTC)
        async with node.running():
            await node.services.identify(key.token)
        recorded[what] = await last_use(cast, key)

    assert recorded == {"first": now, "a moment later": now, "later": uses["later"]}


async def test_a_use_waits_for_no_lock_of_the_key(api: Api) -> None:
    """Its record is written beside the request: one that cannot be written delays nothing."""
    cast = api.cast
    key = await cast.make_key(cast.alice)

    async with cast.database.transaction(cast.account_id) as tx:
        await tx.execute(update(api_keys).where(api_keys.c.id == key.key.id).values(name="Locked"))
        answer = await api.ask_with(key.token, ME)

    assert answer.only()["name"] == "Alice"

    async def is_recorded() -> bool:
        return await last_use(cast, key) is not None

    await eventually(is_recorded)


async def test_a_key_signs_a_socket_in_and_its_scope_holds_there(live: Live) -> None:
    cast = live.cast
    full = await cast.make_key(cast.bob, ApiKeyScope.FULL)
    ingest = await cast.make_key(cast.bob, ApiKeyScope.INGEST)

    async with open_socket(live.socket_url) as socket:
        await socket.init(full.token)
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        handoff_id = await live.escalate_new()
        assert (await pushed.next_event())["handoff"]["id"] == handoff_id
    async with open_socket(live.socket_url) as socket:
        await socket.init(ingest.token)
        assert await (await socket.subscribe(ME)).next_event() == {"name": "Bob", "role": "ENGINEER"}
        assert await (await socket.subscribe(ESCALATIONS)).refusal() == "FORBIDDEN"


async def test_a_socket_with_a_key_that_is_not_valid_is_closed(live: Live) -> None:
    key = await live.cast.make_key(live.cast.bob)

    async with open_socket(live.socket_url) as socket:
        await socket.begin(key.token[:-1])

        assert await socket.close_code() == 4403


async def last_use(cast: Cast, key: NewApiKey) -> datetime | None:
    """Return when a key was last used, as the database has it."""
    async with cast.database.reading(cast.account_id) as tx:
        found: datetime | None = await tx.fetch_value(
            select(api_keys.c.last_used_at).where(api_keys.c.id == key.key.id)
        )
        return found


async def _ask_raw(api: Api, token: str) -> Answer:
    """Ask with a token that may hold any letters."""
    headers = {b"Authorization": f"Bearer {token}".encode()}
    response = await api.http.post("/graphql", json={"query": ME}, headers=headers)
    payload: dict[str, Any] = response.json()
    return Answer(payload.get("data"), payload["errors"])
