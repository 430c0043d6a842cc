"""How each kind of server is asked, and what its answer means."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import orjson

from bench.peers.documents import CLAIM, CREATE, POSTGRAPHILE_QUEUE, QUEUE
from bench.peers.rows import Account, Escalation
from server.auth import Tokens
from tests.client import SECRET

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """Requests of one kind."""

    requests: Sequence[bytes]
    mark: bytes  #: of a good answer


class Dialect(Protocol):
    """How a server is asked."""

    def queue(self, account: Account, first: int) -> Ask:
        """Ask for the first handoffs of the queue, each with its session."""

    def create(self, sessions: Sequence[Escalation]) -> Ask:
        """Escalate each of the sessions."""

    def claim(self, handoffs: Sequence[Escalation]) -> Ask:
        """Claim each of the handoffs."""

    def rows(self, body: bytes) -> list[Node]:
        """Return the handoffs of an answer to `queue`, in the words of Handoff's own answer.

        Instants are written in one way: `Z` and `+00:00` mean the same.
        """


class GraphQL:
    """Handoff and every peer that has its schema: the same bytes for all."""

    def queue(self, account: Account, first: int) -> Ask:
        """Ask with a variable, as clients do."""
        return Ask([_post(account, "/graphql", _body(QUEUE, first=first))], b'"edges":[{')

    def create(self, sessions: Sequence[Escalation]) -> Ask:
        """Ask for each session's handoff."""
        requests = [
            _post(e.account, "/graphql", _body(CREATE, input=_wanted(e.session_id))) for e in sessions
        ]
        return Ask(requests, b'"CreateHandoffSuccess"')

    def claim(self, handoffs: Sequence[Escalation]) -> Ask:
        """Ask for each handoff."""
        requests = [_post(e.account, "/graphql", _body(CLAIM, id=str(e.handoff_id))) for e in handoffs]
        return Ask(requests, b'"ClaimHandoffSuccess"')

    def rows(self, body: bytes) -> list[Node]:
        """Return the nodes."""
        edges = orjson.loads(body)["data"]["queue"]["edges"]
        return [_with_plain_instants(edge["node"]) for edge in edges]


class Rest:
    """FastAPI: the same fields, as a list."""

    def queue(self, account: Account, first: int) -> Ask:
        """Ask for a page."""
        return Ask([_head(account, f"GET /queue?first={first}") + b"\r\n"], b'[{"id"')

    def create(self, sessions: Sequence[Escalation]) -> Ask:
        """Ask for each session's handoff."""
        requests = [
            _post(e.account, f"/sessions/{e.session_id}/handoffs", orjson.dumps(_WISH)) for e in sessions
        ]
        return Ask(requests, b'"handoff":')

    def claim(self, handoffs: Sequence[Escalation]) -> Ask:
        """Ask for each handoff."""
        requests = [_post(e.account, f"/handoffs/{e.handoff_id}/claim", b"{}") for e in handoffs]
        return Ask(requests, b'"CLAIMED"')

    def rows(self, body: bytes) -> list[Node]:
        """Return the items."""
        return [_with_plain_instants(node) for node in orjson.loads(body)]


class PostGraphile:
    """PostGraphile: a schema made from the tables, with names of its own."""

    def queue(self, account: Account, first: int) -> Ask:
        """Ask in its words."""
        document = _body(POSTGRAPHILE_QUEUE, account=str(account.id), first=first)
        return Ask([_post(account, "/graphql", document)], b'"nodes":[{')

    def create(self, sessions: Sequence[Escalation]) -> Ask:
        """Its mutations change single rows: none does what is asked for."""
        raise NotImplementedError

    def claim(self, handoffs: Sequence[Escalation]) -> Ask:
        """Its mutations change single rows: none does what is asked for."""
        raise NotImplementedError

    def rows(self, body: bytes) -> list[Node]:
        """Return the rows in Handoff's words."""
        nodes = orjson.loads(body)["data"]["queue"]["nodes"]
        return [_from_columns(node) for node in nodes]


_WISH = {"intent": "ESCALATE", "priority": "HIGH", "notes": "The tunnel drops after the rekey."}
_PRIORITIES = ["URGENT", "HIGH", "NORMAL", "LOW"]  # by their ranks in the table


def _wanted(session_id: UUID) -> dict[str, str]:
    return {"sessionId": str(session_id), **_WISH}


def _body(document: str, **variables: object) -> bytes:
    return orjson.dumps({"query": document, "variables": variables})


def _post(account: Account, path: str, body: bytes) -> bytes:
    length = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return _head(account, f"POST {path}") + length.encode() + body


def _head(account: Account, line: str) -> bytes:
    """Return headers that sign in with Handoff, and that the peers believe."""
    if account.id not in _tokens:
        _tokens[account.id] = Tokens(SECRET).sign(account.actor_id, valid_for=timedelta(hours=12))
    headers = {
        "host": "127.0.0.1",
        "accept": "application/json",
        "authorization": f"Bearer {_tokens[account.id]}",
        "x-account": str(account.id),
        "x-user": str(account.actor_id),
    }
    return "\r\n".join([f"{line} HTTP/1.1", *map(": ".join, headers.items()), ""]).encode()


_tokens: dict[UUID, str] = {}


def _from_columns(node: Node) -> Node:
    session = node.pop("session")
    session["branching"] = session.pop("activeBranchId") is not None
    node["priority"] = _PRIORITIES[node["priority"]]
    return _with_plain_instants({**node, "session": session})


def _with_plain_instants(node: Node) -> Node:
    for each in (node, node["session"]):
        for name, value in each.items():
            if name.endswith("At") and value is not None:
                each[name] = datetime.fromisoformat(value).isoformat()
    return node
