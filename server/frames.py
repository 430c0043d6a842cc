"""What a client may send on a socket of graphql-transport-ws, checked before anything acts on it."""

from collections.abc import Callable
from typing import Any

#: Ids of operations are made up by clients; the reference client uses UUIDs.
LONGEST_ID = 128
#: RFC 6455 section 5.5: a close frame holds 125 bytes, two of them the code.
_LONGEST_REASON = 123

Payload = dict[str, Any]


def fault_of(message: object) -> str | None:
    """Return what is wrong with a message, None for nothing; the socket is to be closed with 4400 then."""
    if not isinstance(message, dict):
        return "A message is an object"
    kind = message.get("type")
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    return "Unknown message type" if check is None else check(message)


def close_reason(reason: str) -> str:
    """Return as much of a reason as a close frame can hold."""
    return reason.encode()[:_LONGEST_REASON].decode(errors="ignore")


def _check_payload(message: Payload) -> str | None:
    is_object = isinstance(message.get("payload", {}), dict)
    return None if is_object else "payload is an object"


def _check_id(message: Payload) -> str | None:
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= LONGEST_ID:
        return f"id is a string of 1 to {LONGEST_ID} characters"
    return None


def _check_subscribe(message: Payload) -> str | None:
    payload = message.get("payload")
    if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
        return "payload holds a query"
    for name, kinds in _OPTIONAL.items():
        if not isinstance(payload.get(name), kinds):
            return f"{name} is of the wrong type"
    return _check_id(message)


_OPTIONAL = {
    "variables": dict | None,
    "operationName": str | None,
    "extensions": dict | None,
}
_CHECKS: dict[str, Callable[[Payload], str | None]] = {
    "connection_init": _check_payload,
    "ping": _check_payload,
    "pong": _check_payload,
    "subscribe": _check_subscribe,
    "complete": _check_id,
}
