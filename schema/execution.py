"""Executes as graphql-core does, but for objects of which it is known beforehand how they are completed.

graphql-core looks at each value of an answer anew: how its field is resolved, of which type it is, whether
it is there, whether it is awaited. What `schema/completions.py` has written a function for is completed by
that. Whatever the function does not know, a resolver, an abstract type, a value of another type, a null
where none may be, goes to graphql-core, field by field.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLResolveInfoHelpers,
    get_nullable_type,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetails
from graphql.pyutils import Path, Undefined
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.completions import Completion, Completions, Fields, Mixed, NotPlainError, PlannedFields
from schema.context import Context
from schema.gathering import gather_begun

#: The fields of an object, or the items of a list.
R = TypeVar("R", dict[str, Any], list[Any])


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

    @property
    def async_helpers(self) -> GraphQLResolveInfoHelpers:
        """What resolvers may wait with.

        graphql-core (3.3.2) keeps it, and with it methods of the executor itself: each request would leave
        its executor, and all that hangs on it, to the garbage collector.
        """
        return GraphQLResolveInfoHelpers(gather=self.gather_async_work, track=self.track_async_work)

    @async_helpers.setter
    def async_helpers(self, _: GraphQLResolveInfoHelpers) -> None:
        """Keep nothing."""

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
        if type(items) is not list or any(map(self.is_awaitable, items)):
            return super().complete_iterable_value(
                item_type, field_details_list, info, path, items, position_context
            )
        return self._complete_items(items, item_type, field_details_list, info, path)

    def collect_subfields(
        self, return_type: GraphQLObjectType, field_details_list: list[FieldDetails]
    ) -> CollectedFields:
        """Collect what is selected of an object, once for all requests where it is the same for all."""
        known = None
        if self._completions is not None:
            known = self._completions.collect(self, return_type, field_details_list)
        return self.collect_anew(return_type, field_details_list) if known is None else known

    def collect_anew(self, kind: GraphQLObjectType, same: list[FieldDetails]) -> CollectedFields:
        """Collect what is selected of an object, as graphql-core does."""
        return super().collect_subfields(kind, same)

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
        return self._mix(
            partial(_each, fields=grouped_field_set), parent_type, source_value, path, grouped_field_set
        )

    def _mix(
        self, mixed: Mixed, kind: GraphQLObjectType, source: object, path: Path | None, fields: Fields
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
            self._settle(pending)
            raise
        return _gathered(results, pending) if pending else results

    def _complete_items(
        self,
        items: list[object],
        kind: GraphQLOutputType,
        same: list[FieldDetails],
        info: GraphQLResolveInfo[Any],
        path: Path,
    ) -> Awaitable[list[Any]] | list[Any]:
        """Complete each item as graphql-core does."""
        results: list[Any] = []
        pending: dict[int, Any] = {}
        try:
            for index, item in enumerate(items):
                place = path.add_key(index, None)
                if self.complete_list_item_value(item, results, kind, same, info, place, None):
                    pending[index] = results[index]
        except Exception:
            self._settle(pending)
            raise
        return _gathered(results, pending) if pending else results

    def _settle(self, pending: dict[Any, Any]) -> None:
        if pending:
            self.settle_in_background([*pending.values()])

    def _completion(self, completions: Completions, kind: GraphQLObjectType, fields: Fields) -> Completion:
        if isinstance(fields, PlannedFields):
            return fields.completion
        found = self._found.get(id(fields))
        if found is None:
            found = self._found[id(fields)] = fields, completions.find(self, kind, fields)
        return found[1]


def _each(_: object, complete: Callable[[str], Any], *, fields: Fields) -> dict[str, Any]:
    """Leave each field to graphql-core; of one that its type does not have nothing is shown."""
    return {key: result for key in fields if (result := complete(key)) is not Undefined}


async def _gathered(results: R, pending: dict[Any, Any]) -> R:
    """Return the results when those that are awaited are there; `pending` has them by key or index."""
    if len(pending) == 1:
        ((key, awaitable),) = pending.items()
        results[key] = await awaitable
    else:
        for key, result in zip(pending, await gather_begun(pending.values()), strict=True):
            results[key] = result
    return results
