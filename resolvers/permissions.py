"""Who may do what. Roles come from the database at each operation, never from the token."""

from db.enums import ADMIN_ROLES, Role
from db.users import UserRow
from resolvers.errors import Forbidden, Unauthenticated

ADMINS_ONLY = "Admin access required"
#: Each role may do all that those before it may.
_RISING = (Role.VIEWER, Role.ENGINEER, Role.ADMIN, Role.OWNER)


def require_user(user: UserRow | None) -> UserRow:
    """Return the user whom a token or a link names, and refuse who may not sign in.

    Raises:
        Unauthenticated: there is no such user, or they are deactivated or deleted.
    """
    if user is None or not user.may_sign_in:
        raise Unauthenticated("This user cannot sign in any more. Ask an admin of the account.")
    return user


def require_responder(viewer: UserRow) -> None:
    """Refuse everyone who may only read.

    Raises:
        Forbidden: the viewer is not an active owner, admin or engineer.
    """
    if not viewer.is_responder:
        raise Forbidden


def require_admin(viewer: UserRow) -> None:
    """Refuse everyone who does not manage the account.

    Raises:
        Forbidden: the viewer is not an active owner or admin.
    """
    if not is_admin(viewer):
        raise Forbidden(ADMINS_ONLY)


def is_promotion(before: Role, after: Role) -> bool:
    """Tell whether a change of role gives rights."""
    return _RISING.index(after) > _RISING.index(before)


def is_admin(viewer: UserRow) -> bool:
    """Tell whether the viewer manages the account."""
    return viewer.may_sign_in and viewer.role in ADMIN_ROLES
