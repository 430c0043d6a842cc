"""Documents drawn at random from a schema, and what they ask, counted the long way: written out."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import graphql
from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)
from hypothesis import strategies as st

from schema.connections import MAX_PAGE
from schema.limits import HEAVY, Usage

Draw = Callable[[st.SearchStrategy[Any]], Any]
_FRAGMENTS = 3
_ROOTS = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}
_DIRECTIVES = ["", "", "", " @skip(if: false)", " @include(if: true)", " @skip(if: true) @include(if: true)"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A document and its variables."""

    document: str
    variables: dict[str, int]


@st.composite
def drawn_documents(draw: Draw, schema: GraphQLSchema) -> Drawn:
    """Draw a document that need not be valid: arguments may lack, fields conflict, fragments not apply."""
    types = sorted(name for name, kind in schema.type_map.items() if graphql.is_composite_type(kind))
    conditions = [draw(st.sampled_from(types)) for _ in range(_FRAGMENTS)]
    bodies = [
        _drawn(draw, schema, schema.type_map[name], 2, spreads_from=number + 1)
        for number, name in enumerate(conditions)
    ]
    fragments = [f"fragment F{n} on {conditions[n]} {body}" for n, body in enumerate(bodies)]
    operation = draw(st.sampled_from(sorted(_ROOTS)))
    body = _drawn(draw, schema, schema.type_map[_ROOTS[operation]], 3, spreads_from=0)
    variables = draw(st.fixed_dictionaries({}, optional={"a": st.integers(-3, 200), "b": st.integers(0, 20)}))
    return Drawn(f"{operation} ($a: Int = 7, $b: Int) {body} {' '.join(fragments)}", variables)


def _drawn(
    draw: Draw, schema: GraphQLSchema, kind: GraphQLNamedType, depth: int, *, spreads_from: int
) -> str:
    selections = [_selection(draw, schema, kind, depth, spreads_from) for _ in range(draw(st.integers(1, 3)))]
    return f"{{ {' '.join(selections)} }}"


def _selection(
    draw: Draw, schema: GraphQLSchema, kind: GraphQLNamedType, depth: int, spreads_from: int
) -> str:
    directive = draw(st.sampled_from(_DIRECTIVES))
    what = draw(st.integers(0, 5))
    if what == 0 and spreads_from < _FRAGMENTS:
        return f"...F{draw(st.integers(spreads_from, _FRAGMENTS - 1))}{directive}"
    if what == 1 and depth > 0:
        condition = draw(st.sampled_from(["", *_narrower(schema, kind)]))
        inside = schema.type_map[condition] if condition else kind
        on = f" on {condition}" if condition else ""
        return f"...{on}{directive} {_drawn(draw, schema, inside, depth - 1, spreads_from=spreads_from)}"
    return _field(draw, schema, kind, depth, spreads_from, directive)


def _field(
    draw: Draw, schema: GraphQLSchema, kind: GraphQLNamedType, depth: int, spreads_from: int, directive: str
) -> str:
    known = dict(kind.fields) if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) else {}
    name = draw(st.sampled_from([*sorted(known), "__typename", "unknown"]))
    alias = draw(st.sampled_from(["", "", "x: "]))
    field = known.get(name)
    first = draw(st.sampled_from(["", "(first: 3)", "(first: $a)", "(first: $b)", "(first: null)"]))
    arguments = first if field is not None and "first" in field.args else ""
    inside = None if field is None else graphql.get_named_type(field.type)
    below = ""
    if inside is not None and graphql.is_composite_type(inside) and depth > 0:
        below = f" {_drawn(draw, schema, inside, depth - 1, spreads_from=spreads_from)}"
    return f"{alias}{name}{arguments}{directive}{below}"


def _narrower(schema: GraphQLSchema, kind: GraphQLNamedType) -> list[str]:
    if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
        return sorted(one.name for one in schema.get_possible_types(kind))
    return [kind.name]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A field, as often as it stands in the document that is written out."""

    node: FieldNode
    depth: int
    times: int  #: how often it is answered, at most
    weight: int  #: as how many fields it counts


class WrittenOut:
    """Counts what a document asks by putting every fragment in the place of each of its spreads."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: dict[str, int]) -> None:
        self._schema = schema
        self._variables = {"a": 7} | variables
        self._document = document
        self._fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }

    def usage(self) -> Usage:
        """Count the most of the one operation and of every fragment, each limit by itself."""
        (operation,) = (one for one in self._document.definitions if isinstance(one, OperationDefinitionNode))
        whole = self._count(operation, self._schema.get_root_type(operation.operation))
        parts = [
            replace(self._count(one, self._schema.get_type(one.type_condition.name.value)), root_fields=0)
            for one in self._fragments.values()
        ]
        names = [field.name for field in fields(Usage)]
        return Usage(**{name: max(getattr(one, name) for one in [whole, *parts]) for name in names})

    def _count(
        self, node: OperationDefinitionNode | FragmentDefinitionNode, kind: GraphQLNamedType | None
    ) -> Usage:
        self._directives: list[DirectiveNode] = []
        asked = list(self._fields(node.selection_set, kind, 1, 1))
        return Usage(
            depth=max(field.depth for field in asked) if asked else 0,
            fields=len(asked),
            aliases=sum(field.node.alias is not None for field in asked),
            repeats=max(Counter(_places(node.selection_set, ())).values()),
            root_fields=Counter(field.depth for field in asked)[1],
            directives=len(self._directives),
            cost=sum(field.times * field.weight for field in asked),
        )

    def _fields(
        self, selections: SelectionSetNode | None, kind: GraphQLNamedType | None, depth: int, times: int
    ) -> Iterator[_Asked]:
        for node in () if selections is None else selections.selections:
            self._directives += node.directives or ()
            if isinstance(node, FieldNode):
                weight = HEAVY.get(("" if kind is None else kind.name, node.name.value), 1)
                yield _Asked(node, depth, times, weight)
                field = self._definition(kind, node.name.value)
                inside = None if field is None else graphql.get_named_type(field.type)
                often = times * self._length(node, field)
                yield from self._fields(node.selection_set, inside, depth + 1, often)
            elif isinstance(node, InlineFragmentNode):
                named = node.type_condition
                inside = kind if named is None else self._schema.get_type(named.name.value)
                yield from self._fields(node.selection_set, inside, depth, times)
            else:
                assert isinstance(node, FragmentSpreadNode)
                fragment = self._fragments[node.name.value]
                inside = self._schema.get_type(fragment.type_condition.name.value)
                yield from self._fields(fragment.selection_set, inside, depth, times)

    def _definition(self, kind: GraphQLNamedType | None, name: str) -> GraphQLField | None:
        return getattr(kind, "fields", {}).get(name)

    def _length(self, node: FieldNode, field: GraphQLField | None) -> int:
        if field is None:
            return 1
        if "first" in field.args:
            given = [argument.value for argument in node.arguments or () if argument.name.value == "first"]
            if given and isinstance(given[0], IntValueNode):
                return int(given[0].value)
            if given and isinstance(given[0], VariableNode):
                asked = self._variables.get(given[0].name.value, 20)
                return 20 if asked > MAX_PAGE else max(1, asked)
            return 20
        is_list = str(field.type).startswith("[") and node.name.value != "edges"
        return 10 if is_list and not graphql.get_named_type(field.type).name.startswith("__") else 1


def _places(selections: SelectionSetNode | None, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Walk through the places of an answer as often as each is asked for. Fragments are not opened."""
    for node in () if selections is None else selections.selections:
        if isinstance(node, InlineFragmentNode):
            yield from _places(node.selection_set, path)
        elif isinstance(node, FieldNode):
            place = (*path, (node.alias or node.name).value)
            yield place
            yield from _places(node.selection_set, place)
        else:
            assert isinstance(node, FragmentSpreadNode)
            yield (*path, f"...{node.name.value}")
