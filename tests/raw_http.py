"""Requests over HTTP that are sent as they stand, and how they are refused."""

import json
from typing import Any

import httpx

from server.http_rules import GRAPHQL_JSON
from tests.client import Api

JSON = "application/json"
ASKED = {"query": "{ __typename }"}
ANSWERED = {"data": {"__typename": "Query"}}


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of an answer that is one refusal as JSON."""
    assert response.headers["content-type"].partition(";")[0] in (JSON, GRAPHQL_JSON)
    body = response.json()
    assert body.keys() == {"errors"}, body
    (error,) = body["errors"]
    assert error["message"]
    return response.status_code, error["extensions"]["code"]


async def post(api: Api, body: Any, **headers: str) -> httpx.Response:  # noqa: ANN401 (anything JSON)
    """Post a body as JSON, bytes as they stand."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.http.post("/graphql", content=content, headers={"Content-Type": JSON} | named)
