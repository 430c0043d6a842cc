"""What `handoff team` does: each command opens the database, one transaction, and closes both."""

from collections.abc import Sequence
from uuid import UUID

from db import teams, users
from db.pages import Page
from db.session import Transaction
from db.teams import TeamRow
from resolvers import admin
from resolvers import teams as managing_teams
from resolvers.errors import NotFound
from schema.context import utc_now
from server.commands import changing, reading
from server.settings import Settings
from server.user_commands import user_line


async def add_team(settings: Settings, name: str, account: str, emails: Sequence[str]) -> UUID:
    """Create a team in the account with this name, with the members who have these addresses.

    Raises:
        NotFound: an address is of nobody in the account.
    """
    async with changing(settings, account) as tx:
        known = {user.email: user.id for user in await users.in_account(tx)}
        wanted = list(dict.fromkeys(email.strip().lower() for email in emails))
        for email in wanted:
            if email not in known:
                raise NotFound(f"No user of {account} has the address {email}.")
        return await admin.create_team(tx, name, [known[email] for email in wanted], now=utc_now())


async def list_teams(settings: Settings, account: str) -> list[str]:
    """Return a line for each team of the account with this name."""
    async with reading(settings, account) as tx:
        found = await teams.all_of_account(tx)
        members = await teams.count_members(tx, [team.id for team in found])
    return [f"{team.id}\t{members[team.id]}\t{team.name}" for team in found]


async def rename_team(settings: Settings, name: str, new_name: str, account: str) -> str:
    """Rename the team with this name in the account with that name, and say so.

    Raises:
        NotFound: the account has no such team.
    """
    async with changing(settings, account) as tx:
        team = await _find_team(tx, name, account)
        renamed = await managing_teams.rename(tx, None, team.id, new_name, now=utc_now())
    return f"Renamed {team.name} to {renamed.name}."


async def list_members(settings: Settings, name: str, account: str) -> list[str]:
    """Return a line for each member of the team with this name.

    Raises:
        NotFound: the account has no such team.
    """
    async with reading(settings, account) as tx:
        team = await _find_team(tx, name, account)
        counted = await teams.count_members(tx, [team.id])
        found = await teams.members_of(tx, [team.id], Page(counted[team.id]))
    return [user_line(user) for user in found[team.id]]


async def set_member(settings: Settings, name: str, email: str, account: str, *, is_member: bool) -> str:
    """Make the user with this address a member of the team with this name, or take them out, and say so.

    Raises:
        NotFound: the account has no such team, or no such user.
    """
    async with changing(settings, account) as tx:
        team = await _find_team(tx, name, account)
        user = await users.by_email(tx, email.strip().lower())
        if user is None:
            raise NotFound(f"No user of {account} has the address {email.strip().lower()}.")
        await managing_teams.set_member(tx, None, team.id, user.id, is_member=is_member, now=utc_now())
    return f"{user.email} is in {team.name}." if is_member else f"{user.email} is not in {team.name}."


async def _find_team(tx: Transaction, name: str, account: str) -> TeamRow:
    team = await teams.by_name(tx, name)
    if team is None:
        raise NotFound(f"{account} has no team named {name}.")
    return team
