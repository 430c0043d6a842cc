"""What a request sends for the variables and arguments of an operation that is known.

The types, and where an argument's value comes from, are found out once. Whatever is not simply there and
right, a default, a null where none may be, a value of another type, is left to graphql-core, which fills in
or refuses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import NoneType
from typing import Any

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    coerce_input_literal,
    coerce_input_value,
    is_non_null_type,
)
from graphql.execution import get_argument_values, get_variable_values
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, input_is_nested_too_deeply
from graphql.utilities.coerce_input_value import coerce_default_value

_MOST_ERRORS = 50  #: as graphql-core's own executor has it
#: What a resolver cannot change, so that all requests may be given the same.
_UNCHANGING = (str, int, float, Enum, NoneType)


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of an operation."""

    schema: GraphQLSchema
    nodes: Sequence[VariableDefinitionNode]
    signatures: Sequence[GraphQLVariableSignature]

    def coerce(self, sent: Mapping[str, Any]) -> VariableValues | None:
        """Return what was sent as values of the variables' types; None where something is wrong with it."""
        values = self._coerce(sent)
        if values is None:
            found = get_variable_values(self.schema, self.nodes, dict(sent), max_errors=_MOST_ERRORS)
            values = found if isinstance(found, VariableValues) else None
        return values

    def _coerce(self, sent: Mapping[str, Any]) -> VariableValues | None:
        values = VariableValues({}, {})
        for signature in self.signatures:
            name, kind = signature.name, signature.type
            value = sent.get(name, Undefined)
            if value is Undefined or input_is_nested_too_deeply(value, kind):
                return None
            values.sources[name] = VariableValueSource(signature, value)
            values.coerced[name] = coerced = coerce_input_value(value, kind)
            if coerced is Undefined:
                return None
        return values


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a field."""

    definition: GraphQLField
    node: FieldNode
    fixed: Mapping[str, Any]  #: the values that are the same for every request, by name
    varying: Sequence[tuple[str, str, bool]]  #: name, variable, and whether that may be null
    is_known: bool  #: whether these are all

    def values(self, variables: VariableValues) -> dict[str, Any]:
        """Return the values of the arguments.

        Raises:
            GraphQLError: one is wrong.
        """
        if self.is_known:
            values = {**self.fixed}
            for name, variable, may_be_null in self.varying:
                value = variables.coerced.get(variable, Undefined)
                if value is Undefined or (value is None and not may_be_null):
                    break
                values[name] = value
            else:
                return values
        return get_argument_values(self.definition, self.node, variables)


def read_variables(schema: GraphQLSchema, nodes: Sequence[VariableDefinitionNode]) -> Variables:
    """Find out which variables there are; the document is valid."""
    found = [get_variable_signature(schema, node) for node in nodes]
    return Variables(schema, nodes, [each for each in found if not isinstance(each, GraphQLError)])


def read_arguments(definition: GraphQLField, node: FieldNode) -> Arguments:
    """Find out where the values of a field's arguments come from; the document is valid."""
    sent = {each.name.value: each.value for each in node.arguments or ()}
    fixed, varying, is_known = {}, [], True
    for name, argument in definition.args.items():
        shown, place = sent.get(name), argument.out_name or name
        if isinstance(shown, VariableNode):
            varying.append((place, shown.name.value, not is_non_null_type(argument.type)))
        elif shown is not None or coerce_default_value(argument) is not Undefined:
            fixed[place] = _fixed(argument, shown)
            is_known = is_known and isinstance(fixed[place], _UNCHANGING)
    return Arguments(definition, node, fixed, varying, is_known)


def _fixed(argument: GraphQLArgument, shown: ValueNode | None) -> object:
    """Return the value of an argument that is a literal, or its default."""
    if shown is None:
        return coerce_default_value(argument)
    if isinstance(shown, ListValueNode | ObjectValueNode):
        return Undefined  # it may hold variables
    return coerce_input_literal(shown, argument.type)
