"""Completes objects whose fields are plain attributes by functions that are written for their selection.

graphql-core looks at each value of an answer anew: how its field is resolved, of which type it is, whether
it is there, whether it is awaited. For a field that shows an attribute, all of that is known from the
selection. So for each selection of a type the source of a Python function is written once, which reads the
attributes, checks that each value is exactly what its type makes unchanged, and builds the dict. Whatever
it does not know, a resolver, an abstract type, a value of another type, a null where none may be, goes to
graphql-core, field by field.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.pyutils import Path, gather_with_cancel
from graphql.type.introspection import TypeNameMetaFieldDef
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.context import Context

_MOST_REMEMBERED = 1024

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

    nodes: Sequence[FieldNode]  #: held, so that their ids are nobody else's
    mixed: Mixed | None  #: None: no field is plain
    whole: Whole | None  #: None: some field is not plain


@dataclass(slots=True)
class Completions:
    """The selections that were looked at before."""

    _known: OrderedDict[object, Completion] = field(default_factory=OrderedDict)

    def find(self, executor: "CompletingExecutor", kind: GraphQLObjectType, fields: Fields) -> Completion:
        """Return how objects are completed for the fields."""
        key = (kind.name, *((name, *(id(one.node) for one in same)) for name, same in fields.items()))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Writer(executor, self, kind).completion(fields)
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return known


@dataclass(frozen=True, slots=True)
class Completed:
    """An object that its resolver has completed already."""

    data: dict[str, Any]


class CompletingExecutor(StrawberryGraphQLCoreExecutionContext):
    """Executes as graphql-core does, and completes plain fields by compiled functions where it may."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (graphql-core's own)
        super().__init__(*args, **kwargs)
        self._completions = (
            self.context_value.services.completions if isinstance(self.context_value, Context) else None
        )
        #: By the id of the fields, which are held with it.
        self._found: dict[int, tuple[Fields, Completion]] = {}

    def build_per_event_executor(self, payload: Any) -> Any:  # noqa: ANN401
        """Return an executor for one event that keeps nothing for the next.

        graphql-core 3.3.2 keeps what it collected of an event as long as the subscription lasts.
        """
        executor: Any = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}
        executor._found = {}
        return executor

    def complete_object_value(self, return_type: Any, *args: Any) -> Any:  # noqa: ANN401
        """Complete an object; take one that is complete as it is."""
        result = args[3]
        return result.data if type(result) is Completed else super().complete_object_value(return_type, *args)

    def complete_iterable_value(
        self,
        item_type: GraphQLOutputType,
        field_details_list: Any,  # noqa: ANN401
        info: Any,  # noqa: ANN401
        path: Path,
        items: Any,  # noqa: ANN401
        position_context: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Complete a list, at once where all that its objects show is plain."""
        kind = get_nullable_type(item_type)
        if self._completions is not None and type(items) is list and isinstance(kind, GraphQLObjectType):
            fields = self.collect_subfields(kind, field_details_list).grouped_field_set
            whole = self._completion(self._completions, kind, fields).whole
            if whole is not None:
                try:
                    return [whole(item) for item in items]
                except NotPlainError:
                    pass  # graphql-core says what is wrong, and where
        return super().complete_iterable_value(
            item_type, field_details_list, info, path, items, position_context
        )

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,  # noqa: ANN401
        path: Path | None,
        grouped_field_set: Any,  # noqa: ANN401
        position_context: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Complete the fields of an object."""
        if self._completions is not None and path is not None:
            completion = self._completion(self._completions, parent_type, grouped_field_set)
            try:
                if completion.whole is not None:
                    return completion.whole(source_value)
            except NotPlainError:
                pass
            try:
                if completion.mixed is not None:
                    return self._mix(completion.mixed, parent_type, source_value, path, grouped_field_set)
            except NotPlainError:
                pass
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)

    def _mix(
        self, mixed: Mixed, kind: GraphQLObjectType, source: object, path: Path, fields: Fields
    ) -> Awaitable[dict[str, Any]] | dict[str, Any]:
        """Complete plain fields by the function, and the others as graphql-core does."""
        pending: dict[str, Any] = {}

        def complete(key: str) -> object:
            result = self.execute_field(kind, source, fields[key], Path(path, key, kind.name), None)
            if self.is_awaitable(result):
                pending[key] = result
            return result

        try:
            results = mixed(source, complete)
        except Exception:
            if pending:
                self.settle_in_background([*pending.values()])
            raise
        return _gathered(results, pending) if pending else results

    def _completion(self, completions: Completions, kind: GraphQLObjectType, fields: Fields) -> Completion:
        found = self._found.get(id(fields))
        if found is None:
            found = self._found[id(fields)] = fields, completions.find(self, kind, fields)
        return found[1]


async def _gathered(results: dict[str, Any], pending: dict[str, Any]) -> dict[str, Any]:
    if len(pending) == 1:
        ((key, awaitable),) = pending.items()
        results[key] = await awaitable
    else:
        results.update(zip(pending, await gather_with_cancel(*pending.values()), strict=True))
    return results


class _Writer:
    """Writes the functions of one selection of a type."""

    def __init__(
        self, executor: CompletingExecutor, completions: Completions, kind: GraphQLObjectType
    ) -> None:
        self._executor = executor
        self._completions = completions
        self._kind = kind
        self._names: dict[str, Any] = {
            "datetime": datetime,
            "NotPlainError": NotPlainError,
            "refuse": _refuse,
        }

    def completion(self, fields: Fields) -> Completion:
        """Write what there is to write."""
        nodes = [one.node for same in fields.values() for one in same]
        fragments = self._executor.fragment_definitions
        if any(_has_directives(node.selection_set, fragments) for node in nodes):
            return Completion(nodes, None, None)  # what is selected further down depends on variables
        return Completion(nodes, self._mixed(fields), self._whole(fields))

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
    if not getattr(definition.resolve, "_is_default", False):
        return None
    name: str = definition.extensions["strawberry-definition"].python_name
    return name


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
