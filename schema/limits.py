"""How much a document may ask, measured before it is validated, in time linear in its length.

Each fragment is measured once and its sums are reused at every spread: twenty fragments that each spread
the next twice would otherwise be two million fields to visit, in one kilobyte.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

from schema.connections import MAX_PAGE

#: What a list without `first` is taken to hold, and a page whose `first` is left out.
_USUAL_LENGTH = 10
_DEFAULT_PAGE = 20
#: Fields whose values may be so long that an answer with thousands of them would fill the memory: some 100 MB
#: are what one document may ask for, as a thousand messages of the greatest length. A package holds the notes
#: and up to 200 reasons; the reasons themselves are counted as those of 10 branches.
HEAVY = {
    ("SessionMessage", "content"): 25,
    ("Handoff", "notes"): 5,
    ("Session", "escalationPackage"): 125,
    ("SessionBranch", "statusReason"): 10,
    ("BranchSnapshot", "statusReason"): 10,
}
_LARGEST_INT = 2**31 - 1  # GraphQL specification, section 3.5.1
#: The depth of a document that nests deeper than can be followed.
_FATHOMLESS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that one document may ask. Fragments count as often as they are spread."""

    tokens: int = 2_000
    characters: int = 50_000
    depth: int = 16  #: the introspection query of graphql-js has 15
    fields: int = 600
    aliases: int = 40
    repeats: int = 12  #: of one place of the answer; validation compares each with each
    root_fields: int = 20
    directives: int = 40
    cost: int = 25_000  #: fields, times the length of each list that they stand in; long texts count for more


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a document, or a part of it, asks."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    repeats: int = 0
    root_fields: int = 0
    directives: int = 0
    cost: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Return what two selections beside each other ask."""
        return Usage(
            depth=max(self.depth, other.depth),
            fields=self.fields + other.fields,
            aliases=self.aliases + other.aliases,
            repeats=max(self.repeats, other.repeats),
            root_fields=self.root_fields + other.root_fields,
            directives=self.directives + other.directives,
            cost=self.cost + other.cost,
        )


_NAMES = [each.name for each in fields(Usage)]


def check(usage: Usage, limits: Limits) -> list[GraphQLError]:
    """Return an error for each limit that is passed. It names the limit, so that a client can keep it."""
    return [
        GraphQLError(
            f"The document asks too much: {name.replace('_', ' ')} {min(asked, _LARGEST_INT)}, "
            f"allowed {allowed}.",
            extensions={"code": "BAD_USER_INPUT"},
        )
        for name in _NAMES
        if (asked := getattr(usage, name)) > (allowed := getattr(limits, name))
    ]


class Measure:
    """Measures the operations of one document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._variables = variables
        self._operations = [
            node for node in document.definitions if isinstance(node, OperationDefinitionNode)
        ]
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._defaults = _default_numbers(self._operations)
        self._measured: dict[str, Usage] = {}
        #: The variables that decided about a list's length, so that the result holds for their values only;
        #: each with its default.
        self.lengths: dict[str, int | None] = {}

    def worst(self) -> Usage:
        """Return the most that any operation or fragment of the document asks, for each limit by itself.

        Fragments that nothing spreads count as well: validation reads them before it refuses them.
        """
        try:
            usages = [self._operation(operation) for operation in self._operations]
            usages += [replace(self._fragment(name), root_fields=0) for name in self._fragments]
        except RecursionError:  # the parser bounds how selections nest, but not how fragments do
            return Usage(depth=_FATHOMLESS)
        return Usage(**{name: max((getattr(usage, name) for usage in usages), default=0) for name in _NAMES})

    def _operation(self, node: OperationDefinitionNode) -> Usage:
        root = self._schema.get_root_type(node.operation)
        own = Usage(directives=len(node.directives or ()), repeats=_repeats(node.selection_set, _Place()))
        return own + self._selections(node.selection_set, root)

    def _selections(self, node: SelectionSetNode | None, parent: GraphQLNamedType | None) -> Usage:
        usage = Usage()
        for selection in () if node is None else node.selections:
            usage += self._selection(selection, parent)
        return usage

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType | None) -> Usage:
        own = Usage(directives=len(node.directives or ()))
        if isinstance(node, FieldNode):
            return own + self._field(node, parent)
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            inside = parent if condition is None else self._schema.get_type(condition.name.value)
            return own + self._selections(node.selection_set, inside)
        assert isinstance(node, FragmentSpreadNode)  # noqa: S101 (the third and last kind)
        return own + self._fragment(node.name.value)

    def _fragment(self, name: str) -> Usage:
        """Measure a fragment once. One that spreads itself counts as empty; validation refuses it."""
        if name not in self._measured:
            self._measured[name] = Usage()
            fragment = self._fragments.get(name)
            if fragment is not None:
                inside = self._schema.get_type(fragment.type_condition.name.value)
                own = Usage(repeats=_repeats(fragment.selection_set, _Place()))
                self._measured[name] = own + self._selections(fragment.selection_set, inside)
        return self._measured[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Usage:
        definition = _definition(self._schema, parent, node.name.value)
        kind = None if definition is None else get_named_type(definition.type)
        below = self._selections(node.selection_set, kind)
        return Usage(
            depth=below.depth + 1,
            fields=below.fields + 1,
            aliases=below.aliases + (node.alias is not None),
            repeats=below.repeats,
            root_fields=1,
            directives=below.directives,
            cost=_weight_of(node, parent) + below.cost * self._length(node, definition),
        )

    def _length(self, node: FieldNode, definition: GraphQLField | None) -> int:
        """Return how often what is selected below a field is answered, at most."""
        if definition is None:
            return 1
        if "first" in definition.args:
            return self._first(node)
        kind = get_named_type(definition.type)
        # The edges of a connection are as many as its field was counted for; the schema's own size is known.
        is_counted = node.name.value == "edges" or kind.name.startswith("__")
        is_list = is_list_type(get_nullable_type(definition.type))
        return _USUAL_LENGTH if is_list and not is_counted else 1

    def _first(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value != "first":
                continue
            if isinstance(argument.value, IntValueNode):
                return length_of(_number(argument.value))
            if isinstance(argument.value, VariableNode):
                name = argument.value.name.value
                self.lengths[name] = self._defaults.get(name)
                return length_of(self._variables.get(name, self.lengths[name]))
        return _DEFAULT_PAGE


def _weight_of(node: FieldNode, parent: GraphQLNamedType | None) -> int:
    return 1 if parent is None else HEAVY.get((parent.name, node.name.value), 1)


@dataclass(slots=True)
class _Place:
    """A place in an answer: how often it is asked for, and the places below it by name."""

    asked: int = 0
    below: dict[str, "_Place"] = field(default_factory=dict)


def _repeats(node: SelectionSetNode | None, place: _Place) -> int:
    """Count what a selection asks for at a place; return how often the most asked one is, there or below.

    An inline fragment stands where it is; a fragment that is spread is a name of its own.
    """
    most = 0
    for selection in () if node is None else node.selections:
        if isinstance(selection, InlineFragmentNode):
            most = max(most, _repeats(selection.selection_set, place))
            continue
        inner = place.below.setdefault(_name_of(selection), _Place())
        inner.asked += 1
        deeper = selection.selection_set if isinstance(selection, FieldNode) else None
        most = max(most, inner.asked, _repeats(deeper, inner))
    return most


def _name_of(selection: SelectionNode) -> str:
    if isinstance(selection, FieldNode):
        return (selection.alias or selection.name).value
    assert isinstance(selection, FragmentSpreadNode)  # noqa: S101 (inline fragments have no name)
    return f"...{selection.name.value}"


def length_of(asked: object) -> int:
    """Return how many items a value asks for; what is no page is refused later, in words of its own."""
    # 100.0 is an Int, too.
    if isinstance(asked, int | float) and asked <= MAX_PAGE:
        return int(max(1, asked))
    return _DEFAULT_PAGE


def _number(node: IntValueNode) -> int:
    """Return a literal's value, cut to what is no Int either: Python refuses to read thousands of digits."""
    return int(node.value[:12])


def _default_numbers(operations: list[OperationDefinitionNode]) -> dict[str, int]:
    """Return the default of each variable that has a number for one: the longest page of all operations."""
    found: dict[str, int] = {}
    for operation in operations:
        for variable in operation.variable_definitions or ():
            if isinstance(variable.default_value, IntValueNode):
                name, length = variable.variable.name.value, length_of(_number(variable.default_value))
                found[name] = max(length, found.get(name, 0))
    return found


def _definition(schema: GraphQLSchema, parent: GraphQLNamedType | None, name: str) -> GraphQLField | None:
    if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType):
        return schema.get_field(parent, name)
    return None
