"""What the commands of `server/cli.py` do: each opens the database, one transaction, and closes both."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from db import migrate, system, users
from db.enums import Role
from db.session import Database, new_id
from db.users import UserRow
from resolvers import admin
from resolvers.errors import NotFound
from schema.context import utc_now
from server.auth import Tokens
from server.process import open_database
from server.settings import Settings


async def migrate_database(settings: Settings) -> str:
    """Bring the database to the newest tables, and say from where to where."""
    async with _database(settings) as database, database.system() as tx:
        before = await migrate.current_revision(tx)
        await migrate.upgrade(tx)
    newest = migrate.newest_revision()
    if before == newest:
        return f"The database is at {newest}."
    if migrate.is_enough(before):
        return f"The database is at {before}, which is newer than this version of Handoff."
    return f"Migrated from {before or 'nothing'} to {newest}."


async def make_token(settings: Settings, email: str) -> str:
    """Return a token for the user with this address.

    Raises:
        NotFound: nobody has the address, or they may not sign in.
    """
    async with _database(settings) as database:
        user = await _find(database, email)
    if not user.may_sign_in:
        raise NotFound(f"{user.email} is deactivated and cannot sign in.")
    tokens = Tokens(settings.secret.get_secret_value())
    return tokens.sign(user.id, valid_for=timedelta(hours=settings.token_hours))


async def add_account(settings: Settings, name: str) -> UUID:
    """Create an account and return its id."""
    async with _database(settings) as database, database.transaction(new_id()) as tx:
        return await admin.create_account(tx, name, now=utc_now())


async def add_team(settings: Settings, name: str, account: str, emails: Sequence[str]) -> UUID:
    """Create a team in the account with this name, with the members who have these addresses.

    Raises:
        NotFound: an address is of nobody in the account.
    """
    async with _database(settings) as database:
        account_id = await _find_account(database, account)
        async with database.transaction(account_id) as tx:
            known = {user.email: user.id for user in await users.in_account(tx)}
            wanted = list(dict.fromkeys(email.strip().lower() for email in emails))
            for email in wanted:
                if email not in known:
                    raise NotFound(f"No user of {account} has the address {email}.")
            return await admin.create_team(tx, name, [known[email] for email in wanted], now=utc_now())


async def add_user(settings: Settings, email: str, account: str, name: str, role: Role) -> UUID:
    """Add a user to the account with this name and return the id."""
    async with _database(settings) as database:
        account_id = await _find_account(database, account)
        async with database.transaction(account_id) as tx:
            return await admin.add_user(tx, email=email, name=name, role=role, now=utc_now())


async def list_users(settings: Settings, account: str) -> list[str]:
    """Return a line for each user of the account with this name."""
    async with _database(settings) as database:
        account_id = await _find_account(database, account)
        async with database.reading(account_id) as tx:
            found = await users.in_account(tx)
    return [
        f"{user.email}\t{user.role}\t{'active' if user.active else 'inactive'}\t{user.name}" for user in found
    ]


async def deactivate_user(settings: Settings, email: str) -> str:
    """Deactivate the user with this address, and say so."""
    async with _database(settings) as database:
        user = await _find(database, email)
        async with database.transaction(user.account_id) as tx:
            changed = await admin.deactivate_user(tx, user, now=utc_now())
    return f"Deactivated {user.email}." if changed else f"{user.email} was inactive already."


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    database = open_database(settings)
    try:
        yield database
    finally:
        await database.dispose()


async def _find(database: Database, email: str) -> UserRow:
    async with database.system_reading() as tx:
        user = await system.find_user_by_email(tx, email)
    if user is None:
        raise NotFound(f"No user has the address {email}.")
    return user


async def _find_account(database: Database, name: str) -> UUID:
    async with database.system_reading() as tx:
        account_id = await system.find_account(tx, name)
    if account_id is None:
        raise NotFound(f'No account is named "{name}". Create it with: handoff account add "{name}"')
    return account_id
