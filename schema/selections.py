"""Pages of the queue, and single handoffs, that are completed straight from the rows of one statement.

graphql-core completes a page of a hundred handoffs by some ten thousand calls, each of which looks at one
value of one type. Where a selection holds nothing but columns, what it makes of a row is known beforehand:
a dict with these keys, in this order. So it is written down once, as the source of a Python function, and
the statement reads exactly the columns that this function uses. A selection with anything else, a list, a
directive or an argument, is left to graphql-core, and so is everything about errors: the columns of this
module cannot fail.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
)

from db.enums import HandoffPriority
from db.pages import Page
from db.queue import Path, QueueOrder
from schema.connections import write_cursor
from schema.remembered import Remembered
from schema.shown_columns import FIELDS, Related, Shown

_MOST_REMEMBERED = 512


_PRIORITIES = {priority.value: priority.name for priority in HandoffPriority}


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of a page of the queue that holds columns only."""

    paths: tuple[Path, ...]  #: the columns that it needs
    is_counted: bool  #: whether it asks for the length of the whole list
    _write: Callable[..., dict[str, Any]]
    _key: tuple[int, ...]  #: where the values of the sort key stand in a row
    _order: str

    def complete(self, rows: Sequence[Any], page: Page, count: int | None) -> dict[str, Any]:
        """Return what the field answers: of the rows, of which there may be one more than asked for."""
        shown = rows[: page.first]
        return self._write(
            shown,
            self._cursor,
            count,
            has_next=len(rows) > page.first,
            has_previous=page.after is not None,
            start=self._cursor(shown[0]) if shown and self._key else None,
            end=self._cursor(shown[-1]) if shown and self._key else None,
        )

    def _cursor(self, row: Sequence[Any]) -> str:
        return write_cursor([row[place] for place in self._key], self._order)


@dataclass(frozen=True, slots=True)
class SelectionOfOne:
    """A selection of one handoff that holds columns only."""

    paths: tuple[Path, ...]  #: the columns that it needs
    complete: Callable[[Sequence[Any]], dict[str, Any]]  #: makes what the field answers of their values


@dataclass(slots=True)
class Selections:
    """The selections that were looked at before."""

    _pages: Remembered[Selection | None] = field(default_factory=lambda: Remembered(_MOST_REMEMBERED))
    _ones: Remembered[SelectionOfOne | None] = field(default_factory=lambda: Remembered(_MOST_REMEMBERED))

    def find(
        self,
        schema: GraphQLSchema,
        nodes: Sequence[FieldNode],
        fragments: Mapping[str, FragmentDefinitionNode],
        order: QueueOrder,
    ) -> Selection | None:
        """Return the selection of a page of the queue; None where it holds more than columns."""
        key = (*map(id, nodes), order)
        return self._pages.find(key, nodes, lambda: _Writer(schema, fragments, order).selection(nodes))

    def find_one(
        self,
        schema: GraphQLSchema,
        nodes: Sequence[FieldNode],
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> SelectionOfOne | None:
        """Return the selection of one handoff; None where it holds more than columns."""
        key = tuple(map(id, nodes))
        return self._ones.find(key, nodes, lambda: _Writer(schema, fragments).selection_of_one(nodes))


class _NotPlainError(Exception):
    """A selection holds something that is not a column."""


class _Writer:
    """Writes the function of one selection."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        order: QueueOrder = QueueOrder.NEWEST_FIRST,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._order = order
        self._places: dict[Path, int] = {}
        self._has_cursor = False
        self._is_counted = False

    def selection(self, nodes: Sequence[FieldNode]) -> Selection | None:
        """Write the function of the fields that ask for the page."""
        try:
            self._place(("id",))  # even where no column is shown, rows are counted
            body = self._connection(nodes)
        except _NotPlainError:
            return None
        key = self._sort_key() if self._has_cursor else ()
        source = f"def write(rows, cursor, count, *, has_next, has_previous, start, end):\n    return {body}"
        names: dict[str, Any] = {"PRIORITIES": _PRIORITIES}
        exec(source, names)  # noqa: S102 (made of the names of the schema and of aliases, which are names too)
        return Selection(tuple(self._places), self._is_counted, names["write"], key, self._order.value)

    def selection_of_one(self, nodes: Sequence[FieldNode]) -> SelectionOfOne | None:
        """Write the function of the fields that ask for one handoff."""
        try:
            self._place(("id",))
            body = self._node(nodes)
        except _NotPlainError:
            return None
        names: dict[str, Any] = {"PRIORITIES": _PRIORITIES}
        exec(f"def write(row):\n    return {body}", names)  # noqa: S102 (as above)
        return SelectionOfOne(tuple(self._places), names["write"])

    def _sort_key(self) -> tuple[int, ...]:
        columns = ["created_at", "id"]
        if self._order == QueueOrder.PRIORITY_FIRST:
            columns.insert(0, "priority")
        return tuple(self._place((column,)) for column in columns)

    def _connection(self, nodes: Iterable[FieldNode]) -> str:
        return self._object(
            "HandoffConnection",
            nodes,
            {"edges": self._edges, "pageInfo": self._page_info, "totalCount": self._total},
        )

    def _edges(self, nodes: Iterable[FieldNode]) -> str:
        edge = self._object("HandoffEdge", nodes, {"cursor": self._cursor, "node": self._node})
        return f"[{edge} for row in rows]"

    def _page_info(self, nodes: Iterable[FieldNode]) -> str:
        names = {
            "hasNextPage": "has_next",
            "hasPreviousPage": "has_previous",
            "startCursor": "start",
            "endCursor": "end",
        }
        self._has_cursor = True
        return self._object("PageInfo", nodes, {name: _always(source) for name, source in names.items()})

    def _total(self, _: Iterable[FieldNode]) -> str:
        self._is_counted = True
        return "count"

    def _cursor(self, _: Iterable[FieldNode]) -> str:
        self._has_cursor = True
        return "cursor(row)"

    def _node(self, nodes: Iterable[FieldNode]) -> str:
        return self._row("Handoff", nodes, ())

    def _row(self, type_name: str, nodes: Iterable[FieldNode], way: Path) -> str:
        def write(shown: Shown | Related) -> Callable[[Iterable[FieldNode]], str]:
            return lambda nodes: self._value(shown, nodes, way)

        return self._object(
            type_name, nodes, {name: write(shown) for name, shown in FIELDS[type_name].items()}
        )

    def _value(self, shown: Shown | Related, nodes: Iterable[FieldNode], way: Path) -> str:
        if isinstance(shown, Shown):
            return shown.source.format(*(f"row[{self._place((*way, column))}]" for column in shown.columns))
        there = (*way, shown.step)
        row = self._row(shown.type_name, nodes, there)
        if not shown.is_nullable:
            return row
        return f"(None if row[{self._place((*there, 'id'))}] is None else {row})"

    def _place(self, path: Path) -> int:
        return self._places.setdefault(path, len(self._places))

    def _object(
        self,
        type_name: str,
        nodes: Iterable[FieldNode],
        write: Mapping[str, Callable[[Iterable[FieldNode]], str]],
    ) -> str:
        """Write an object: each field once, in the order in which they are first asked for."""
        found: dict[str, list[FieldNode]] = {}
        for node in nodes:
            self._collect(type_name, node.selection_set, found)
        parts = []
        for key, same in found.items():
            name = same[0].name.value
            if name == "__typename":
                parts.append(f"{key!r}: {type_name!r}")
            elif name in write and not any(node.arguments for node in same):
                parts.append(f"{key!r}: {write[name](same)}")
            else:
                raise _NotPlainError
        return f"{{{', '.join(parts)}}}"

    def _collect(
        self, type_name: str, selected: SelectionSetNode | None, found: dict[str, list[FieldNode]]
    ) -> None:
        """Collect the fields of an object by the keys of the answer (GraphQL specification, 6.3.2)."""
        for selection in () if selected is None else selected.selections:
            if selection.directives:
                raise _NotPlainError
            if isinstance(selection, FieldNode):
                found.setdefault((selection.alias or selection.name).value, []).append(selection)
                continue
            assert isinstance(selection, FragmentSpreadNode | InlineFragmentNode)  # noqa: S101 (no others)
            spread = (
                self._fragments[selection.name.value]
                if isinstance(selection, FragmentSpreadNode)
                else selection
            )
            condition = spread.type_condition
            if condition is None or self._is_of(type_name, condition.name.value):
                self._collect(type_name, spread.selection_set, found)

    def _is_of(self, type_name: str, condition: str) -> bool:
        kind = self._schema.get_type(type_name)
        assert isinstance(kind, GraphQLObjectType)  # noqa: S101 (the types of this module)
        return condition in (type_name, *(interface.name for interface in kind.interfaces))


def _always(source: str) -> Callable[[Iterable[FieldNode]], str]:
    return lambda _: source
