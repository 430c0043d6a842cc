"""Requests that ask for one operation and nothing else, as most do.

They are read and answered past Strawberry's view, which looks at each for all that it might be besides: a
batch, a form with files, a browser that wants a page, a stream of events. Whatever is not plainly one
operation is left to that view, which says what is wrong with it.
"""

from dataclasses import dataclass
from typing import Any

import orjson
from strawberry.types.graphql import OperationType

from server.http_rules import BoundedRequest

KINDS = frozenset({OperationType.QUERY, OperationType.MUTATION})


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """What a request asks for."""

    query: str | None
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None


async def read_plain(request: BoundedRequest) -> PlainRequest | None:
    """Read a request whose headers were checked; None for one that is not plain.

    Raises:
        HTTPException: the body is too long.
    """
    if request.method != "POST" or "text/event-stream" in request.header(b"accept").lower():
        return None
    try:
        sent = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return None
    return _plain(sent) if isinstance(sent, dict) else None


def _plain(sent: dict[str, Any]) -> PlainRequest | None:
    query, name = sent.get("query"), sent.get("operationName")
    variables, extensions = sent.get("variables"), sent.get("extensions")
    for text in (query, name):
        if not isinstance(text, str | None):
            return None
    for members in (variables, extensions):
        if not isinstance(members, dict | None):
            return None
    return PlainRequest(query, variables, name, extensions)
