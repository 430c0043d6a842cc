"""The coarse permission of every root field. Finer rules stand in resolvers/."""

from typing import Any

import strawberry
from graphql import FieldNode, GraphQLResolveInfo, TypeInfo, TypeInfoVisitor, Visitor, visit
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission, PermissionExtension

from db.users import UserRow
from resolvers.errors import Forbidden
from resolvers.identity import require_full, require_full_to_read
from resolvers.permissions import ADMINS_ONLY, is_admin
from schema.context import Context

#: What an API key of scope INGEST does not read, of which object of what: addresses, and what was handed off.
BEYOND_INGEST = frozenset({("User", "email"), ("Session", "handoffs"), ("Session", "escalationPackage")})


class _Permission(BasePermission):
    """What all permissions share: who is not signed in is refused, and an API key beyond its scope."""

    def __init__(self, *, ingest: bool) -> None:
        self._ingest = ingest

    async def _viewer(self, info: strawberry.Info) -> UserRow:
        """Ask who the caller is, as the database has them now; fields below know the account from then on."""
        caller = await _context(info).caller()
        if not self._ingest:
            require_full(caller)
        elif caller.is_ingest_only and _reads_beyond_ingest(info._raw_info):
            require_full_to_read(caller)
        return caller.user


class IsSignedIn(_Permission):
    """Anyone of the account, viewers too."""

    async def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:  # noqa: ANN401
        """Ask who the caller is."""
        await self._viewer(info)
        return True


class MayFollow(IsSignedIn):
    """Anyone of the account, for what runs long. While the database is away, it is waited for."""

    async def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:  # noqa: ANN401
        """Ask who the caller is, as soon as that can be told."""
        outage = _context(info).services.feed.outage
        await outage.outlast(lambda: self._viewer(info))
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


def followers() -> list[FieldExtension]:
    """Return the extensions of a root field that pushes, to everyone of the account."""
    return [PermissionExtension([MayFollow(ingest=False)], use_directives=False)]


def responders(*, ingest: bool = False) -> list[FieldExtension]:
    """Return the extensions of a root field that only responders may use; `ingest` as for `signed_in`."""
    return [PermissionExtension([IsResponder(ingest=ingest)], use_directives=False)]


def admins() -> list[FieldExtension]:
    """Return the extensions of a root field that only owners and admins may use."""
    return [PermissionExtension([IsAdmin(ingest=False)], use_directives=False)]


class _Beyond(Visitor):
    """Notices the fields that a key of scope INGEST does not read."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self._types = types
        self.is_met = False

    def enter_field(self, node: FieldNode, *_: object) -> None:
        """Look at a field."""
        parent = self._types.get_parent_type()
        self.is_met |= parent is not None and (parent.name, node.name.value) in BEYOND_INGEST


def _reads_beyond_ingest(info: GraphQLResolveInfo[Any]) -> bool:
    """Tell whether a document names such a field anywhere, whatever the conditions on it.

    It is asked before anything is done: a mutation that is refused has changed nothing.
    """
    types = TypeInfo(info.schema)
    beyond = _Beyond(types)
    for node in (info.operation, *info.fragments.values()):
        visit(node, TypeInfoVisitor(types, beyond))
    return beyond.is_met


def _context(info: strawberry.Info) -> Context:
    context = info.context
    assert isinstance(context, Context)  # noqa: S101 (the endpoint makes no other)
    return context
