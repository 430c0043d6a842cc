"""Reads documents: parse, limits and validation, each once for a document that is asked again and again."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from strawberry.extensions import SchemaExtension
from strawberry.types.execution import ParseOptions

from schema.limits import Limits, Measure, check, length_of
from schema.remembered import Remembered

#: Documents that are remembered. Beyond that, those asked least lately are read anew.
_REMEMBERED = 512
_MOST_ERRORS = 5
_MOST_LENGTHS = 100  #: of one document, that are remembered
LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was read."""

    node: DocumentNode
    errors: list[GraphQLError]  #: what is wrong with it, whatever its variables are
    #: The variables that decide about the lengths of its lists, with their defaults.
    lengths: Mapping[str, int | None]
    has_choice: bool  #: whether it holds several operations, of which one must be named
    #: What is wrong with it for lengths that were asked for before.
    _measured: dict[tuple[int, ...], list[GraphQLError]] = field(default_factory=dict)

    def errors_for(self, schema: GraphQLSchema, variables: Mapping[str, Any] | None) -> list[GraphQLError]:
        """Return what is wrong with it for these variables."""
        if self.errors or not self.lengths:
            return self.errors
        given = variables or {}
        lengths = tuple([length_of(given.get(name, default)) for name, default in self.lengths.items()])
        if lengths not in self._measured:
            if len(self._measured) >= _MOST_LENGTHS:
                self._measured.clear()
            self._measured[lengths] = check(Measure(schema, self.node, given).worst(), LIMITS)
        return self._measured[lengths]


_PARSED: Remembered[DocumentNode] = Remembered(_REMEMBERED)
_READ: Remembered[Document] = Remembered(_REMEMBERED)


class Documents(SchemaExtension):
    """Strawberry's hooks around reading a document. Nothing is executed that has not passed here."""

    def __init__(self, allowed: Mapping[str, str] | None = None) -> None:
        """Take the only documents that are answered, by their hash; None answers any."""
        super().__init__()
        self._allowed = allowed

    def on_parse(self) -> Iterator[None]:
        """Parse, or find what was parsed.

        What cannot be parsed is left to Strawberry, which parses it again within the same limits: raised
        from here, the error would reach the client past `PublicErrors`, without a code (0.341.2).
        """
        limits = {"max_lexical_tokens": LIMITS.tokens, "max_source_length": LIMITS.characters}
        self.execution_context.parse_options = cast("ParseOptions", limits)
        with suppress(GraphQLError, RecursionError):
            self.execution_context.graphql_document = _parse(self.execution_context.query or "")
        yield

    def on_validate(self) -> Iterator[None]:
        """Measure and validate, or find what was found."""
        context = self.execution_context
        if self._allowed is not None and context.query not in self._allowed.values():
            context.pre_execution_errors = [
                GraphQLError("This server answers only the documents on its list.")
            ]
            yield
            return
        schema: GraphQLSchema = context.schema._schema
        document = read(schema, context.query or "")
        errors = document.errors_for(schema, context.variables)
        if document.has_choice and context._provided_operation_name is None:
            # Strawberry would execute the first (0.341.2); GraphQL section 6.1, GetOperation, forbids it.
            errors = [*errors, GraphQLError("The document has several operations. Name one: operationName.")]
        context.pre_execution_errors = list(errors)
        yield


def read_manifest(text: str) -> dict[str, str]:
    """Return the documents of a manifest by hash, as @graphql-codegen's persisted documents have them.

    Raises:
        ValueError: it is no such manifest.
    """
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or not all(isinstance(value, str) for value in manifest.values()):
        raise ValueError("a manifest is an object of documents by hash")
    return manifest


def find_document(
    allowed: Mapping[str, str] | None, query: str | None, extensions: Mapping[str, Any] | None
) -> str:
    """Return the document that a request asks for, by its text or by its hash; "" for none."""
    if query or allowed is None:
        return query or ""
    return allowed.get(_hash_of(extensions) or "", "")


def is_subscription(query: str, operation_name: str | None) -> bool:
    """Tell whether a document's operation is a subscription; one that cannot be read is none."""
    operation = _operation_in(query, operation_name)
    return operation is not None and operation.operation == OperationType.SUBSCRIPTION


def mutations_in(query: str, operation_name: str | None) -> list[str]:
    """Return the names of the mutations that a document's operation asks for, without those in fragments."""
    operation = _operation_in(query, operation_name)
    if operation is None or operation.operation != OperationType.MUTATION:
        return []
    return [node.name.value for node in operation.selection_set.selections if isinstance(node, FieldNode)]


def _operation_in(query: str, operation_name: str | None) -> OperationDefinitionNode | None:
    """Return an operation of a document that strangers may have sent, and that is not remembered for them."""
    try:
        return get_operation_ast(_PARSED.get(query) or _parse_anew(query), operation_name)
    except (GraphQLError, RecursionError):
        return None


def _hash_of(extensions: Mapping[str, Any] | None) -> str | None:
    persisted = (extensions or {}).get("persistedQuery")
    hash_ = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    return hash_ if isinstance(hash_, str) else None


def _of_client(error: GraphQLError) -> GraphQLError:
    """Return an error of validation as the client's mistake, whatever Python raised at a literal."""
    if not isinstance(error.original_error, ValueError):
        return error
    return GraphQLError(error.message, error.nodes, error.source, error.positions)


def _parse(query: str) -> DocumentNode:
    node = _PARSED.get(query)
    if node is None:
        node = _parse_anew(query)
        _PARSED.keep(query, [node], node)
    return node


def _parse_anew(query: str) -> DocumentNode:
    return parse(query, max_lexical_tokens=LIMITS.tokens, max_source_length=LIMITS.characters)


def read(schema: GraphQLSchema, query: str) -> Document:
    """Read a document, or find what was read.

    Raises:
        GraphQLError, RecursionError: it cannot be parsed.
    """
    document = _READ.get((schema, query))
    if document is None:
        document = _read_anew(schema, query)
        _READ.keep((schema, query), [document.node], document)
    return document


def _read_anew(schema: GraphQLSchema, query: str) -> Document:
    # Measured before it is validated: validation visits fragments as often as they are spread.
    node = _parse(query)
    measure = Measure(schema, node, {})
    usage = measure.worst()
    if measure.lengths:
        usage = replace(usage, cost=0)  # measured again for each set of variables
    errors = check(usage, LIMITS)
    if not errors:
        found = validate(schema, node, specified_rules, max_errors=_MOST_ERRORS, hide_suggestions=True)
        errors = [_of_client(error) for error in found]
    operations = [each for each in node.definitions if isinstance(each, OperationDefinitionNode)]
    return Document(node, errors, measure.lengths, len(operations) > 1)
