"""The coarse permission of every root field. Finer rules stand in resolvers/."""

from typing import Any

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission, PermissionExtension

from db.users import UserRow
from resolvers.errors import Forbidden
from resolvers.identity import require_full
from resolvers.permissions import ADMINS_ONLY, is_admin
from schema.context import Context


class _Permission(BasePermission):
    """What all permissions share: who is not signed in is refused, and an API key beyond its scope."""

    def __init__(self, *, ingest: bool) -> None:
        self._ingest = ingest

    async def _viewer(self, info: strawberry.Info) -> UserRow:
        """Ask who the caller is, as the database has them now; fields below know the account from then on."""
        caller = await _context(info).caller()
        if not self._ingest:
            require_full(caller)
        return caller.user


class IsSignedIn(_Permission):
    """Anyone of the account, viewers too."""

    async def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:  # noqa: ANN401
        """Ask who the caller is."""
        await self._viewer(info)
        return True


class IsResponder(_Permission):
    """Owners, admins and engineers."""

    message = str(Forbidden().message)
    error_extensions = {"code": "FORBIDDEN"}  # noqa: RUF012 (Strawberry's own declaration)

    async def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:  # noqa: ANN401
        """Ask for the role as the database has it now."""
        return (await self._viewer(info)).is_responder


class IsAdmin(_Permission):
    """Owners and admins."""

    message = ADMINS_ONLY
    error_extensions = {"code": "FORBIDDEN"}  # noqa: RUF012 (Strawberry's own declaration)

    async def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:  # noqa: ANN401
        """Ask for the role as the database has it now."""
        return is_admin(await self._viewer(info))


def signed_in(*, ingest: bool = False) -> list[FieldExtension]:
    """Return the extensions of a root field that everyone of the account may use.

    `ingest`: also with an API key that may only feed sessions in.
    """
    return [PermissionExtension([IsSignedIn(ingest=ingest)], use_directives=False)]


def responders(*, ingest: bool = False) -> list[FieldExtension]:
    """Return the extensions of a root field that only responders may use; `ingest` as for `signed_in`."""
    return [PermissionExtension([IsResponder(ingest=ingest)], use_directives=False)]


def admins() -> list[FieldExtension]:
    """Return the extensions of a root field that only owners and admins may use."""
    return [PermissionExtension([IsAdmin(ingest=False)], use_directives=False)]


def _context(info: strawberry.Info) -> Context:
    context = info.context
    assert isinstance(context, Context)  # noqa: S101 (the endpoint makes no other)
    return context
