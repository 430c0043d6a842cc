"""Whether all say the same: a way that does not is not measured."""

import http.client
import socket

from bench.peers.asking import Node
from bench.peers.laboratory import Laboratory
from bench.peers.rows import Account
from bench.peers.servers import Server


def equal_ones(lab: Laboratory, servers: list[Server], account: Account, *, first: int) -> list[Server]:
    """Return the servers that answer as the first one does; remark upon the others.

    Raises:
        AssertionError: the first one does not answer with as many handoffs as it was asked for.
    """
    if not servers:
        return []
    wanted = _queue(servers[0], account, first)
    if len(wanted) != first:
        raise AssertionError(f"{servers[0].name} answered with {len(wanted)} handoffs, not {first}")
    equal = [servers[0]]
    for server in servers[1:]:
        found = _queue(server, account, first)
        if found == wanted:
            equal.append(server)
        else:
            lab.remark(f"{server.name} is not measured: it answers {_difference(found, wanted)}")
    return equal


def exchange(port: int, request: bytes) -> bytes:
    """Send a request on a connection of its own and return the answer's body."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.read()


def _queue(server: Server, account: Account, first: int) -> list[Node] | str:
    body = exchange(server.port, server.dialect.queue(account, first).requests[0])
    try:
        return server.dialect.rows(body)
    except (LookupError, TypeError, ValueError):
        return body.decode(errors="replace")


def _difference(found: list[Node] | str, wanted: list[Node] | str) -> str:
    if isinstance(found, str) or isinstance(wanted, str):
        return str(found)[:500]
    pairs = (pair for pair in zip(found, wanted, strict=False) if pair[0] != pair[1])
    return f"{len(found)} handoffs, not {len(wanted)}; first difference: {next(pairs, None)}"
