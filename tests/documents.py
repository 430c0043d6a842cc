"""Documents made from the schema itself: the tests ask for a field from the day that it is added."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast
from uuid import uuid4

import graphql
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
)

from schema.build import print_schema

SCHEMA = graphql.build_schema(print_schema())

Operation = Literal["query", "mutation", "subscription"]
#: The root fields that take an owner or admin.
FOR_ADMINS: dict[Operation, set[str]] = {
    "query": {"apiKeys", "deliveryAudit", "psaConnections"},
    "mutation": {
        "addTeamMember",
        "addUser",
        "createApiKey",
        "createPsaConnection",
        "createTeam",
        "deletePsaConnection",
        "deleteUser",
        "pausePsaConnection",
        "removeTeamMember",
        "resumePsaConnection",
        "revokeApiKey",
        "rotatePsaCredentials",
        "setPsaAutomatic",
        "testPsaConnection",
        "updateAccountPolicy",
        "updateTeam",
        "updateUser",
    },
}
#: The type of what each argument and input field that takes an id names, but for `id` itself.
_NAMED = {
    "sessionId": "Session",
    "handoffId": "Handoff",
    "branchId": "SessionBranch",
    "parentBranchId": "SessionBranch",
    "activeBranchId": "SessionBranch",
    "teamId": "Team",
    "ownerId": "User",
    "userId": "Colleague",
    "memberIds": "User",
    "claimedById": "User",
    "keyId": "ApiKey",
    "connectionId": "PsaConnection",
    "psaConnectionId": "PsaConnection",
}
_AN_HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)
_SCALARS: dict[str, Any] = {
    "String": "text",
    "Int": 1,
    "Float": 1.0,
    "Boolean": False,
    "DateTime": _AN_HOUR_AGO.isoformat(),
    "JSON": {},
    "Duration": "PT5M",
}


#: Arguments that need another value than others of their type: a window ends after it begins.
_ARGUMENTS: dict[str, Any] = {
    "to": (_AN_HOUR_AGO + timedelta(hours=2)).isoformat(),
    "email": "somebody.new@example.com",
}
#: The member of a closed set that is sent, where it is not the first: an admin makes no owner.
_MEMBERS = {"Role": "VIEWER"}


@dataclass(frozen=True, slots=True)
class Request:
    """A document of one root field, and its variables."""

    document: str
    variables: dict[str, Any]


def root_fields(operation: Operation) -> dict[str, GraphQLField]:
    """Return the root fields of an operation by name."""
    root = {
        "query": SCHEMA.query_type,
        "mutation": SCHEMA.mutation_type,
        "subscription": SCHEMA.subscription_type,
    }[operation]
    assert root is not None
    return dict(root.fields)


def ids_for(field: str, ids: dict[str, str]) -> dict[str, str]:
    """Return what to send to a root field, by argument; `ids` are those of the caller's own, by type."""
    names = {"id": {"session": "Session"}.get(field, "Handoff")} | _NAMED
    if field in {"createApiKey", "addTeamMember"}:  # of somebody whom no other mutation has deleted
        names["userId"] = "User"
    return {argument: ids[kind] for argument, kind in names.items()}


def members(operation: Operation, name: str) -> list[str]:
    """Return the types that a root field may answer, by name; one empty name where it is no object."""
    shown = graphql.get_named_type(root_fields(operation)[name].type)
    if graphql.is_leaf_type(shown):
        return [""]
    if not isinstance(shown, GraphQLUnionType | GraphQLInterfaceType):
        return [shown.name]
    return [one.name for one in SCHEMA.get_possible_types(shown)]


def request(
    operation: Operation, name: str, ids: dict[str, str], *, depth: int = 2, member: str = ""
) -> Request:
    """Make a request of a root field: every argument but `after` is given, every plain field selected.

    Args:
        operation: Where the field stands.
        name: The field.
        ids: The id to send for each argument and input field that takes one.
        depth: How many levels of objects to select below the field's own.
        member: Of the types that the field may answer, the one to select from; all of them where empty.
    """
    field = root_fields(operation)[name]
    given = {
        argument: _value(argument, wanted, ids)
        for argument, wanted in field.args.items()
        if argument != "after"
    }
    declared = ", ".join(f"${argument}: {field.args[argument].type}" for argument in given)
    passed = ", ".join(f"{argument}: ${argument}" for argument in given)
    head = f"{operation} ({declared}) {{ {name}({passed})" if given else f"{operation} {{ {name}"
    selection = _selection(field.type, depth)
    if member:
        kind = cast("GraphQLObjectType", SCHEMA.type_map[member])
        selection = f"{{ ... on {member} {_selection(kind, depth)} }}"
    return Request(f"{head} {selection} }}", given)


def id_arguments(operation: Operation, name: str) -> list[str]:
    """Return the name of each ID among a root field's arguments and the fields of its inputs."""
    return sorted(
        {
            argument
            for given, wanted in root_fields(operation)[name].args.items()
            for argument in _ids_in(given, wanted)
        }
    )


def _ids_in(name: str, wanted: GraphQLArgument | GraphQLInputField) -> Iterator[str]:
    kind = graphql.get_named_type(wanted.type)
    if kind.name == "ID":
        yield name
    if isinstance(kind, GraphQLInputObjectType):
        for inner, field in kind.fields.items():
            yield from _ids_in(inner, field)


def _value(name: str, wanted: GraphQLArgument | GraphQLInputField, ids: dict[str, str]) -> Any:  # noqa: ANN401
    kind = graphql.get_named_type(wanted.type)
    value: Any
    if kind.name == "ID":
        value = ids[name]
    elif isinstance(kind, GraphQLInputObjectType):
        value = {inner: _value(inner, field, ids) for inner, field in kind.fields.items()}
    elif isinstance(kind, GraphQLEnumType):
        value = _MEMBERS.get(kind.name) or next(iter(kind.values))
    elif name == "idempotencyKey":
        value = str(uuid4())  # of this request alone
    else:
        value = _ARGUMENTS.get(name, _SCALARS[kind.name])
    plain = wanted.type.of_type if isinstance(wanted.type, GraphQLNonNull) else wanted.type
    return [value] if isinstance(plain, GraphQLList) else value


def _of_several_types(members: Collection[GraphQLObjectType]) -> frozenset[str]:
    """Return the fields that members have under one name with several types: an alias tells them apart."""
    types: dict[str, set[str]] = {}
    for one in members:
        for name, field in one.fields.items():
            types.setdefault(name, set()).add(str(field.type))
    return frozenset(name for name, found in types.items() if len(found) > 1)


def _selection(kind: graphql.GraphQLOutputType, depth: int, *, apart: frozenset[str] = frozenset()) -> str:
    shown = graphql.get_named_type(kind)
    if isinstance(shown, GraphQLUnionType | GraphQLInterfaceType):
        members = SCHEMA.get_possible_types(shown)
        apart = _of_several_types(members)
        selections = [f"... on {one.name} {_selection(one, depth, apart=apart)}" for one in members]
        return f"{{ __typename {' '.join(selections)} }}"
    if not isinstance(shown, GraphQLObjectType):
        return ""
    fields = [
        f"{f'{shown.name}_{name}: ' if name in apart else ''}{name} {_selection(field.type, depth - 1)}"
        for name, field in shown.fields.items()
        if graphql.is_leaf_type(graphql.get_named_type(field.type)) or depth > 0
    ]
    return f"{{ __typename {' '.join(fields)} }}"
