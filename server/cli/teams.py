"""`handoff team`."""

import click

from server.cli.running import load_settings, run_to_end


@click.group()
def team() -> None:
    """Manage the teams of an account.

    Example: handoff team add "Networks" --account "Northwind IT"
    """


@team.command("add")
@click.argument("name")
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="The account.")
@click.option(
    "--member", "emails", metavar="EMAIL", multiple=True, help="A user of the account. May be repeated."
)
def add_team(name: str, account_name: str, emails: tuple[str, ...]) -> None:
    """Create a team with its members and print its id.

    Example: handoff team add "Networks" --account "Northwind IT" --member bo@northwind.example

    Its id is what startSession and escalationCreated take as teamId.
    """
    from server import team_commands

    click.echo(run_to_end(lambda: team_commands.add_team(load_settings(), name, account_name, emails)))


@team.command("list")
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="The account.")
def list_teams(account_name: str) -> None:
    """List the teams of an account: id, number of members and name, apart by tabs.

    Example: handoff team list --account "Northwind IT"
    """
    from server import team_commands

    for line in run_to_end(lambda: team_commands.list_teams(load_settings(), account_name)):
        click.echo(line)


@team.command("rename")
@click.argument("name")
@click.argument("new_name")
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="The account.")
def rename_team(name: str, new_name: str, account_name: str) -> None:
    """Give a team another name.

    Example: handoff team rename "Networks" "Networking" --account "Northwind IT"
    """
    from server import team_commands

    click.echo(run_to_end(lambda: team_commands.rename_team(load_settings(), name, new_name, account_name)))


@team.command("members")
@click.argument("name")
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="The account.")
def list_members(name: str, account_name: str) -> None:
    """List who is in a team: address, role, state and name, apart by tabs.

    Example: handoff team members "Networks" --account "Northwind IT"
    """
    from server import team_commands

    for line in run_to_end(lambda: team_commands.list_members(load_settings(), name, account_name)):
        click.echo(line)


@team.command("add-member")
@click.argument("name")
@click.argument("email")
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="The account.")
def add_member(name: str, email: str, account_name: str) -> None:
    """Make a user a member of a team; repeated, it changes nothing.

    Example: handoff team add-member "Networks" bo@northwind.example --account "Northwind IT"
    """
    _set_member(name, email, account_name, is_member=True)


@team.command("remove-member")
@click.argument("name")
@click.argument("email")
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="The account.")
def remove_member(name: str, email: str, account_name: str) -> None:
    """Take a user out of a team; repeated, it changes nothing.

    Example: handoff team remove-member "Networks" bo@northwind.example --account "Northwind IT"
    """
    _set_member(name, email, account_name, is_member=False)


def _set_member(name: str, email: str, account_name: str, *, is_member: bool) -> None:
    from server import team_commands

    change = team_commands.set_member
    click.echo(run_to_end(lambda: change(load_settings(), name, email, account_name, is_member=is_member)))
