"""Who may do what. Roles come from the database at each operation, never from the token."""

from db.enums import ADMIN_ROLES
from db.users import UserRow
from resolvers.errors import Forbidden

ADMINS_ONLY = "Admin access required"


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


def is_admin(viewer: UserRow) -> bool:
    """Tell whether the viewer manages the account."""
    return viewer.may_sign_in and viewer.role in ADMIN_ROLES
