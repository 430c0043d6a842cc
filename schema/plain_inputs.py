"""Builds inputs from what was sent.

Strawberry looks at each field of each input anew: what it is called in GraphQL, of which type it is, how
values of that are converted (0.341.2). Scalars and enums are not converted at all, which is known from the
type. So that is found out once for each type of input, of which one request may hold 500.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any

from graphql import GraphQLInputObjectType, GraphQLSchema, get_nullable_type, is_leaf_type
from strawberry.types.arguments import InputContext
from strawberry.types.base import StrawberryObjectDefinition

Build = Callable[[type, Mapping[str, Any], InputContext], Any]


def prepare_inputs(schema: GraphQLSchema) -> None:
    """Let the inputs of a schema be built without looking at their types again."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLInputObjectType):
            definition: StrawberryObjectDefinition = kind.extensions["strawberry-definition"]
            definition.from_input = _builder(kind, definition)


def _builder(kind: GraphQLInputObjectType, definition: StrawberryObjectDefinition) -> Build:
    fields = []
    for name, shown in kind.fields.items():
        field = shown.extensions["strawberry-definition"]
        is_plain = is_leaf_type(get_nullable_type(shown.type))
        fields.append((name, field.python_name, None if is_plain else field.resolve_type()))
    absent = {
        field.python_name: None
        for field in definition.fields
        if field.default_value is MISSING and field.default_factory is MISSING
    }

    def build(type_: type, value: Mapping[str, Any], context: InputContext) -> object:
        given: dict[str, object] = {**absent}
        for name, python_name, nested in fields:
            if name in value:
                one = value[name]
                given[python_name] = one if nested is None else context.convert(one, nested, name)
        return type_(**given)

    return build
