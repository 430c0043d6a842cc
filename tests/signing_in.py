"""The application with an identity provider, for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from server.jwks import KeySet
from tests.cast import Cast
from tests.client import Api, running_api
from tests.servers.provider import AUDIENCE, ISSUER
from tests.sockets import eventually

ME = "{ me { name } }"
INVALID = "Your token is not valid. Get a new one."
ALICE = {"email": "alice@northwind.example"}


class Clock:
    """Seconds that pass when the test says so."""

    seconds = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


@asynccontextmanager
async def signing_in(
    database_url: str, cast: Cast, source: str, cache: Path, *, clock: Clock | None = None
) -> AsyncIterator[Api]:
    """Run the application with an identity provider."""
    settings: dict[str, Any] = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwks_cache": cache}
    async with running_api(database_url, cast, jwks=source, **settings) as api:
        if clock is not None:
            keys_of(api)._clock = clock
        yield api


def keys_of(api: Api) -> KeySet:
    """Return the keys that the application knows."""
    keys = api.node.provider_keys
    assert keys is not None
    return keys


async def keys_read(api: Api) -> None:
    """Wait until the application knows keys."""

    async def are_known() -> bool:
        return not keys_of(api).is_empty

    await eventually(are_known)


async def refusal(api: Api, token: str) -> str:
    """Return the message of the refusal that a token gets."""
    answer = await api.ask_with(token, ME)
    assert (answer.data, answer.codes) == (None, ["UNAUTHENTICATED"])
    message: str = answer.errors[0]["message"]
    return message
