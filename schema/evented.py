"""Which documents show nothing but what events tell of.

Every change of these fields is made in a transaction that appends an event to the account's log (the
law of `db/events.py`). So an answer that shows nothing else stays true until the account's next event.
A field that is not listed here depends on something else, like deliveries, presence, the time and the
viewer, or nobody has thought about it.
"""

from collections.abc import Mapping
from functools import lru_cache

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    get_operation_ast,
)

from schema.documents import read

_PAGE = {"edges", "pageInfo", "totalCount"}
_EDGE = {"cursor", "node"}
_STEP = {"text", "evidence"}
EVENTED: Mapping[str, set[str]] = {
    "Query": {"queue", "handoff", "session", "sessions"},
    "PageInfo": {"hasNextPage", "hasPreviousPage", "startCursor", "endCursor"},
    "HandoffConnection": _PAGE,
    "HandoffEdge": _EDGE,
    "SessionConnection": _PAGE,
    "SessionEdge": _EDGE,
    "SessionMessageConnection": _PAGE,
    "SessionMessageEdge": _EDGE,
    "Node": {"id"},
    "Handoff": {
        "id",
        "intent",
        "priority",
        "state",
        "notes",
        "createdAt",
        "claimedAt",
        "session",
        "snapshot",
        "assessment",
        "sourceBranch",
        "handedOffBy",
        "claimedBy",
        "psaNotePushed",
        "psaNoteId",
        "timeline",
    },
    "Session": {
        "id",
        "status",
        "problemSummary",
        "problemDomain",
        "stepCount",
        "confidenceTier",
        "branching",
        "handoffCount",
        "psaTicketId",
        "psaConnectionId",
        "actualCause",
        "createdAt",
        "resolvedAt",
        "escalationPackage",
        "account",
        "team",
        "owner",
        "activeBranch",
        "branches",
        "messages",
        "handoffs",
        "escalatedTo",
    },
    "SessionBranch": {"id", "label", "status", "statusReason", "order", "parentBranch"},
    "SessionMessage": {"index", "role", "content", "at"},
    "SessionSnapshot": {
        "problemSummary",
        "problemDomain",
        "status",
        "stepCount",
        "confidenceTier",
        "branches",
        "activeBranchId",
    },
    "BranchSnapshot": {"id", "label", "status", "statusReason", "parentBranchId"},
    "Assessment": {
        "status",
        "likelyCause",
        "suggestedSteps",
        "alreadyTried",
        "confidence",
        "evidence",
        "generatedBy",
        "generatedAt",
        "error",
        "verdict",
    },
    "SuggestedStep": _STEP,
    "Evidence": {"messageIndex", "branchId", "quote"},
    "TimelineEntry": {"sequence", "at", "kind", "summary", "actor"},
    "User": {"id", "name", "email", "role", "active"},
    "Team": {"id", "name"},
    "Account": {"id", "name"},
}


@lru_cache(512)
def is_evented(schema: GraphQLSchema, query: str, operation_name: str | None) -> bool:
    """Tell whether an operation of a valid document is a query that shows only what events tell of."""
    document = read(schema, query).node
    operation = get_operation_ast(document, operation_name)
    if operation is None or operation.operation != OperationType.QUERY:
        return False
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    return _shows_only_evented(schema, fragments, "Query", operation.selection_set)


def _shows_only_evented(
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    type_name: str,
    selected: SelectionSetNode | None,
) -> bool:
    for node in () if selected is None else selected.selections:
        inner: SelectionSetNode | None
        if isinstance(node, FieldNode):
            name, inner = node.name.value, node.selection_set
            if name == "__typename":
                continue
            if name not in EVENTED.get(type_name, ()):
                return False
            inside = _type_of(schema, type_name, name)
        else:
            assert isinstance(node, FragmentSpreadNode | InlineFragmentNode)  # noqa: S101 (no others)
            spread = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            condition, inner = spread.type_condition, spread.selection_set
            inside = type_name if condition is None else condition.name.value
        if not _shows_only_evented(schema, fragments, inside, inner):
            return False
    return True


def _type_of(schema: GraphQLSchema, type_name: str, name: str) -> str:
    kind = schema.get_type(type_name)
    definition = None if kind is None else schema.get_field(kind, name)  # type: ignore[arg-type]  # of EVENTED
    return "" if definition is None else get_named_type(definition.type).name
