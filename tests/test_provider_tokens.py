"""Which tokens of an identity provider sign somebody in, and whom."""

import base64
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from db.session import new_id
from tests.cast import Cast
from tests.client import Api
from tests.servers.provider import AUDIENCE, ISSUER, Provider, public_key
from tests.signing_in import ALICE, INVALID, ME, keys_read, refusal, signing_in

EXPIRED = "Your token has expired. Get a new one."
LOCKED_OUT = "This user cannot sign in any more. Ask an admin of the account."


@pytest.fixture
async def api(database_url: str, cast: Cast, provider: Provider, tmp_path: Path) -> AsyncIterator[Api]:
    """The application, with the provider's keys read."""
    async with signing_in(database_url, cast, provider.url, tmp_path / "jwks.json") as api:
        await keys_read(api)
        yield api


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_signs_in_the_user_with_its_verified_address(
    api: Api, provider: Provider, algorithm: str
) -> None:
    provider.rotate(public_key("second", algorithm))

    token = provider.sign("second", algorithm, email="Alice@Northwind.example", email_verified=True)

    assert (await api.ask_with(token, ME)).only() == {"name": "Alice"}


async def test_a_token_signs_in_the_user_whose_id_is_its_subject(api: Api, provider: Provider) -> None:
    bob = str(api.cast.bob.id)

    answers = [
        await api.ask_with(provider.sign(sub=bob, **more), ME)
        for more in ({}, {**ALICE, "email_verified": False}, ALICE)
    ]

    assert [answer.only() for answer in answers] == [{"name": "Bob"}] * 3


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": str(new_id())},
        {"email": "nobody@northwind.example"},
        {**ALICE, "email_verified": False},
        {**ALICE, "email_verified": "false"},
        {**ALICE, "email_verified": None, "sub": "alice", "email": ["alice@northwind.example"]},
        {"email": "ina@northwind.example"},
    ],
)
async def test_a_token_of_nobody_known_is_refused(
    api: Api, provider: Provider, claims: dict[str, Any]
) -> None:
    assert await refusal(api, provider.sign(**claims)) == LOCKED_OUT


async def test_a_token_that_is_not_for_this_service_is_refused(api: Api, provider: Provider) -> None:
    now = datetime.now(UTC)
    stranger = rsa.generate_private_key(65537, 2048)
    tokens = {
        "of another issuer": provider.sign(**ALICE, iss="https://evil.example"),
        "of no issuer": provider.sign(**ALICE, iss=None),
        "for another audience": provider.sign(**ALICE, aud="another"),
        "for our own audience": provider.sign(**ALICE, aud="handoff"),
        "for no audience": provider.sign(**ALICE, aud=None),
        "without an end": provider.sign(**ALICE, exp=None),
        "without a subject": provider.sign(**ALICE, sub=None),
        "not valid yet": provider.sign(**ALICE, nbf=now + timedelta(minutes=1)),
        "issued in the future": provider.sign(**ALICE, iat=now + timedelta(minutes=1)),
        "ending after all times": provider.sign(**ALICE, exp=10**18),
        "signed by another key": provider.sign(**ALICE, key=stranger),
        "of a key without a name": provider.sign(None, **ALICE),
        "of a key that is not known": provider.sign("second", **ALICE),
        "by another rule than its key's": provider.sign("first", "ES256", **ALICE),
        "signed with the public key": _signed_with_public_key(provider),
    }

    answers = {what: await refusal(api, token) for what, token in tokens.items()}

    assert answers == dict.fromkeys(tokens, INVALID)


async def test_the_provider_s_clock_may_be_half_a_minute_off(api: Api, provider: Provider) -> None:
    now = datetime.now(UTC)

    late = await api.ask_with(provider.sign(**ALICE, exp=now - timedelta(seconds=20)), ME)
    early = await api.ask_with(provider.sign(**ALICE, iat=now + timedelta(seconds=20)), ME)
    too_late = await refusal(api, provider.sign(**ALICE, exp=now - timedelta(seconds=40)))

    assert [late.only(), early.only(), too_late] == [{"name": "Alice"}, {"name": "Alice"}, EXPIRED]


async def test_tokens_of_our_own_stay_valid_beside_the_provider_s(api: Api, provider: Provider) -> None:
    answers = [await api.ask_with(token, ME) for token in (api.token(api.cast.bob), provider.sign(**ALICE))]

    assert [answer.only() for answer in answers] == [{"name": "Bob"}, {"name": "Alice"}]


def _signed_with_public_key(provider: Provider) -> str:
    """Take the provider's public key, which everybody has, for a secret (RFC 8725, section 2.1)."""
    secret = json.dumps(provider.document["keys"][0]).encode()
    header = {"alg": "HS256", "typ": "JWT", "kid": "first"}
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", **ALICE, "exp": 4102444800}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{_encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
