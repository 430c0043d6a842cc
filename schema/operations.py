"""What is known of an operation before it is executed: all that does not depend on who asks for what.

For each execution graphql-core looks for the operation in its document, for its fragments, for the types of
its variables, for the fields that it asks for and for their definitions. Here that is found out once. Where
an operation asks for one field, as most do, its resolver is called at once with what graphql-core would
give it; its value, or its error, is completed by the executor as ever.
"""

from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLFieldResolver,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution import ExecutionResult
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields
from graphql.execution.values import VariableValues
from graphql.pyutils import Path
from strawberry.execution.is_awaitable import optimized_is_awaitable

from schema.context import Context
from schema.streams import SharingExecutor
from schema.variables import Arguments, Variables, read_arguments, read_variables


@dataclass(frozen=True, slots=True)
class Root:
    """The only field that an operation asks for."""

    key: str  #: in the answer
    kind: GraphQLObjectType
    definition: GraphQLField
    resolve: GraphQLFieldResolver
    arguments: Arguments
    details: list[FieldDetails]
    nodes: list[FieldNode]
    path: Path

    async def execute(self, executor: SharingExecutor) -> ExecutionResult:
        """Call the resolver and complete what it answers, as graphql-core does for each of many fields."""
        try:
            completed = await self._complete(executor)
        except GraphQLError as error:  # where no null may stand
            executor.collected_errors.add(error, None)
            return cast("ExecutionResult", executor.build_response(None))
        return cast("ExecutionResult", executor.build_response({self.key: completed}))

    async def _complete(self, executor: SharingExecutor) -> Any:  # noqa: ANN401 (of any type)
        field, details, path = self.definition, self.details, self.path
        info = executor.build_resolve_info(field, self.nodes, self.kind, path)
        try:
            given = self.arguments.values(executor.variable_values)
            result = self.resolve(executor.root_value, info, **given)
            if executor.is_awaitable(result):
                result = await result
            completed = executor.complete_value(field.type, details, info, path, result, None)
            return await completed if executor.is_awaitable(completed) else completed
        except Exception as error:  # noqa: BLE001 (as graphql-core does)
            executor.handle_field_error(error, field.type, details, path)
            return None


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of a document without fault."""

    schema: GraphQLSchema
    node: OperationDefinitionNode
    variables: Variables
    definitions: dict[str, FragmentDefinitionNode]  #: of the document's fragments
    fragments: dict[str, FragmentDetails]
    root: Root | None  #: None: there are several fields, or conditions on them

    def executor(
        self,
        context: Context,
        root_value: object,
        given: dict[str, Any] | None,
        extensions: dict[str, Any] | None,
    ) -> SharingExecutor | None:
        """Return what executes the operation; None where something is wrong with the variables."""
        values = self.variables.coerce(given or {})
        if values is None:
            return None
        return SharingExecutor(
            self.schema,
            self.definitions,
            self.fragments,
            root_value,
            context,
            self.node,
            values,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            is_awaitable=cast("Any", optimized_is_awaitable),
            operation_extensions=extensions,
        )


def read_operation(schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode) -> Operation:
    """Find out what is known of an operation of a document without fault."""
    found = [each for each in document.definitions if isinstance(each, FragmentDefinitionNode)]
    definitions = {each.name.value: each for each in found}
    fragments = {name: FragmentDetails(each, None) for name, each in definitions.items()}
    root = None if node.operation == OperationType.SUBSCRIPTION else _only_field(schema, fragments, node)
    variables = read_variables(schema, node.variable_definitions or ())
    return Operation(schema, node, variables, definitions, fragments, root)


def _only_field(
    schema: GraphQLSchema, fragments: dict[str, FragmentDetails], node: OperationDefinitionNode
) -> Root | None:
    kind = schema.get_root_type(node.operation)
    assert kind is not None  # noqa: S101 (the document is valid)
    nothing = VariableValues({}, {})
    fields, deferred, conditions = collect_fields(
        schema, fragments, nothing, kind, node, forbid_skip_and_include=True
    )
    if len(fields) != 1 or deferred or conditions:
        return None
    ((key, details),) = fields.items()
    nodes = [each.node for each in details]
    definition = schema.get_field(kind, nodes[0].name.value)
    assert definition is not None  # noqa: S101 (as above)
    return Root(
        key,
        kind,
        definition,
        definition.resolve or default_field_resolver,
        read_arguments(definition, nodes[0]),
        details,
        nodes,
        Path(None, key, kind.name),
    )
