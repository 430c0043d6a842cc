"""Whatever is sent, the service answers in words of its API: never a fault, never a word of its innards."""

import json
import random
import re
import time
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.client import Api
from tests.nonsense import Nonsense

pytestmark = pytest.mark.unmeasured

ROLES = ("alice", "olivia", "adam", "vera", "ina", "charlie", "nobody")
LONG_SECONDS = 120
#: The codes that `schema/errors.py` promises, but for INTERNAL.
CODES = {"UNAUTHENTICATED", "FORBIDDEN", "BAD_USER_INPUT", "NOT_FOUND", "RATE_LIMITED"}
INNARDS = re.compile(
    r"Traceback|sqlalchemy|asyncpg|sqlite|strawberry|graphql\.|object at 0x|\.py\b|recursion|SELECT |"
    r"\bNone\b|<class|Error\(|set_int_max|codec"
)


@pytest.fixture
async def known_ids(api: Api) -> list[str]:
    """Ids of both accounts."""
    own, other = [await api.cast.one_of_each(user) for user in (api.cast.alice, api.cast.charlie)]
    return [*own.values(), *own.values(), *other.values()]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(dice=st.randoms(use_true_random=False))
async def test_no_document_and_no_variables_break_the_service(
    api: Api, known_ids: list[str], dice: random.Random
) -> None:
    for _ in range(4):
        await ask_nonsense(api, known_ids, dice)


@pytest.mark.long
@pytest.mark.timeout(LONG_SECONDS + 60)
async def test_two_minutes_of_nonsense_break_nothing(api: Api, known_ids: list[str]) -> None:
    seed = random.SystemRandom().getrandbits(32)
    dice = random.Random(seed)  # noqa: S311 (no secret)
    until = time.monotonic() + LONG_SECONDS
    asked = 0
    while time.monotonic() < until:
        try:
            await ask_nonsense(api, known_ids, dice)
        except AssertionError as error:
            error.add_note(f"seed {seed}, request {asked}")
            raise
        asked += 1
    ready = await api.http.get("/readyz")

    assert asked > 100
    assert ready.status_code == 200


async def ask_nonsense(api: Api, ids: list[str], dice: random.Random) -> None:
    """Ask something that need not make sense, as somebody, and look at the answer."""
    user = getattr(api.cast, dice.choice(ROLES), None)
    request = Nonsense(dice, ids).request()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if user is not None:
        headers["Authorization"] = f"Bearer {api.token(user)}"

    response = await api.http.post("/graphql", content=json.dumps(request), headers=headers)

    check(request, response)


def check(request: dict[str, Any], response: httpx.Response) -> None:
    """Hold an answer against what is promised of every answer."""
    assert response.status_code in {200, 400}, (request, response.text)
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    payload = response.json()
    assert set(payload) <= {"data", "errors"}, (request, payload)
    for error in payload.get("errors", []):
        assert error["extensions"]["code"] in CODES, (request, error)
        assert INNARDS.search(error["message"]) is None, (request, error)
    assert payload.get("errors") or payload["data"] is not None, (request, payload)
