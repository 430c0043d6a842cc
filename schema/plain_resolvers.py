"""Calls resolvers with what was asked for.

Strawberry looks at each argument of each call anew: what it is called in GraphQL, of which type it is, how
values of that are converted; and it chains the field's extensions anew (0.341.2). All of that is known from
the field. So it is found out once for each, as `schema/plain_inputs.py` does for inputs.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, cast

from graphql import GraphQLField, GraphQLObjectType, get_nullable_type, is_leaf_type
from strawberry import Schema
from strawberry.extensions import FieldExtension
from strawberry.extensions.field_extension import build_field_extension_resolvers
from strawberry.types.arguments import convert_argument
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

Resolve = Callable[..., Any]


def prepare_resolvers(schema: Schema) -> None:
    """Let the resolvers of a schema be called without looking at their arguments' types again."""
    core = schema._schema
    for kind in core.type_map.values():
        if isinstance(kind, GraphQLObjectType) and kind is not core.subscription_type:
            for shown in kind.fields.values():
                field = shown.extensions.get("strawberry-definition")
                called = field.base_resolver if isinstance(field, StrawberryField) else None
                if called is not None and _is_plain(field, called):
                    shown.resolve = _resolver(schema, shown, field, called)


def _is_plain(field: StrawberryField, called: StrawberryResolver[Any]) -> bool:
    """Tell whether a resolver takes its object first, `info` by that name, and the arguments by theirs."""
    return (
        called.self_parameter is not None
        and called.parent_parameter is None
        and called.root_parameter is None
        and (called.info_parameter is None or called.info_parameter.name == "info")
        and not any(each.is_maybe for each in field.arguments)
        and all(type(each).map_arguments is FieldExtension.map_arguments for each in field.extensions)
    )


def _resolver(
    schema: Schema, shown: GraphQLField, field: StrawberryField, called: StrawberryResolver[Any]
) -> Resolve:
    make_info = schema.config.info_class
    arguments = _arguments(schema, shown, field)
    chain = reduce(_chained, build_field_extension_resolvers(field), _innermost(called))

    def resolve(source: object, info: Any, **sent: Any) -> Any:  # noqa: ANN401 (of all fields)
        given = make_info(_raw_info=info, _field=field)
        converted = {}
        for name, python_name, kind in arguments:
            if name in sent:
                value = sent[name]
                is_plain = kind is None or value is None
                converted[python_name] = value if is_plain else convert(value, kind, given, name)
        return chain(source, given, **converted)

    def convert(value: object, kind: Any, info: Any, name: str) -> object:  # noqa: ANN401
        registry = schema.schema_converter.scalar_registry
        return convert_argument(value, kind, registry, schema.config, info, path=(name,))

    return resolve


def _arguments(schema: Schema, shown: GraphQLField, field: StrawberryField) -> list[tuple[str, str, Any]]:
    """Return each argument's name in GraphQL and in Python, and its type where values are converted."""
    found = []
    for argument in field.arguments:
        name = schema.config.name_converter.from_argument(argument)
        is_plain = is_leaf_type(get_nullable_type(shown.args[name].type))
        found.append((name, argument.python_name, None if is_plain else argument.type))
    return found


def _innermost(called: StrawberryResolver[Any]) -> Resolve:
    function = cast("Resolve", called.wrapped_func)
    if called.info_parameter is not None:
        return lambda source, info, **given: function(source, info=info, **given)
    return lambda source, _, **given: function(source, **given)


def _chained(inner: Resolve, outer: Resolve) -> Resolve:
    return partial(outer, inner)
