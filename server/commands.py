"""What the commands of `server/cli` do: each opens the database, one transaction, and closes both.

Those about users and teams stand in modules of their own.
"""

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from db import api_keys, migrate, psa_leases, system, users
from db.api_keys import ApiKeyRow
from db.enums import ApiKeyScope
from db.exports import Span
from db.session import Database, Transaction, new_id
from db.users import UserRow
from notify.psa.vault import CredentialsUnreadable
from resolvers import admin
from resolvers import api_keys as keys
from resolvers.errors import BadInput, NotFound, Refusal
from schema.context import utc_now
from server import auditing, exporting, importing
from server.auth import Tokens
from server.importing import Listener, Tally
from server.output import writing
from server.process import make_gateway, open_database
from server.settings import Settings


async def migrate_database(settings: Settings) -> str:
    """Bring the database to the newest tables, and say from where to where.

    Raises:
        Refusal: others use a table; nothing was changed.
    """
    async with opened(settings) as database, database.owning() as tx:
        before = await migrate.current_revision(tx)
        try:
            await migrate.upgrade(tx)
        except migrate.TableInUse:
            raise Refusal(
                "others use a table that is to be changed, such as a dump or an export. Nothing was changed: "
                'run "handoff migrate" again when they are done.'
            ) from None
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
    async with opened(settings) as database:
        user = await find_user(database, email)
    if not user.may_sign_in:
        raise NotFound(f"{user.email} is deactivated and cannot sign in.")
    tokens = Tokens(settings.secret.get_secret_value())
    return tokens.sign(user.id, valid_for=timedelta(hours=settings.token_hours))


async def add_account(settings: Settings, name: str) -> UUID:
    """Create an account and return its id."""
    async with opened(settings) as database, database.transaction(new_id()) as tx:
        return await admin.create_account(tx, name, now=utc_now())


async def list_accounts(settings: Settings) -> list[str]:
    """Return a line for each account: id and name, apart by a tab."""
    async with opened(settings) as database, database.system_reading() as tx:
        return [f"{account.id}\t{account.name}" for account in await system.all_accounts(tx)]


async def add_key(settings: Settings, email: str, name: str, scope: ApiKeyScope) -> str:
    """Make an API key of the user with this address, and return its token."""
    async with opened(settings) as database:
        user = await find_user(database, email)
        async with database.transaction(user.account_id) as tx:
            made = await keys.create(tx, user, name, scope, actor_id=None, now=utc_now())
    return made.token


async def list_keys(settings: Settings, account: str) -> list[str]:
    """Return a line for each API key of the account with this name."""
    async with reading(settings, account) as tx:
        found = await api_keys.all_of_account(tx)
        makers = [key.created_by_id for key in found if key.created_by_id is not None]
        people = await users.by_ids(tx, [*(key.user_id for key in found), *makers])
    return [_line(key, people) for key in found]


async def revoke_key(settings: Settings, key_id: UUID) -> str:
    """Refuse the API key with this id, and say so."""
    async with opened(settings) as database:
        found = await system.find_api_key(database, key_id)
        if found is None:
            raise NotFound(f"No API key has the id {key_id}.")
        async with database.transaction(found.key.account_id) as tx:
            await keys.revoke(tx, key_id, actor_id=None, now=utc_now())
    is_old = found.key.revoked_at is not None
    return f"“{found.key.name}” was revoked already." if is_old else f"Revoked “{found.key.name}”."


async def rotate_encryption_keys(settings: Settings) -> str:
    """Encrypt the credentials of every PSA connection under the first of the keys, and say how many.

    Raises:
        NotFound: there are no keys.
        BadInput: no key opens some of them. Those that were opened are renewed all the same.
    """
    gateway = make_gateway(settings)
    if gateway is None:
        raise NotFound("HANDOFF_ENCRYPTION_KEYS is not set.")
    renewed, unreadable = 0, []
    async with opened(settings) as database, database.system() as tx:
        for sealed in await psa_leases.all_credentials(tx):
            try:
                again = gateway.vault.renew(sealed.credentials)
            except CredentialsUnreadable:
                unreadable.append(str(sealed.connection_id))
            else:
                renewed += await psa_leases.renew_credentials(tx, sealed, again)
    if unreadable:
        raise BadInput(f"Renewed {renewed}. No key opens the credentials of {', '.join(unreadable)}.")
    return f"Renewed the credentials of {renewed} PSA connection{'' if renewed == 1 else 's'}."


def _line(key: ApiKeyRow, people: Mapping[UUID, UserRow]) -> str:
    state = "active" if key.revoked_at is None else "revoked"
    used = "never" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%dT%H:%MZ}"
    maker = "-" if key.created_by_id is None else people[key.created_by_id].email
    return "\t".join([str(key.id), key.scope, state, used, people[key.user_id].email, key.name, maker])


async def export_account(
    settings: Settings, account: str, span: Span, file: Path | None, *, tell: Callable[[int], None]
) -> dict[str, int]:
    """Write the work of the account to a file, or to standard output; return how many records of each type.

    Raises:
        BadInput: it cannot be written.
    """
    async with opened(settings) as database:
        account_id = await find_account(database, account)
        with writing(file, sys.stdout.buffer) as output:
            return await exporting.export_account(database, account_id, span, output, tell=tell)


async def import_sessions(
    settings: Settings, file: BinaryIO, account: str, email: str, listener: Listener, *, dry_run: bool
) -> Tally:
    """Store the sessions of a file in the account, as those of the user with this address.

    Raises:
        NotFound: the address is of nobody in the account.
        BadInput: they may not have sessions.
    """
    async with opened(settings) as database:
        account_id = await find_account(database, account)
        owner = await find_user(database, email)
        if owner.account_id != account_id:
            raise NotFound(f"No user of {account} has the address {owner.email}.")
        return await importing.import_sessions(database, owner, file, listener, dry_run=dry_run)


async def list_refusals(settings: Settings, account: str | None, since: datetime | None) -> None:
    """Write the refused mutations of the account to standard output; of nobody signed in where there is none.

    Raises:
        BadInput: it cannot be written.
    """
    async with opened(settings) as database:
        account_id = None if account is None else await find_account(database, account)
        with writing(None, sys.stdout.buffer) as output:
            await auditing.write_refusals(database, account_id, since, output)


async def prune_refusals(settings: Settings, before: datetime) -> str:
    """Delete the refused mutations before an instant, and say how many."""
    async with opened(settings) as database:
        deleted = await auditing.prune_refusals(database, before)
    return f"Deleted {deleted:,} refusal{'' if deleted == 1 else 's'}."


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Open the database while the block runs."""
    database = open_database(settings)
    try:
        yield database
    finally:
        await database.dispose()


@asynccontextmanager
async def changing(settings: Settings, account: str) -> AsyncIterator[Transaction]:
    """Open the database, and the transaction of a command that changes the account with this name.

    Raises:
        NotFound: there is no such account.
    """
    async with opened(settings) as database:
        account_id = await find_account(database, account)
        async with database.transaction(account_id) as tx:
            yield tx


@asynccontextmanager
async def reading(settings: Settings, account: str) -> AsyncIterator[Transaction]:
    """Open the database, and what reads the account with this name.

    Raises:
        NotFound: there is no such account.
    """
    async with opened(settings) as database:
        account_id = await find_account(database, account)
        async with database.reading(account_id) as tx:
            yield tx


async def find_user(database: Database, email: str) -> UserRow:
    """Return the user with this address, also a deleted one.

    Raises:
        NotFound: nobody has it.
    """
    async with database.system_reading() as tx:
        user = await system.find_user_by_email(tx, email)
    if user is None:
        raise NotFound(f"No user has the address {email}.")
    return user


async def find_account(database: Database, account: str) -> UUID:
    """Return the id of the account with this name, or else with this id.

    Raises:
        NotFound: there is none.
    """
    async with database.system_reading() as tx:
        account_id = await system.find_account(tx, account)
        if account_id is None:
            with suppress(ValueError):
                account_id = UUID(account) if await system.account_exists(tx, UUID(account)) else None
    if account_id is None:
        raise NotFound(
            f'No account is named "{account}". "handoff account list" shows those that there are; '
            f'to create it: handoff account add "{account}"'
        )
    return account_id
