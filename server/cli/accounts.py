"""`handoff account` and `handoff team`."""

import click

from server.cli.running import load_settings, run_to_end


@click.group()
def account() -> None:
    """Manage accounts (tenants).

    Example: handoff account add "Northwind IT"
    """


@account.command("add")
@click.argument("name")
def add_account(name: str) -> None:
    """Create an account and print its id.

    Example: handoff account add "Northwind IT"

    Next, add its people: handoff user add --help
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.add_account(load_settings(), name)))


@click.group()
def team() -> None:
    """Manage the teams of an account.

    Example: handoff team add "Networks" --account "Northwind IT"
    """


@team.command("add")
@click.argument("name")
@click.option("--account", "account_name", required=True, help="The account's name.")
@click.option(
    "--member", "emails", metavar="EMAIL", multiple=True, help="A user of the account. May be repeated."
)
def add_team(name: str, account_name: str, emails: tuple[str, ...]) -> None:
    """Create a team with its members and print its id.

    Example: handoff team add "Networks" --account "Northwind IT" --member bo@northwind.example

    Its id is what startSession and escalationCreated take as teamId.
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.add_team(load_settings(), name, account_name, emails)))


@team.command("list")
@click.option("--account", "account_name", required=True, help="The account's name.")
def list_teams(account_name: str) -> None:
    """List the teams of an account: id, number of members and name, apart by tabs.

    Example: handoff team list --account "Northwind IT"
    """
    from server import commands

    for line in run_to_end(lambda: commands.list_teams(load_settings(), account_name)):
        click.echo(line)


@team.command("rename")
@click.argument("name")
@click.argument("new_name")
@click.option("--account", "account_name", required=True, help="The account's name.")
def rename_team(name: str, new_name: str, account_name: str) -> None:
    """Give a team another name.

    Example: handoff team rename "Networks" "Networking" --account "Northwind IT"
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.rename_team(load_settings(), name, new_name, account_name)))
