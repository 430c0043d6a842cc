"""Queries drawn at random over the whole schema, all of them valid: what they answer is to be compared."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import graphql
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
)

from tests.documents import SCHEMA, ids_for, root_fields

#: They tell of the present moment, which is another for each who asks.
_OF_THE_MOMENT = {"deliveryAudit", "escalationStats"}
_DIRECTIVES = ["", "", "", "", "", " @include(if: $yes)", " @skip(if: $yes)", " @include(if: false)"]


@dataclass(slots=True)
class Readable:
    """Draws requests. `ids` are those of the caller's own, by type."""

    dice: random.Random
    ids: dict[str, str]
    _names: int = 0
    _fragments: list[str] = field(default_factory=list)

    def request(self) -> dict[str, Any]:
        """Return a document of one to three root fields, and its variables."""
        self._names, self._fragments = 0, []
        names = [name for name in root_fields("query") if name not in _OF_THE_MOMENT]
        roots = [self._root(self.dice.choice(names)) for _ in range(self.dice.randint(1, 3))]
        body = f"query ($yes: Boolean!, $few: Int!) {{ {' '.join(roots)} }} {' '.join(self._fragments)}"
        return {"query": body, "variables": {"yes": self.dice.random() < 0.5, "few": self.dice.randint(0, 4)}}

    def _root(self, name: str) -> str:
        given = ids_for(name, self.ids)
        return self._field(name, root_fields("query")[name], given, depth=5)

    def _field(self, name: str, definition: GraphQLField, given: dict[str, str], *, depth: int) -> str:
        arguments = "".join(self._arguments(definition, given))
        self._names += 1
        # Of two fields with one name, the arguments may differ: an alias keeps them apart.
        alias = f"a{self._names}: " if arguments or self.dice.random() < 0.2 else ""
        shown = f"({arguments})" if arguments else ""
        below = self._selection(definition.type, depth - 1)
        return f"{alias}{name}{shown}{self.dice.choice(_DIRECTIVES)} {below}"

    def _arguments(self, definition: GraphQLField, given: dict[str, str]) -> Iterator[str]:
        for name, argument in definition.args.items():
            is_needed = name == "first" or isinstance(argument.type, GraphQLNonNull)
            if name != "after" and (is_needed or self.dice.random() < 0.5):
                yield f"{name}: {self._value(name, argument, given)} "

    def _value(self, name: str, argument: GraphQLArgument, given: dict[str, str]) -> str:
        kind = graphql.get_named_type(argument.type)
        if kind.name == "ID":
            return f'"{uuid4() if self.dice.random() < 0.1 else given[name]}"'
        return self.dice.choice(_values(name, kind))

    def _selection(self, kind: graphql.GraphQLOutputType, depth: int) -> str:
        shown = graphql.get_named_type(kind)
        if isinstance(shown, GraphQLUnionType | GraphQLInterfaceType):
            members = SCHEMA.get_possible_types(shown)
            # Members have fields of one name and several types: each is asked for by itself.
            return f"{{ __typename ... on {(one := self.dice.choice(members)).name} {self._of(one, depth)} }}"
        return self._of(shown, depth) if isinstance(shown, GraphQLObjectType) else ""

    def _of(self, kind: GraphQLObjectType, depth: int) -> str:
        fields = [
            (name, definition)
            for name, definition in kind.fields.items()
            if depth > 0 or graphql.is_leaf_type(graphql.get_named_type(definition.type))
        ]
        if not fields:
            return "{ __typename }"
        chosen = self.dice.sample(fields, self.dice.randint(1, min(len(fields), 6)))
        parts = [self._field(name, definition, self.ids, depth=depth) for name, definition in chosen]
        if self.dice.random() < 0.3:
            parts.insert(self.dice.randint(0, len(parts)), "__typename")
        body = f"{{ {' '.join(parts)} }}"
        return self._wrapped(kind, body)

    def _wrapped(self, kind: GraphQLObjectType, body: str) -> str:
        """Put a selection into a fragment, or leave it."""
        how = self.dice.random()
        if how < 0.1:
            return f"{{ ... {body} ... on {kind.name} {body} }}"
        if how < 0.2:
            name = f"F{len(self._fragments)}_{self._names}"
            self._fragments.append(f"fragment {name} on {kind.name} {body}")
            return f"{{ ...{name} }}"
        return body


def _values(name: str, kind: graphql.GraphQLNamedType) -> list[str]:
    if name == "first":
        return ["1", "3", "$few"]
    if isinstance(kind, GraphQLEnumType):
        return list(kind.values)
    if isinstance(kind, GraphQLInputObjectType):
        return ["{}", "{ intent: ESCALATE }", '{ problemDomain: "network" }']
    return ["null"]
