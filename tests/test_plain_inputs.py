"""Inputs are built as Strawberry builds them: with all fields, with few, and with nulls."""

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_required_input_field,
)
from strawberry.types.arguments import convert_argument
from strawberry.types.base import get_object_definition

from schema.build import build_schema

SCHEMA = build_schema()
INPUTS = [kind for kind in SCHEMA._schema.type_map.values() if isinstance(kind, GraphQLInputObjectType)]
SCALARS: dict[str, object] = {
    "ID": "an id",
    "String": "text",
    "Int": 7,
    "Boolean": True,
    "DateTime": datetime(2026, 7, 1, 3, tzinfo=UTC),
    "Duration": timedelta(minutes=5),
}


@pytest.mark.parametrize("kind", INPUTS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("given", ["all", "required", "null"])
def test_an_input_is_what_strawberry_makes_of_it(kind: GraphQLInputObjectType, given: str) -> None:
    value = sample(kind, given)

    built = convert(kind, value)

    assert built == convert_plainly(kind, value)
    assert type(built) is get_object_definition(type(built), strict=True).origin


def test_a_list_that_was_sent_is_not_the_one_that_is_kept() -> None:
    kind = next(kind for kind in INPUTS if kind.name == "UpdateAccountPolicyInput")
    value = sample(kind, "all")

    built: Any = convert(kind, value)

    assert built.reminder_after == value["reminderAfter"]
    assert built.reminder_after is not value["reminderAfter"]


def convert(kind: GraphQLInputObjectType, value: dict[str, Any]) -> object:
    """Build an input as a request does."""
    origin = kind.extensions["strawberry-definition"].origin
    registry = SCHEMA.schema_converter.scalar_registry
    return convert_argument(value, origin, registry, SCHEMA.config)


def convert_plainly(kind: GraphQLInputObjectType, value: dict[str, Any]) -> object:
    """Build an input as Strawberry does by itself."""
    definitions = [each.extensions["strawberry-definition"] for each in INPUTS]
    builders = [definition.from_input for definition in definitions]
    try:
        for definition in definitions:
            definition.from_input = None
        return convert(kind, value)
    finally:
        for definition, builder in zip(definitions, builders, strict=True):
            definition.from_input = builder


def sample(kind: GraphQLInputObjectType, given: str) -> dict[str, Any]:
    """Return what graphql-core hands on of an input."""
    value = {}
    for name, field in kind.fields.items():
        if given == "all" or is_required_input_field(field):
            value[name] = sample_of(field.type, given)
        elif given == "null" and field.type is get_nullable_type(field.type):
            value[name] = None
    return value


def sample_of(kind: Any, given: str) -> object:  # noqa: ANN401 (a type of graphql-core)
    """Return a value of a type."""
    named = get_named_type(kind)
    one: object
    if isinstance(named, GraphQLInputObjectType):
        one = sample(named, given)
    elif isinstance(named, GraphQLEnumType):
        members: type[Enum] = named.wrapped_cls  # type: ignore[attr-defined]  # Strawberry's enums have it
        one = next(iter(members))
    else:
        one = SCALARS[named.name]
    return [one, one] if is_list_type(get_nullable_type(kind)) else one
