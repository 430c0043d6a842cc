"""`handoff account`."""

import click

from server.cli.running import load_settings, run_to_end


@click.group()
def account() -> None:
    """Manage accounts (tenants).

    Example: handoff account add "Northwind IT"
    """


@account.command("list")
def list_accounts() -> None:
    """List the accounts: id and name, apart by a tab.

    Example: handoff account list
    """
    from server import commands

    for line in run_to_end(lambda: commands.list_accounts(load_settings())):
        click.echo(line)


@account.command("add")
@click.argument("name")
def add_account(name: str) -> None:
    """Create an account and print its id.

    Example: handoff account add "Northwind IT"

    Next, add its people: handoff user add --help
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.add_account(load_settings(), name)))
