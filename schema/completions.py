"""How objects are completed whose fields are plain attributes: by functions that are written for a selection.

For a field that shows an attribute, all that graphql-core looks at for each value is known from the
selection. So for each selection of a type the source of a Python function is written once, which reads the
attributes, checks that each value is exactly what its type makes unchanged, and builds the dict.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLObjectType,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetails
from graphql.type.introspection import TypeNameMetaFieldDef
from strawberry.types.field import StrawberryField

from schema.remembered import Remembered

if TYPE_CHECKING:
    from schema.execution import CompletingExecutor

_MOST_REMEMBERED = 1024
#: In the metadata of a field with a resolver: the attribute that holds its value where that is known already.
KNOWN_AS = "known_as"

#: Of each scalar: when Python's value is one of it, and how it is shown. `v` stands for the value.
_SCALARS = {
    "String": ("type(v) is str", "v"),
    "ID": ("type(v) is str", "v"),
    "Int": ("type(v) is int and -2147483648 <= v <= 2147483647", "v"),
    "Boolean": ("type(v) is bool", "v"),
    "DateTime": ("type(v) is datetime", "v.isoformat()"),
}

#: What graphql-core calls the fields of an object, by the key of the answer.
Fields = dict[str, list[FieldDetails]]


#: Takes an object, and what completes a field by its key where the function cannot.
Mixed = Callable[[Any, Callable[[str], Any]], dict[str, Any]]
#: Takes an object and completes all of it, or raises `NotPlainError`.
Whole = Callable[[Any], dict[str, Any]]


class NotPlainError(Exception):
    """A value is not what was known beforehand."""


@dataclass(frozen=True, slots=True)
class Completion:
    """How the objects of a type are completed for a selection."""

    mixed: Mixed | None  #: None: no field is plain
    whole: Whole | None  #: None: some field is not plain


class PlannedFields(dict[str, list[FieldDetails]]):
    """The fields of an object, which are the same for every request, and how they are completed."""

    completion: Completion


@dataclass(slots=True)
class Completions:
    """The selections that were looked at before."""

    _known: Remembered[Completion] = field(default_factory=lambda: Remembered(_MOST_REMEMBERED))
    _collected: Remembered[CollectedFields | None] = field(
        default_factory=lambda: Remembered(_MOST_REMEMBERED)
    )

    def find(self, executor: "CompletingExecutor", kind: GraphQLObjectType, fields: Fields) -> Completion:
        """Return how objects are completed for the fields."""
        if isinstance(fields, PlannedFields):
            return fields.completion
        key = (kind.name, *((name, *(id(one.node) for one in same)) for name, same in fields.items()))
        nodes = [one.node for same in fields.values() for one in same]
        return self._known.find(key, nodes, lambda: _Writer(executor, self, kind).completion(fields, nodes))

    def collect(
        self, executor: "CompletingExecutor", kind: GraphQLObjectType, same: list[FieldDetails]
    ) -> CollectedFields | None:
        """Return what is selected of an object; None where that depends on variables."""
        nodes = [one.node for one in same]
        return self._collected.find(
            (kind.name, *map(id, nodes)), nodes, lambda: self._collect(executor, kind, same, nodes)
        )

    def _collect(
        self,
        executor: "CompletingExecutor",
        kind: GraphQLObjectType,
        same: list[FieldDetails],
        nodes: Sequence[FieldNode],
    ) -> CollectedFields | None:
        fragments = executor.fragment_definitions
        if any(_has_directives(node.selection_set, fragments) for node in nodes):
            return None
        collected = executor.collect_anew(kind, same)
        fields = PlannedFields(collected.grouped_field_set)
        fields.completion = self.find(executor, kind, collected.grouped_field_set)
        return collected._replace(grouped_field_set=fields)


class _Writer:
    """Writes the functions of one selection of a type."""

    def __init__(
        self, executor: "CompletingExecutor", completions: Completions, kind: GraphQLObjectType
    ) -> None:
        self._executor = executor
        self._completions = completions
        self._kind = kind
        self._names: dict[str, Any] = {
            "datetime": datetime,
            "NotPlainError": NotPlainError,
            "refuse": _refuse,
        }

    def completion(self, fields: Fields, nodes: Sequence[FieldNode]) -> Completion:
        """Write what there is to write; the nodes are those of the fields."""
        fragments = self._executor.fragment_definitions
        if any(_has_directives(node.selection_set, fragments) for node in nodes):
            return Completion(None, None)  # what is selected further down depends on variables
        return Completion(self._mixed(fields), self._whole(fields))

    def _mixed(self, fields: Fields) -> Mixed | None:
        parts = {key: self._leaf(key, same) for key, same in fields.items()}
        if not any(parts.values()):
            return None
        return self._function({key: part or f"other({key!r})" for key, part in parts.items()})

    def _whole(self, fields: Fields) -> Whole | None:
        parts = {key: self._leaf(key, same) or self._nested(key, same) for key, same in fields.items()}
        if not all(parts.values()):
            return None
        mixed = self._function({key: part or "" for key, part in parts.items()})
        return lambda source: mixed(source, _refuse)

    def _function(self, parts: Mapping[str, str]) -> Mixed:
        body = ", ".join(f"{key!r}: {part}" for key, part in parts.items())
        source = f"""
def complete(source, other):
    if type(source) is not KIND:
        raise NotPlainError
    return {{{body}}}
"""
        names = {**self._names, "KIND": _class_of(self._kind)}
        exec(source, names)  # noqa: S102 (made of the names of the schema and of aliases, which are names too)
        complete: Mixed = names["complete"]
        return complete

    def _leaf(self, key: str, same: list[FieldDetails]) -> str | None:
        """Write the value of a plain field of a scalar or an enum; None where it is another."""
        definition = self._definition(same)
        if definition is TypeNameMetaFieldDef:
            return repr(self._kind.name)
        kind = get_nullable_type(definition.type)
        known = _SCALARS.get(getattr(kind, "name", ""))
        check = self._enum(kind) if isinstance(kind, GraphQLEnumType) else known
        return None if check is None else self._value(key, definition, *check)

    def _nested(self, key: str, same: list[FieldDetails]) -> str | None:
        """Write the value of a plain field of an object, or a list of objects, that is plain as a whole."""
        definition = self._definition(same)
        kind = get_named_type(definition.type)
        if not isinstance(kind, GraphQLObjectType):
            return None
        fields = self._executor.collect_subfields(kind, same).grouped_field_set
        whole = self._completions.find(self._executor, kind, fields).whole
        if whole is None:
            return None
        name = f"whole_{len(self._names)}"
        self._names[name] = whole
        if not is_list_type(get_nullable_type(definition.type)):
            return self._value(key, definition, "True", f"{name}(v)")
        return self._value(key, definition, "type(v) is list", f"[{name}(each) for each in v]")

    def _value(self, key: str, definition: GraphQLField, condition: str, shown: str) -> str | None:
        attribute = _attribute(definition)
        if attribute is None:
            return None
        otherwise = f"other({key!r})"
        if not is_non_null_type(definition.type):
            return f"None if (v := source.{attribute}) is None else {shown} if {condition} else {otherwise}"
        return f"{shown} if (v := source.{attribute}) is not None and {condition} else {otherwise}"

    def _enum(self, kind: GraphQLEnumType) -> tuple[str, str]:
        members = getattr(kind, "wrapped_cls", ())
        names = f"names_{kind.name}"
        self._names[names] = {member: kind.coerce_output_value(member) for member in members}
        self._names[kind.name] = members
        return f"type(v) is {kind.name}", f"{names}[v]"

    def _definition(self, same: list[FieldDetails]) -> GraphQLField:
        definition = self._executor.schema.get_field(self._kind, same[0].node.name.value)
        assert definition is not None  # noqa: S101 (the document is valid)
        return definition


def _refuse(key: str) -> None:
    raise NotPlainError(key)


def _attribute(definition: GraphQLField) -> str | None:
    """Return the attribute that a field shows; None where a resolver makes its value."""
    field: StrawberryField | None = definition.extensions.get("strawberry-definition")
    if field is None:
        return None
    if getattr(definition.resolve, "_is_default", False):
        return field.python_name
    # Where the value may be null, None would not tell that it is not known.
    return field.metadata.get(KNOWN_AS) if is_non_null_type(definition.type) else None


def _class_of(kind: GraphQLObjectType) -> type:
    definition = kind.extensions["strawberry-definition"]
    origin: type = (definition.concrete_of or definition).origin
    return origin


def _has_directives(
    selected: SelectionSetNode | None, fragments: Mapping[str, FragmentDefinitionNode]
) -> bool:
    for selection in () if selected is None else selected.selections:
        inner: SelectionSetNode | None
        if isinstance(selection, FragmentSpreadNode):
            inner = fragments[selection.name.value].selection_set
        else:
            assert isinstance(selection, FieldNode | InlineFragmentNode)  # noqa: S101 (no others)
            inner = selection.selection_set
        if selection.directives or _has_directives(inner, fragments):
            return True
    return False
