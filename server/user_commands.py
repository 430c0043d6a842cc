"""What `handoff user` does: each command opens the database, one transaction, and closes both."""

from uuid import UUID

from db import users
from db.enums import Role
from db.users import UserRow
from resolvers import admin, people
from resolvers.errors import BadInput, EmailTaken
from resolvers.people import UserChanges
from schema.context import utc_now
from server.commands import changing, find_user, opened, reading
from server.settings import Settings


async def add_user(settings: Settings, email: str, account: str, name: str, role: Role) -> UUID:
    """Add a user to the account with this name and return the id.

    Raises:
        EmailTaken: somebody who may sign in has the address.
        BadInput: somebody who may not has it, and stands in no list if they were removed.
    """
    try:
        async with changing(settings, account) as tx:
            return await admin.add_user(tx, email=email, name=name, role=role, now=utc_now())
    except EmailTaken as taken:
        if taken.taken_by is None or taken.taken_by.may_sign_in:
            raise
        raise BadInput(f"{taken} The command: handoff user activate {taken.taken_by.email}") from None


async def list_users(settings: Settings, account: str) -> list[str]:
    """Return a line for each user of the account with this name."""
    async with reading(settings, account) as tx:
        found = await users.in_account(tx)
    return [user_line(user) for user in found]


def user_line(user: UserRow) -> str:
    """Return what a list tells of a user: address, role, state and name, apart by tabs."""
    return f"{user.email}\t{user.role}\t{'active' if user.active else 'inactive'}\t{user.name}"


async def set_user(settings: Settings, email: str, changes: UserChanges) -> str:
    """Change the user with this address, and say so."""
    changed = await _change_user(settings, email, changes)
    return f"Changed {email.strip().lower()}." if changed else f"{email.strip().lower()} is so already."


async def deactivate_user(settings: Settings, email: str) -> str:
    """Deactivate the user with this address, and say so."""
    changed = await _change_user(settings, email, UserChanges(active=False))
    who = email.strip().lower()
    return f"Deactivated {who}." if changed else f"{who} was inactive already."


async def activate_user(settings: Settings, email: str) -> str:
    """Bring the user with this address back, and say so."""
    changed = await _change_user(settings, email, UserChanges(active=True))
    who = email.strip().lower()
    return f"Activated {who}." if changed else f"{who} was active already."


async def remove_user(settings: Settings, email: str) -> str:
    """Mark the user with this address as deleted, and say so."""
    async with opened(settings) as database:
        user = await find_user(database, email)
        async with database.transaction(user.account_id) as tx:
            await people.delete(tx, None, user.id, now=utc_now(), grace=settings.grace)
    return f"Removed {user.email}." if user.deleted_at is None else f"{user.email} was removed already."


async def sign_out_user(settings: Settings, email: str) -> str:
    """Refuse every token of the user with this address, and say so."""
    async with opened(settings) as database:
        user = await find_user(database, email)
        async with database.transaction(user.account_id) as tx:
            await admin.sign_out(tx, user, now=utc_now())
    return f"Signed {user.email} out everywhere."


async def _change_user(settings: Settings, email: str, changes: UserChanges) -> bool:
    """Change the user with this address; False where they were so already."""
    async with opened(settings) as database:
        user = await find_user(database, email)
        async with database.transaction(user.account_id) as tx:
            now_is = await people.change(tx, None, user.id, changes, now=utc_now(), grace=settings.grace)
    return now_is != user
