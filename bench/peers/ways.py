"""Which servers are compared."""

from collections.abc import Iterator

import click

from bench.peers.asking import PostGraphile, Rest
from bench.peers.packages import GRAPHQL, POSTGRAPHILE
from bench.peers.servers import Handoff, NodePeer, PythonPeer, Way
from server.settings import Settings

MERCURIUS = "mercurius"
STRAWBERRY = "Strawberry, ORM"
HANDOFF = Handoff()
#: Not a peer: what the load itself can reach.
LIMIT = PythonPeer("(a server that does nothing)", "echo")
WRITING_PEERS: list[Way] = [
    # Beyond what its community writes: one statement a mutation, and instants that never become a Date.
    NodePeer("mercurius, tuned", GRAPHQL, "mercurius.mjs", settings={"TUNED": "1"}),
    NodePeer(MERCURIUS, GRAPHQL, "mercurius.mjs"),
    NodePeer("GraphQL Yoga", GRAPHQL, "yoga.mjs"),
    PythonPeer("FastAPI, ORM", "rest", Rest()),
    PythonPeer(STRAWBERRY, "plain_strawberry"),
]
READING_PEERS: list[Way] = [
    *WRITING_PEERS,
    NodePeer("PostGraphile", POSTGRAPHILE, "server.mjs", PostGraphile()),
]
#: The accelerators, in the order in which they are switched off: each way does without one more.
_ACCELERATORS = [
    "HANDOFF_REUSED_ANSWERS",
    "HANDOFF_EXACT_COLUMNS",
    "HANDOFF_COMPILED_COMPLETION",
    "HANDOFF_PLANS",
]


def handoff_without() -> Iterator[Way]:
    """Make Handoff with one accelerator after the other switched off, as far as this checkout knows them."""
    off: dict[str, str] = {}
    for setting in _ACCELERATORS:
        name = setting.removeprefix("HANDOFF_").lower()
        if name not in Settings.model_fields:
            click.echo(f"{setting} is no setting of this checkout: it is not measured.", err=True)
            continue
        off[setting] = "false"
        yield Handoff(f"Handoff, {'nor' if len(off) > 1 else 'no'} {name.replace('_', ' ')}", dict(off))
