"""Who may ask over HTTP: pages of which origins, with which method, and with a token."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select

from db.models import sessions
from server.http_rules import GRAPHQL_JSON
from tests.cast import Cast
from tests.client import Api, running_api
from tests.feeds import faults, rename_table
from tests.raw_http import ANSWERED, ASKED, JSON, refusal

START = 'mutation { startSession(input: { problemSummary: "VPN" }) { session { id } } }'
ORIGIN = "https://app.msp.example"


@pytest.fixture
def engine() -> str:
    """The engine has no part in this."""
    return "sqlite"


@pytest.fixture
async def closed(database_url: str, cast: Cast) -> AsyncIterator[Api]:
    """The application outside demo mode, with pages of another origin allowed."""
    async with running_api(database_url, cast, demo=False, allowed_origins=[ORIGIN]) as api:
        yield api


@pytest.mark.parametrize("header", ["Authorization", "X-Requested-With", "Apollo-Require-Preflight"])
async def test_a_get_that_another_site_cannot_have_made_is_answered(api: Api, header: str) -> None:
    response = await api.http.get("/graphql", params=ASKED, headers={header: "x"})

    assert (response.status_code, response.json()) == (200, ANSWERED)


@pytest.mark.parametrize("accept", ["*/*", JSON, "text/event-stream", "text/html"])
async def test_a_get_that_another_site_could_have_made_is_refused(api: Api, accept: str) -> None:
    response = await api.http.get("/graphql", params=ASKED, headers={"Accept": accept})

    assert refusal(response) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON, "text/event-stream"])
async def test_nothing_is_changed_by_a_get(api: Api, accept: str) -> None:
    bearer = f"Bearer {api.token(api.cast.alice)}"

    response = await api.http.get(
        "/graphql", params={"query": START}, headers={"Authorization": bearer, "Accept": accept}
    )

    assert "startSession" not in response.text
    assert "mutation" in response.text
    assert response.status_code == (200 if accept == "text/event-stream" else 400)
    async with api.node.database.system_reading() as tx:
        assert await tx.connection.scalar(select(func.count()).select_from(sessions)) == 0


@pytest.mark.parametrize(
    "more",
    [
        {"variables": "[]"},
        {"variables": "{"},
        {"variables": "1"},
        {"extensions": "[]"},
        {"extensions": "\x00"},
        {"operationName": "Other"},
    ],
)
async def test_parameters_of_a_get_that_cannot_be_used_are_refused(api: Api, more: dict[str, str]) -> None:
    response = await api.http.get("/graphql", params=ASKED | more, headers={"Accept": GRAPHQL_JSON})

    assert refusal(response) == (400, "BAD_USER_INPUT")


async def test_pages_of_an_allowed_origin_may_ask_with_a_token(closed: Api) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    allowed = await closed.http.options("/graphql", headers={"Origin": ORIGIN} | asked)
    answer = await closed.http.post("/graphql", json=ASKED, headers={"Origin": ORIGIN})

    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert allowed.headers["access-control-allow-methods"] == "GET, POST"
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in allowed.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example"])
async def test_pages_of_other_origins_may_not(closed: Api, origin: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    refused = await closed.http.options("/graphql", headers={"Origin": origin} | asked)
    answer = await closed.http.post("/graphql", json=ASKED, headers={"Origin": origin})

    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    assert "access-control-allow-origin" not in answer.headers


async def test_without_allowed_origins_no_other_page_may_ask(api: Api) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Origin": ORIGIN}

    refused = await api.http.options("/graphql", headers=asked)
    answer = await api.http.post("/graphql", json=ASKED, headers={"Origin": ORIGIN})

    assert refusal(refused) == (405, "BAD_USER_INPUT")
    assert not any(name.startswith("access-control") for name in (*refused.headers, *answer.headers))


@pytest.mark.parametrize("query", ["{ __typename }", "{ __schema { types { name } } }", "{ nothing }", "{"])
async def test_outside_demo_mode_nothing_is_answered_without_a_token(closed: Api, query: str) -> None:
    for token in (None, "no token", closed.token(closed.cast.ina)):
        answer = await closed.ask_with(token, query)

        assert (answer.data, answer.codes) == (None, ["UNAUTHENTICATED"])


async def test_outside_demo_mode_whoever_is_known_may_look_at_the_schema(closed: Api) -> None:
    answer = await closed.ask(closed.cast.vera, "{ __schema { queryType { name } } }")

    assert answer.only() == {"queryType": {"name": "Query"}}


@pytest.mark.parametrize("path", ["/graphql", "/explorer/index.html", "/explorer/"])
async def test_outside_demo_mode_there_is_no_explorer(closed: Api, path: str) -> None:
    response = await closed.http.get(path, headers={"Accept": "text/html"})

    assert response.status_code == 404
    assert "html" not in response.headers["content-type"]


async def test_the_explorer_loads_nothing_from_elsewhere(api: Api) -> None:
    page = await api.http.get("/graphql", headers={"Accept": "text/html"})

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http" not in page.text.replace("http-equiv", "")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON, "text/event-stream"])
async def test_without_a_database_the_answer_is_json_too(
    closed: Api, caplog: pytest.LogCaptureFixture, accept: str
) -> None:
    headers = {"Authorization": f"Bearer {closed.token(closed.cast.alice)}", "Accept": accept}
    await rename_table(closed.cast.database, "users", "gone")

    response = await closed.http.post("/graphql", json=ASKED, headers=headers)

    assert response.status_code == 500
    assert response.headers["content-type"].startswith(GRAPHQL_JSON if accept == GRAPHQL_JSON else JSON)
    message = "Something went wrong on the server. It was logged."
    assert response.json() == {"errors": [{"message": message, "extensions": {"code": "INTERNAL"}}]}
    assert faults(caplog) == ["request not answered"]
