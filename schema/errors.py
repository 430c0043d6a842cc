"""What a client learns of a failure: a sentence and a code, and nothing else.

UNAUTHENTICATED   no valid token
FORBIDDEN         the role does not allow it
BAD_USER_INPUT    the document or an argument can be corrected; the message says how
NOT_FOUND         nothing in the account has the id
RATE_LIMITED      too many at once; `retryAfter` has the seconds to wait
UNAVAILABLE       nothing was done, as the database is away, or who asks cannot be known now; `retryAfter`
                  has the seconds to wait
OUTCOME_UNKNOWN   the database went away amid a mutation, which may have been done, or a part of it
INTERNAL          anything unexpected; the log has the cause
"""

import logging
import re
from collections.abc import Iterator

from graphql import (
    ExecutionResult,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
)
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import MaskErrors
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from db.errors import CommitInDoubtError, driver_fault, is_away
from resolvers.errors import (
    BadInput,
    Forbidden,
    HandoffNotFound,
    NotFound,
    RateLimited,
    Refusal,
    SessionNotFound,
    TokenUnchecked,
    Unauthenticated,
)

log = logging.getLogger(__name__)

#: What is answered while the database is away, and the seconds after which one may ask again.
AWAY = "The database is away. Try again later."
RETRY_SECONDS = 2
_IN_DOUBT = (
    "The database went away before this was answered, and it may have been done. Look before you try again; "
    "to repeat a claim, or whatever takes an idempotencyKey with the same one, does nothing twice."
)

_CODES: dict[type[Refusal], str] = {
    Unauthenticated: "UNAUTHENTICATED",
    TokenUnchecked: "UNAVAILABLE",
    Forbidden: "FORBIDDEN",
    BadInput: "BAD_USER_INPUT",
    NotFound: "NOT_FOUND",
    RateLimited: "RATE_LIMITED",
    HandoffNotFound: "NOT_FOUND",
    SessionNotFound: "NOT_FOUND",
}

#: What is wrong with a request before there is an operation, as Strawberry raises it on streams.
_NO_OPERATION: dict[type[BaseException], str] = {
    MissingQueryError: "Send a document.",
    CannotGetOperationTypeError: "The document has no such operation.",
    InvalidOperationTypeError: "A mutation cannot be made with GET.",
}

#: What graphql-core 3.3 and Strawberry append: names that nobody asked for, and values in Python's spelling.
_APPENDED = re.compile(
    r"(?: Did you mean |, but encountered error 'Exceeds |,? found: | Found: |"
    r"(?:(?<!invalid value)(?<=value)|(?<=a DateTime)): ).*",
    re.DOTALL,
)


class PublicErrors(MaskErrors):
    """Replaces every error of a result by what a client may know of it."""

    def anonymise_error(self, error: GraphQLError) -> GraphQLError:
        """Return the error for the client."""
        context = self.execution_context
        document = context.graphql_document
        named = context._provided_operation_name
        return public_error(error, None if document is None else get_operation_ast(document, named))


def public_error(error: GraphQLError, operation: OperationDefinitionNode | None) -> GraphQLError:
    """Return what a client may know of an error. An unexpected cause is logged here, and only here."""
    cause = _cause(error)
    if isinstance(cause, Refusal):
        return _public(error, cause.message, code_of(cause), **_wait_after(cause))
    if error.extensions and "code" in error.extensions:
        return _public(error, error.message, str(error.extensions["code"]))
    if cause is None:
        return _public(error, _without_hints(error.message), "BAD_USER_INPUT")
    if type(cause) in _NO_OPERATION:
        return _public(error, _NO_OPERATION[type(cause)], "BAD_USER_INPUT")
    log.error("unexpected error", exc_info=cause, extra={"path": error.path})
    if not is_unavailable(cause):
        return _public(error, "Something went wrong on the server. It was logged.", "INTERNAL")
    if _may_be_done(error, cause, operation):
        return _public(error, _IN_DOUBT, "OUTCOME_UNKNOWN")
    return _public(error, AWAY, "UNAVAILABLE", retryAfter=RETRY_SECONDS)


def is_unavailable(fault: BaseException) -> bool:
    """Tell whether a fault says that the database is away, so that the same may be asked again."""
    return driver_fault(fault) is not None and is_away(fault)


def code_of(error: BaseException) -> str:
    """Return the code that a client gets for an exception."""
    cause = _cause(error) if isinstance(error, GraphQLError) else error
    if isinstance(cause, Refusal):
        return _CODES.get(type(cause), "BAD_USER_INPUT")
    if isinstance(cause, CommitInDoubtError):
        return "OUTCOME_UNKNOWN"
    if cause is not None and is_unavailable(cause):
        return "UNAVAILABLE"
    code = error.extensions.get("code") if isinstance(error, GraphQLError) and error.extensions else None
    return str(code or "INTERNAL")


def causes_in(result: ExecutionResult) -> Iterator[Exception]:
    """Yield what was raised while something was executed, behind GraphQL's own errors."""
    for error in result.errors or ():
        cause = _cause(error)
        if isinstance(cause, Exception):
            yield cause


def _cause(error: GraphQLError) -> BaseException | None:
    """Return the innermost exception that is not GraphQL's own."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _wait_after(refusal: Refusal) -> dict[str, int]:
    if isinstance(refusal, RateLimited):
        return {"retryAfter": refusal.retry_after_seconds}
    return {"retryAfter": RETRY_SECONDS} if isinstance(refusal, TokenUnchecked) else {}


def _may_be_done(
    error: GraphQLError, cause: BaseException, operation: OperationDefinitionNode | None
) -> bool:
    """Tell whether something of an operation may be stored although it met an outage.

    What a mutation answers with is read after its commit, and of several the first are committed by then.
    """
    if operation is None or operation.operation != OperationType.MUTATION:
        return False
    is_answering = len(error.path or ()) > 1
    has_one_field = [*map(type, operation.selection_set.selections)] == [FieldNode]
    return isinstance(cause, CommitInDoubtError) or is_answering or not has_one_field


def _without_hints(message: str) -> str:
    """Return a message about a document or its variables, in GraphQL's words."""
    said = _APPENDED.sub("", message).replace("not to be None", "not to be null")
    return said if said.endswith(".") else f"{said}."


def _public(error: GraphQLError, message: str, code: str, **more: object) -> GraphQLError:
    extensions = {"code": code, **more}
    return GraphQLError(
        message, error.nodes, error.source, error.positions, error.path, extensions=extensions
    )
