"""The coarse permission of every root field. Finer rules stand in resolvers/."""

from typing import Any

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission, PermissionExtension

from resolvers.errors import Forbidden
from resolvers.permissions import ADMINS_ONLY, is_admin
from schema.context import Context


class IsSignedIn(BasePermission):
    """Anyone of the account, viewers too. `viewer` refuses those who are not signed in."""

    async def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:  # noqa: ANN401
        """Ask who the caller is, so that fields below know the account."""
        await _context(info).viewer()
        return True


class IsResponder(BasePermission):
    """Owners, admins and engineers."""

    message = str(Forbidden().message)
    error_extensions = {"code": "FORBIDDEN"}  # noqa: RUF012 (Strawberry's own declaration)

    async def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:  # noqa: ANN401
        """Ask for the role as the database has it now."""
        return (await _context(info).viewer()).is_responder


class IsAdmin(BasePermission):
    """Owners and admins."""

    message = ADMINS_ONLY
    error_extensions = {"code": "FORBIDDEN"}  # noqa: RUF012 (Strawberry's own declaration)

    async def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:  # noqa: ANN401
        """Ask for the role as the database has it now."""
        return is_admin(await _context(info).viewer())


def signed_in() -> list[FieldExtension]:
    """Return the extensions of a root field that everyone of the account may use."""
    return [PermissionExtension([IsSignedIn()], use_directives=False)]


def responders() -> list[FieldExtension]:
    """Return the extensions of a root field that only responders may use."""
    return [PermissionExtension([IsResponder()], use_directives=False)]


def admins() -> list[FieldExtension]:
    """Return the extensions of a root field that only owners and admins may use."""
    return [PermissionExtension([IsAdmin()], use_directives=False)]


def _context(info: strawberry.Info) -> Context:
    context = info.context
    assert isinstance(context, Context)  # noqa: S101 (the endpoint makes no other)
    return context
