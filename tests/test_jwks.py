"""The keys of an identity provider: it rotates them, publishes nonsense, and goes away."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from server import jwks
from tests.cast import Cast
from tests.client import Api
from tests.live import running_server
from tests.raw_http import JSON
from tests.servers.provider import AUDIENCE, ISSUER, Provider, public_key
from tests.signing_in import ALICE, INVALID, ME, Clock, keys_read, refusal, signing_in
from tests.sockets import QUEUE_CHANGES, eventually, open_socket

AWAY = "The identity provider cannot be reached to check your token. Try again later."
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 (to be refused)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where the keys are kept."""
    return tmp_path / "var" / "jwks.json"


@pytest.fixture
async def api(database_url: str, cast: Cast, provider: Provider, cache: Path) -> AsyncIterator[Api]:
    """The application, with the provider's keys read."""
    async with signing_in(database_url, cast, provider.url, cache) as api:
        await keys_read(api)
        yield api


async def test_a_new_key_is_found_and_an_old_one_forgotten(api: Api, provider: Provider) -> None:
    old = provider.sign(**ALICE)
    before = await api.ask_with(old, ME)

    provider.rotate(public_key("second", "ES256"))
    new = await api.ask_with(provider.sign("second", "ES256", **ALICE), ME)

    assert [before.only(), new.only()] == [{"name": "Alice"}] * 2
    assert await refusal(api, old) == INVALID


async def test_names_that_nobody_knows_cost_one_request_in_half_a_minute(
    database_url: str, cast: Cast, provider: Provider, cache: Path
) -> None:
    clock = Clock()
    async with signing_in(database_url, cast, provider.url, cache, clock=clock) as api:
        await keys_read(api)
        requests = []
        for seconds in (0, 10, 19.9, 0.2):
            clock.seconds += seconds
            for number in range(3):
                await refusal(api, provider.sign(f"unknown {number}", **ALICE))
            requests.append(provider.requests)

    assert requests == [2, 2, 2, 3]


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (500, {"keys": []}),
        (302, {"keys": [public_key("second", "ES256")]}),
        (200, b"no JSON"),
        (200, b"[" * 100_000),
        (200, []),
        (200, {"keys": {}}),
        (200, {"keys": [None, {"kty": "RSA"}, {"kid": "second", "kty": "oct", "k": "c2VjcmV0"}]}),
        (200, {"keys": [public_key("second", "ES256", use="enc")]}),
        (200, {"keys": [public_key("second", "ES256", kid=None)]}),
        (200, {"keys": [public_key("second", "RS256", alg="RS512")]}),
        (200, {"keys": [public_key("second", "RS256", WEAK)]}),
    ],
)
async def test_keys_that_cannot_be_used_change_nothing(
    api: Api,
    provider: Provider,
    status: int,
    document: Any,  # noqa: ANN401
) -> None:
    provider.status, provider.document = status, document

    unknown = await refusal(api, provider.sign("second", "ES256", **ALICE))
    known = await api.ask_with(provider.sign(**ALICE), ME)

    assert provider.requests == 2
    assert (unknown, known.only()) == (INVALID, {"name": "Alice"})


async def test_the_last_keys_are_kept_while_the_provider_is_away(api: Api, provider: Provider) -> None:
    provider.stop()

    known = await api.ask_with(provider.sign(**ALICE), ME)
    unknown = await refusal(api, provider.sign("second", **ALICE))
    still = await api.ask_with(provider.sign(**ALICE), ME)

    assert (known.only(), unknown, still.only()) == ({"name": "Alice"}, INVALID, {"name": "Alice"})


async def test_a_start_while_the_provider_is_away_finds_the_kept_keys(
    database_url: str, cast: Cast, provider: Provider, cache: Path
) -> None:
    async with signing_in(database_url, cast, provider.url, cache) as api:
        await keys_read(api)
        await eventually(lambda: _is_there(cache))
    provider.stop()

    async with signing_in(database_url, cast, provider.url, cache) as api:
        answer = await api.ask_with(provider.sign(**ALICE), ME)

    assert answer.only() == {"name": "Alice"}
    assert _mode(cache) == 0o600


@pytest.mark.parametrize("kept", ["", "[]", "[" * 100_000, json.dumps({"source": "other", "document": {}})])
async def test_a_start_without_any_keys_says_that_the_provider_is_away(
    database_url: str, cast: Cast, provider: Provider, cache: Path, kept: str
) -> None:
    provider.stop()
    _write(cache, kept)

    async with signing_in(database_url, cast, provider.url, cache) as api:
        headers = {"Authorization": f"Bearer {provider.sign(**ALICE)}"}
        away = [
            await api.http.post("/graphql", json={"query": query}, headers=headers | {"Accept": accept})
            for query, accept in ((ME, JSON), (QUEUE_CHANGES, "text/event-stream"))
        ]
        own = await api.ask_with(api.token(cast.bob), ME)

    for response in away:
        (error,) = response.json()["errors"]
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert (error["message"], error["extensions"]["code"]) == (AWAY, "UNAVAILABLE")
    assert own.only() == {"name": "Bob"}


async def test_who_opens_a_socket_before_there_are_any_keys_is_told_to_come_again(
    database_url: str, cast: Cast, provider: Provider, cache: Path
) -> None:
    provider.stop()
    of_provider: dict[str, Any] = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwks_cache": cache}

    async with (
        running_server(database_url, cast, jwks=provider.url, **of_provider) as live,
        open_socket(live.socket_url) as socket,
    ):
        await socket.begin(provider.sign(**ALICE))

        assert await socket.close_code() == 1013
        assert socket.connection.close_reason == AWAY


async def test_keys_are_read_again_until_the_provider_answers(
    database_url: str, cast: Cast, provider: Provider, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "RETRY_SECONDS", 0.01)
    provider.stop()
    async with signing_in(database_url, cast, provider.url, cache) as api:
        headers = {"Authorization": f"Bearer {provider.sign(**ALICE)}"}
        early = await api.http.post("/graphql", json={"query": ME}, headers=headers)
        assert early.status_code == 503

        provider.start()
        await keys_read(api)

        assert (await api.ask_with(provider.sign(**ALICE), ME)).only() == {"name": "Alice"}


async def test_a_folder_that_cannot_be_written_costs_only_the_copy(
    database_url: str, cast: Cast, provider: Provider, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    async with signing_in(database_url, cast, provider.url, tmp_path / "file" / "jwks.json") as api:
        await keys_read(api)

        assert (await api.ask_with(provider.sign(**ALICE), ME)).only() == {"name": "Alice"}


async def test_keys_may_stand_in_a_file_which_is_read_again(
    database_url: str, cast: Cast, provider: Provider, cache: Path, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [public_key("first", "RS256")]}))
    async with signing_in(database_url, cast, str(file), cache) as api:
        before = await api.ask_with(provider.sign(**ALICE), ME)
        file.write_text(json.dumps({"keys": [public_key("second", "ES256")]}))
        after = await api.ask_with(provider.sign("second", "ES256", **ALICE), ME)

    assert [before.only(), after.only()] == [{"name": "Alice"}] * 2
    assert provider.requests == 0
    assert _mode(cache) is None


async def _is_there(file: Path) -> bool:
    return _mode(file) is not None


def _mode(file: Path) -> int | None:
    """Return who may read a file, None where there is none."""
    return file.stat().st_mode & 0o777 if file.exists() else None


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
