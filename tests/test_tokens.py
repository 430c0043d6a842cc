"""Tokens are text that anybody can make up: no text does more than be refused."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from resolvers import api_keys
from server.auth import Tokens
from server.process import Node
from server.settings import Settings, SettingsError
from tests.cast import Cast
from tests.client import SECRET, Api, make_settings
from tests.live import Live
from tests.servers.provider import AUDIENCE, ISSUER
from tests.sockets import open_socket
from tests.terminal import Terminal

ME = "{ me { name } }"
INVALID = ("UNAUTHENTICATED", "Your token is not valid. Get a new one.")
NESTED = "[" * 10_000


def test_a_token_names_its_user_and_says_when_it_was_issued_and_ends(cast: Cast) -> None:
    before = datetime.now(UTC)
    token = Tokens(SECRET).sign(cast.alice.id, valid_for=timedelta(hours=1))

    proof = Tokens(SECRET).read(token)

    assert proof.user_id == cast.alice.id
    assert proof.email is None
    assert proof.issued_at is not None
    assert before <= proof.issued_at <= datetime.now(UTC)
    assert timedelta(minutes=59) < proof.expires_at - proof.issued_at <= timedelta(hours=1)


def test_an_address_in_a_token_of_our_own_signs_nobody_in(cast: Cast) -> None:
    token = _sign(sub=str(cast.alice.id), email=cast.olivia.email)

    assert Tokens(SECRET).read(token).email is None


async def test_a_token_signed_by_a_node_whose_clock_is_ahead_is_taken(api: Api) -> None:
    ahead = datetime.now(UTC) + timedelta(seconds=5)

    answer = await api.ask_with(_sign(sub=str(api.cast.alice.id), iat=ahead), ME)

    assert answer.only() == {"name": "Alice"}


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 10**30},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": [1]},
        {"iat": "yesterday"},
        {"iat": float("inf")},
        {"iat": {}},
        {"nbf": float("inf")},
        {"aud": {"handoff": True}},
        {"sub": 1},
        {"sub": "alice@northwind.example"},
        {"sub": "\ud800"},
    ],
)
async def test_a_claim_that_makes_no_sense_is_refused(api: Api, claims: dict[str, Any]) -> None:
    good = {"sub": str(api.cast.alice.id), "aud": "handoff", "exp": 4102444800}

    assert (await api.ask_with(_signed_by_hand({"alg": "HS256"}, good | claims), ME)).refusal() == INVALID


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "\x00",
        "eyJhbGciOiJIUzI1NiJ9",
        f"{base64.urlsafe_b64encode(NESTED.encode()).decode()}.e30.x",
        f"{base64.urlsafe_b64encode(b'[]').decode()}.e30.x",
        f"{base64.urlsafe_b64encode(b'null').decode()}.e30.x",
        "x" * 1_000_000,
    ],
)
async def test_text_that_is_no_token_is_refused(api: Api, token: str) -> None:
    assert (await api.ask_with(token, ME)).refusal() == INVALID


async def test_a_header_that_names_no_rule_of_ours_is_refused(api: Api) -> None:
    claims = {"sub": str(api.cast.alice.id), "aud": "handoff", "exp": 4102444800}
    headers: list[dict[str, Any]] = [
        {},
        {"alg": "none"},
        {"alg": "RS256"},
        {"alg": ["HS256"]},
        {"alg": "HS256", "crit": ["b64"], "b64": False},
    ]

    answers = [await api.ask_with(_signed_by_hand(header, claims), ME) for header in headers]

    assert [answer.refusal() for answer in answers] == [INVALID] * len(headers)


async def test_a_socket_with_text_that_is_no_token_is_closed(live: Live) -> None:
    nested = f"{base64.urlsafe_b64encode(NESTED.encode()).decode()}.e30.x"
    codes = []
    for token in ("x" * 100_000, nested, "hk_", "\u2603"):
        async with open_socket(live.socket_url) as socket:
            await socket.begin(token)
            codes.append(await socket.close_code())

    assert codes == [4403] * 4


async def test_no_secret_stands_in_what_is_written_to_a_log(cast: Cast) -> None:
    made = await cast.make_key(cast.alice)
    read = api_keys.read_token(made.token)

    assert read is not None
    assert read.secret not in f"{made!r} {read!r}"


def test_keys_are_managed_from_the_command_line(database_url: str) -> None:
    terminal = Terminal(database_url=database_url, secret=SECRET)
    terminal.ask("account", "add", "Contoso")
    terminal.ask("user", "add", "bo@contoso.example", "--account", "Contoso", "--name", "Bo")

    token = terminal.ask("key", "add", "bo@contoso.example", "--name", "Assistant", "--scope", "ingest")
    read = api_keys.read_token(token.rstrip("\n"))
    assert read is not None
    listed = terminal.ask("key", "list", "--account", "Contoso")
    revoked = [terminal.ask("key", "revoke", str(read.key_id)) for _ in range(2)]
    listed_again = terminal.ask("key", "list", "--account", "Contoso")

    assert listed == f"{read.key_id}\tINGEST\tactive\tnever\tbo@contoso.example\tAssistant\t-\n"
    assert revoked == ["Revoked “Assistant”.\n", "“Assistant” was revoked already.\n"]
    assert listed_again == listed.replace("active", "revoked")
    unknown = "0198c0de-7a11-7e57-8000-000000000000"
    assert terminal.refused("key", "revoke", unknown) == f"No API key has the id {unknown}."


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"JWKS": "https://login.example/keys"}, "HANDOFF_JWKS needs HANDOFF_JWT_ISSUER and"),
        ({"JWKS": "keys.json", "JWT_ISSUER": ISSUER}, "HANDOFF_JWKS needs HANDOFF_JWT_ISSUER and"),
        ({"JWKS": "http://login.example/keys"}, "HANDOFF_JWKS: must begin with https://"),
    ],
)
def test_settings_that_would_let_strangers_in_are_refused(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], message: str
) -> None:
    for name, value in {"SECRET": SECRET, **settings}.items():
        monkeypatch.setenv(f"HANDOFF_{name}", value)

    with pytest.raises(SettingsError, match=message):
        Settings.load()


def test_keys_in_a_file_that_is_not_there_are_told_at_the_start(tmp_path: Path) -> None:
    settings = make_settings(
        f"sqlite:///{tmp_path / 'handoff.db'}",
        jwks=str(tmp_path / "keys.json"),
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
    )

    with pytest.raises(SettingsError, match=r"HANDOFF_JWKS: there is no such file\."):
        Node(settings)


def _sign(**claims: Any) -> str:  # noqa: ANN401
    """Sign a token that is good but for what is given."""
    return jwt.encode({"aud": "handoff", "exp": datetime.now(UTC) + timedelta(hours=1)} | claims, SECRET)


def _signed_by_hand(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Sign whatever JSON can say with the right secret."""
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{_encoded(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
