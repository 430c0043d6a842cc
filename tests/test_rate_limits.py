"""Nobody can flood the service: mutations and sockets are counted, by user and by account."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from server.process import Node
from server.rate_limits import RateLimits
from server.settings import SettingsError
from tests.cast import Cast
from tests.client import Answer, Api, make_settings, running_api
from tests.live import running_server
from tests.servers.processes import free_port
from tests.servers.valkey import ValkeyServer
from tests.sockets import open_socket
from tests.terminal import SECRET, Terminal

SET = """
mutation { updateNotificationPreferences(input: { quietReminders: true }) { preferences { quietReminders } } }
"""
THREE = """
mutation {
  a: updateNotificationPreferences(input: {}) { preferences { quietReminders } }
  b: updateNotificationPreferences(input: {}) { preferences { quietReminders } }
  c: updateNotificationPreferences(input: {}) { preferences { quietReminders } }
}
"""
DONE = {"updateNotificationPreferences": {"preferences": {"quietReminders": True}}}
LIMITED = "RATE_LIMITED"
SENTENCE = (
    "HANDOFF_MUTATION_LIMIT, HANDOFF_CONNECT_LIMIT and HANDOFF_STRANGER_LIMIT must be like "
    "50/second;600/minute."
)


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """What nodes share."""
    with ValkeyServer() as server:
        yield server


async def test_a_user_who_does_too_much_is_told_how_long_to_wait(database_url: str, cast: Cast) -> None:
    async with running_api(database_url, cast, mutation_limit="3/hour") as api:
        before = [await api.ask(cast.vera, SET) for _ in range(3)]
        response = await post(api, cast.vera, SET)
        other = await api.ask(cast.bob, SET)

    (error,) = response.json()["errors"]
    wait = error["extensions"]["retryAfter"]
    assert before == [Answer(DONE)] * 3
    assert response.status_code == 200
    assert response.json()["data"] is None
    assert (error["extensions"]["code"], error["path"]) == (LIMITED, ["updateNotificationPreferences"])
    assert 0 < wait <= 3600
    assert error["message"] == f"Too many at once. Try again in {wait} s."
    assert response.headers["retry-after"] == str(wait)
    assert other == Answer(DONE)


async def test_what_is_refused_is_not_done(database_url: str, cast: Cast) -> None:
    async with running_api(database_url, cast, mutation_limit="1/hour") as api:
        await api.ask(cast.alice, SET)
        before = await cast.all_rows()

        refused = await api.ask(cast.alice, SET.replace("true", "false"))

        assert refused.codes == [LIMITED]
        assert await cast.all_rows() == before


async def test_each_mutation_of_a_document_counts(database_url: str, cast: Cast) -> None:
    async with running_api(database_url, cast, mutation_limit="5/hour") as api:
        answers = [await api.ask(cast.alice, THREE) for _ in range(2)]

    assert [answer.codes for answer in answers] == [[], [LIMITED]]
    assert answers[1].errors[0]["path"] == ["c"]


async def test_the_users_of_an_account_share_a_limit(database_url: str, cast: Cast) -> None:
    async with running_api(database_url, cast, mutation_limit="2/hour", account_limit_factor=2) as api:
        first = [(await api.ask(user, SET)).codes for user in (cast.alice, cast.bob, cast.vera, cast.adam)]
        fifth = await api.ask(cast.olivia, SET)
        elsewhere = await api.ask(cast.charlie, SET)

    assert first == [[]] * 4
    assert fifth.codes == [LIMITED]
    assert elsewhere == Answer(DONE)


async def test_one_who_never_stops_asking_uses_up_their_own_share_alone(
    database_url: str, cast: Cast
) -> None:
    async with running_api(database_url, cast, mutation_limit="2/hour", account_limit_factor=2) as api:
        asked = [(await api.ask(cast.alice, SET)).codes for _ in range(10)]
        others = [(await api.ask(cast.bob, SET)).codes for _ in range(2)]

    assert asked == [[]] * 2 + [[LIMITED]] * 8
    assert others == [[]] * 2


async def test_queries_are_not_limited(database_url: str, cast: Cast) -> None:
    async with running_api(database_url, cast, mutation_limit="1/hour", connect_limit="1/hour") as api:
        await api.ask(cast.alice, SET)
        limited = await api.ask(cast.alice, SET)

        asked = [await api.ask(cast.alice, "{ me { name } }") for _ in range(30)]

    assert limited.codes == [LIMITED]
    assert asked == [Answer({"me": {"name": "Alice"}})] * 30


async def test_a_mutation_over_a_socket_counts_as_any_other(database_url: str, cast: Cast) -> None:
    async with (
        running_server(database_url, cast, mutation_limit="1/hour") as live,
        live.dashboard(cast.alice) as socket,
    ):
        over_http = await live.ask(cast.alice, SET)
        message = await (await socket.subscribe(SET)).next_message()

    (error,) = message["payload"]["errors"]
    assert over_http == Answer(DONE)
    assert (message["type"], message["payload"]["data"]) == ("next", None)
    assert error["extensions"]["code"] == LIMITED
    assert 0 < error["extensions"]["retryAfter"] <= 3600


async def test_who_opens_too_many_sockets_is_sent_away_with_4429(database_url: str, cast: Cast) -> None:
    async with running_server(database_url, cast, connect_limit="2/hour") as live:
        for _ in range(2):
            async with live.dashboard(cast.alice):
                pass
        async with open_socket(live.socket_url) as socket:
            await socket.begin(live.token(cast.alice))

            assert await socket.close_code() == 4429
        async with live.dashboard(cast.bob):
            pass


async def test_nodes_that_share_a_valkey_count_together(
    database_url: str, cast: Cast, valkey: ValkeyServer
) -> None:
    shared: dict[str, Any] = {"mutation_limit": "3/hour", "broadcast_url": valkey.url}
    async with (
        running_api(database_url, cast, **shared) as first,
        running_api(database_url, cast, **shared) as second,
    ):
        allowed = [(await api.ask(cast.alice, SET)).codes for api in (first, second, first)]
        refused = [(await api.ask(cast.alice, SET)).codes for api in (first, second)]

    assert allowed == [[]] * 3
    assert refused == [[LIMITED]] * 2


@pytest.mark.parametrize("fault", ["stop", "pause"])
async def test_while_valkey_is_away_nobody_is_limited_and_the_log_says_so(
    database_url: str, cast: Cast, valkey: ValkeyServer, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_api(database_url, cast, mutation_limit="1/hour", broadcast_url=valkey.url) as api:
        counted = [(await api.ask(cast.alice, SET)).codes for _ in range(2)]
        await asyncio.to_thread(getattr(valkey, fault))

        uncounted = [await api.ask(cast.alice, SET) for _ in range(2)]

        if fault == "pause":
            valkey.resume()
    said = [record.levelname for record in caplog.records if record.name == "server.rate_limits"]
    assert counted == [[], [LIMITED]]
    assert uncounted == [Answer(DONE)] * 2
    assert said == ["WARNING"] * 2


@pytest.mark.parametrize(
    ("address", "others", "is_one"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::1", "::2", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("testclient", "another", False),
    ],
)
async def test_strangers_of_one_network_of_ipv6_share_a_limit(
    address: str, others: str, *, is_one: bool
) -> None:
    limits = RateLimits("memory://", {}, account_factor=1, strangers="1/hour")

    first = await limits.hit_address("login", address)
    again = await limits.hit_address("login", address)
    other = await limits.hit_address("login", others)

    assert (first, again is None, other is None) == (None, False, not is_one)


@pytest.mark.parametrize("text", ["", "many", "50", "50/fortnight", "50/second;", "-1/second", "0/second"])
@pytest.mark.parametrize("setting", ["mutation_limit", "connect_limit"])
async def test_a_limit_that_cannot_be_read_or_allows_nothing_is_refused(setting: str, text: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Node(make_settings("sqlite:///nowhere.db", **{setting: text}))

    assert str(refusal.value) == SENTENCE


@pytest.mark.usefixtures("bare_machine")
def test_with_a_bad_limit_the_service_does_not_start() -> None:
    words = Terminal(secret=SECRET, mutation_limit="many", port=str(free_port())).refused("serve")

    assert words == SENTENCE


async def post(api: Api, user: Any, document: str) -> Any:  # noqa: ANN401 (httpx's own)
    headers = {"Authorization": f"Bearer {api.token(user)}"}
    return await api.http.post("/graphql", json={"query": document}, headers=headers)
