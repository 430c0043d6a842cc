"""What clients send for variables, right and wrong. None of it changes anything."""

from typing import Any
from uuid import uuid4

#: Documents, and what is sent for their variables: all of it is answered, or refused, without a change.
SENT: list[tuple[str, list[dict[str, Any] | None]]] = [
    (
        "query ($n: Int!) { queue(first: $n) { totalCount edges { node { id } } } }",
        [{"n": 2}, {"n": 2.0}, {"n": "2"}, {"n": True}, {"n": 2**40}, {"n": None}, {"n": 0}, {}, None],
    ),
    (
        "query ($n: Int = 2, $after: String) { queue(first: $n, after: $after) { edges { cursor } } }",
        [{}, {"n": 1}, {"n": None}, {"n": 1, "after": None}, {"after": "no cursor"}, {"more": 1}, None],
    ),
    (
        "query ($order: QueueOrder, $n: Int = 1) { queue(orderBy: $order, first: $n) { edges { cursor } } }",
        [{}, {"order": "PRIORITY_FIRST"}, {"order": None}, {"order": "NONE_SUCH"}, {"order": 1}],
    ),
    (
        "query ($wanted: QueueFilter) { queue(filter: $wanted) { totalCount } }",
        [
            {},
            {"wanted": None},
            {"wanted": []},
            {"wanted": {}},
            {"wanted": {"none": 1}},
            *({"wanted": {"teamId": team}} for team in ("Team", "no id", str(uuid4()))),
        ],
    ),
    (
        "query ($intent: HandoffIntent) { queue(filter: { intent: $intent }, first: 2) { totalCount } }",
        [{}, {"intent": "ESCALATE"}, {"intent": None}, {"intent": "NONE_SUCH"}],
    ),
    (
        "query ($id: ID!) { handoff(id: $id) { id session { id } deliveries(first: 2) { totalCount } } }",
        [
            {"id": "Handoff"},
            {"id": "Session"},
            {"id": "no id"},
            {"id": 7},
            {"id": str(uuid4())},
            {"id": None},
        ],
    ),
    (
        "query ($id: ID!) { handoffBriefing(handoffId: $id) { __typename } }",
        [{"id": str(uuid4())}, {"id": "no id"}, {}],
    ),
    (
        "query ($id: ID!) { node(id: $id) { __typename id ... on Handoff { intent session { status } } } }",
        [{"id": "Handoff"}, {"id": "Session"}, {"id": "User"}, {"id": str(uuid4())}],
    ),
    (
        "query ($yes: Boolean!) { me @include(if: $yes) { id } ... @skip(if: $yes) { me { name } } }",
        [{"yes": True}, {"yes": False}, {"yes": None}, {}],
    ),
    ("{ queue(first: 2, filter: null, orderBy: OLDEST_FIRST) { edges { cursor } } }", [None]),
    ("{ me { id } ...More ... on Query { me { role } } } fragment More on Query { me { name } }", [None]),
    ("{ one: __typename }", [None]),
    ('{ __type(name: "Query") { name kind } }', [None]),
    ("query A { me { id } } query B { me { name } }", [None]),
    ('query { deliveryAudit(since: "2026-01-01T00:00:00Z") { escalations } }', [None]),
    ("{ me { id } apiKeys { totalCount } }", [None]),
    ("{ apiKeys { totalCount } }", [None]),
    (
        "query ($since: DateTime!) { deliveryAudit(since: $since) { __typename } }",
        [{"since": "2026-01-01T00:00:00Z"}, {"since": "yesterday"}, {"since": None}, {"since": 5}],
    ),
    (
        "mutation ($id: ID!) { claimHandoff(input: { handoffId: $id }) { ... on Problem { message } } }",
        [{"id": str(uuid4())}, {"id": "no id"}, {}],
    ),
    (
        "mutation ($input: ClaimHandoffInput!) { it: claimHandoff(input: $input) { __typename } }",
        [
            {},
            {"input": None},
            {"input": {}},
            *({"input": {"handoffId": handoff}} for handoff in (None, "no id", str(uuid4()))),
            {"input": {"handoffId": str(uuid4()), "more": 1}},
        ],
    ),
    (
        """mutation ($input: AcknowledgeEscalationInput!) {
        acknowledgeEscalation(input: $input) { handoff { id } } }""",
        [{"input": {"handoffId": str(uuid4())}}, {"input": {"handoffId": "Handoff"}}],
    ),
    (
        """mutation ($a: ID!, $b: ID!) { a: releaseHandoff(input: { handoffId: $a }) { __typename }
        b: releaseHandoff(input: { handoffId: $b }) { __typename } }""",
        [{"a": str(uuid4()), "b": "no id"}],
    ),
]


def named(sent: Any, ids: dict[str, str]) -> Any:  # noqa: ANN401 (JSON)
    """Return what is sent, with the id of one of a type in the place of the type's name."""
    if isinstance(sent, dict):
        return {name: named(value, ids) for name, value in sent.items()}
    return ids.get(sent, sent) if isinstance(sent, str) else sent
