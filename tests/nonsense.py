"""Requests at random over the schema: most make sense up to a point, and then do not."""

import json
import random
from dataclasses import dataclass, field
from typing import Any

import graphql
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
)

from tests.documents import SCHEMA

_OPERATIONS = (*["query"] * 6, *["mutation"] * 6, "subscription")
_TEXTS = [
    "",
    " ",
    "text",
    "ünï © 🚀",
    "\x00",
    "a\x00b",
    "\ud800",
    "'; DROP TABLE events; --",
    "%s{0}$1",
    "\r\nBcc: x",
]
_NUMBERS = [1, 2, 3, 5, 20, 100, 0, -1, 101, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**63, 2**64, 10**400]
_ODD: list[Any] = [None, True, False, 1.5, 1e308, -0.0, [], {}, [[]], {"a": None}, [None], "text", 7]
_INSTANTS = [
    "2026-01-31T12:00:00Z",
    "2026-01-31T12:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00",
    "0001-01-01T00:00:00+14:00",
    "2026-02-30T00:00:00Z",
    "now",
]
_DURATIONS = ["PT5M", "P1DT12H", "PT0S", "P999999999999D", "PT1.5S", "-PT5M", "P", "5 minutes"]
#: How often something is wrong, by request: nearly every one would otherwise fail at its first mistake.
_SLOPPINESS = [0.0, 0.0, 0.0, 0.01, 0.05]


@dataclass
class Nonsense:
    """Makes requests, each by throws of the dice."""

    dice: random.Random
    ids: list[str]
    _variables: dict[str, Any] = field(default_factory=dict)
    _declared: list[str] = field(default_factory=list)
    _sloppiness: float = 0.0

    def request(self) -> dict[str, Any]:
        """Make the body of a request."""
        self._variables, self._declared = {}, []
        self._sloppiness = self.dice.choice(_SLOPPINESS)
        operation = self.dice.choice(_OPERATIONS)
        kind = SCHEMA.get_root_type(graphql.OperationType(operation))
        body = self._selections(kind, self.dice.randint(1, 4), most=2)
        head = (
            f"{operation} Nonsense({', '.join(self._declared)})"
            if self._declared
            else f"{operation} Nonsense"
        )
        document = f"{head} {body}"
        request: dict[str, Any] = {"query": self._cut(document), "variables": self._variables}
        if self._happens(self._sloppiness):
            request[self.dice.choice(["operationName", "variables", "extensions", "query"])] = self._odd()
        return request

    def _cut(self, document: str) -> str:
        """Lose, double or exchange a character now and then."""
        if not self._happens(2 * self._sloppiness):
            return document
        at = self.dice.randrange(len(document))
        return (
            document[:at]
            + self.dice.choice(["", "{", "}", "(", '"', "$", "...", "\x00", "é", "@"])
            + document[at + 1 :]
        )

    def _selections(self, kind: GraphQLNamedType | None, depth: int, *, most: int = 5) -> str:
        chosen = [self._selection(kind, depth) for _ in range(self.dice.randint(1, most))]
        return f"{{ {' '.join(chosen)} }}"

    def _selection(self, kind: GraphQLNamedType | None, depth: int) -> str:
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType) and not self._happens(0.2):
            one = self.dice.choice(sorted(SCHEMA.get_possible_types(kind), key=str))
            return f"... on {one.name} {self._selections(one, depth)}"
        fields = dict(kind.fields) if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) else {}
        plain = [
            name for name, one in fields.items() if graphql.is_leaf_type(graphql.get_named_type(one.type))
        ]
        names = sorted(fields) if depth > 0 else sorted(plain)
        name: str = self.dice.choice([*names, "__typename"])
        if self._happens(self._sloppiness):
            return self.dice.choice(["unknown", "__schema { types { name } }", "...Unknown"])
        if name not in fields:
            return name
        alias = f"a{self.dice.randint(0, 99)}: " if self._happens(0.3) else ""
        directive = (
            self.dice.choice(["@skip(if: true)", "@include(if: $no)", "@what"])
            if self._happens(self._sloppiness)
            else ""
        )
        inside = graphql.get_named_type(fields[name].type)
        below = "" if graphql.is_leaf_type(inside) else self._selections(inside, depth - 1)
        return f"{alias}{name}{self._arguments(fields[name].args)} {directive} {below}"

    def _arguments(self, wanted: dict[str, GraphQLArgument]) -> str:
        given = [
            f"{name}: {self._argument(argument)}"
            for name, argument in wanted.items()
            if (isinstance(argument.type, GraphQLNonNull) and not self._happens(self._sloppiness))
            or self._happens(0.4)
        ]
        return f"({', '.join(given)})" if given else ""

    def _argument(self, argument: GraphQLArgument) -> str:
        value = self._value(argument.type)
        if self._happens(0.4):
            return _literal(value, argument.type)
        name = f"v{len(self._declared)}"
        self._declared.append(f"${name}: {argument.type}")
        if not self._happens(self._sloppiness):
            self._variables[name] = value
        return f"${name}"

    def _value(self, kind: graphql.GraphQLInputType) -> Any:  # noqa: ANN401 (whatever JSON can say)
        if self._happens(self._sloppiness):
            return self._odd()
        if isinstance(kind, GraphQLNonNull):
            return self._value(kind.of_type)
        if self._happens(0.1):
            return None
        if isinstance(kind, GraphQLList):
            return [self._value(kind.of_type) for _ in range(self.dice.randint(0, 3))]
        if isinstance(kind, GraphQLInputObjectType):
            return {name: self._value(one.type) for name, one in kind.fields.items() if self._is_given(one)}
        if isinstance(kind, GraphQLEnumType):
            return self.dice.choice(sorted(kind.values))
        return self._scalar(kind.name)

    def _is_given(self, wanted: GraphQLInputField) -> bool:
        is_needed = isinstance(wanted.type, GraphQLNonNull)
        return not self._happens(self._sloppiness) if is_needed else self._happens(0.5)

    def _scalar(self, name: str) -> Any:  # noqa: ANN401 (whatever JSON can say)
        choices: dict[str, list[Any]] = {
            "ID": [*self.ids, *self.ids, "x", "", "00000000-0000-0000-0000-000000000000", 7],
            "Int": _NUMBERS,
            "Boolean": [True, False],
            "DateTime": _INSTANTS,
            "Duration": _DURATIONS,
        }
        text = self.dice.choice(_TEXTS) * (self.dice.choice([1, 1, 1, 300, 3000]))
        return self.dice.choice(choices.get(name, [text, "text"]))

    def _odd(self) -> Any:  # noqa: ANN401 (whatever JSON can say)
        return self.dice.choice([*_ODD, *_NUMBERS, *_TEXTS])

    def _happens(self, chance: float) -> bool:
        return self.dice.random() < chance


def _literal(value: object, kind: graphql.GraphQLInputType) -> str:
    """Write a value as GraphQL does."""
    plain = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    if isinstance(value, list):
        inner = plain.of_type if isinstance(plain, GraphQLList) else plain
        return f"[{', '.join(_literal(one, inner) for one in value)}]"
    if isinstance(value, dict):
        known = dict(plain.fields) if isinstance(plain, GraphQLInputObjectType) else {}
        parts = [
            f"{name}: {_literal(one, known[name].type if name in known else plain)}"
            for name, one in value.items()
        ]
        return f"{{ {', '.join(parts)} }}"
    if isinstance(plain, GraphQLEnumType) and isinstance(value, str):
        return value or "null"
    return json.dumps(value)
