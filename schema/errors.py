"""What a client learns of a failure: a sentence and a code, and nothing else.

UNAUTHENTICATED   no valid token
FORBIDDEN         the role does not allow it
BAD_USER_INPUT    the document or an argument can be corrected; the message says how
NOT_FOUND         nothing in the account has the id
INTERNAL          anything unexpected; the log has the cause
"""

import logging
import re

from graphql import GraphQLError
from strawberry.extensions import MaskErrors

from resolvers.errors import (
    BadInput,
    Forbidden,
    HandoffNotFound,
    NotFound,
    Refusal,
    SessionNotFound,
    Unauthenticated,
)

log = logging.getLogger(__name__)

_CODES: dict[type[Refusal], str] = {
    Unauthenticated: "UNAUTHENTICATED",
    Forbidden: "FORBIDDEN",
    BadInput: "BAD_USER_INPUT",
    NotFound: "NOT_FOUND",
    HandoffNotFound: "NOT_FOUND",
    SessionNotFound: "NOT_FOUND",
}

#: What graphql-core 3.3 and Strawberry append: names that nobody asked for, and values in Python's spelling.
_APPENDED = re.compile(
    r"(?: Did you mean |,? found: | Found: |(?:(?<!invalid value)(?<=value)|(?<=a DateTime)): ).*", re.DOTALL
)


class PublicErrors(MaskErrors):
    """Replaces every error of a result by what a client may know of it."""

    def anonymise_error(self, error: GraphQLError) -> GraphQLError:
        """Return the error for the client. An unexpected cause is logged here, and only here."""
        cause = _cause(error)
        if isinstance(cause, Refusal):
            return _public(error, cause.message, _CODES.get(type(cause), "BAD_USER_INPUT"))
        if error.extensions and "code" in error.extensions:
            return _public(error, error.message, str(error.extensions["code"]))
        if cause is None:
            return _public(error, _without_hints(error.message), "BAD_USER_INPUT")
        log.error("unexpected error", exc_info=cause, extra={"path": error.path})
        return _public(error, "Something went wrong on the server. It was logged.", "INTERNAL")


def _cause(error: GraphQLError) -> BaseException | None:
    """Return the innermost exception that is not GraphQL's own."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _without_hints(message: str) -> str:
    """Return a message about a document or its variables, in GraphQL's words."""
    said = _APPENDED.sub("", message).replace("not to be None", "not to be null")
    return said if said.endswith(".") else f"{said}."


def _public(error: GraphQLError, message: str, code: str) -> GraphQLError:
    return GraphQLError(
        message, error.nodes, error.source, error.positions, error.path, extensions={"code": code}
    )
