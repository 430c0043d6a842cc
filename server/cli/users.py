"""`handoff user`."""

import click

from db.enums import Role
from server.cli.running import load_settings, run_to_end


@click.group()
def user() -> None:
    """Manage the people of an account.

    Example: handoff user list --account "Northwind IT"
    """


@user.command("add")
@click.argument("email")
@click.option("--account", "account_name", required=True, help="The account's name.")
@click.option("--name", required=True, help="The person's name.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role], case_sensitive=False),
    default=Role.ENGINEER.value,
    show_default=True,
    help="What they may do.",
)
def add_user(email: str, account_name: str, name: str, role: str) -> None:
    """Add a user and print the id.

    Example: handoff user add bo@northwind.example --account "Northwind IT" --name "Bo Berg"
    """
    from server import commands

    click.echo(
        run_to_end(lambda: commands.add_user(load_settings(), email, account_name, name, Role(role.upper())))
    )


@user.command("list")
@click.option("--account", "account_name", required=True, help="The account's name.")
def list_users(account_name: str) -> None:
    """List the users of an account: address, role, state and name, apart by tabs.

    Example: handoff user list --account "Northwind IT"
    """
    from server import commands

    for line in run_to_end(lambda: commands.list_users(load_settings(), account_name)):
        click.echo(line)


@user.command("deactivate")
@click.argument("email")
def deactivate_user(email: str) -> None:
    """Deactivate a user: they can sign in no more and are told nothing. History keeps their name.

    Example: handoff user deactivate bo@northwind.example
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.deactivate_user(load_settings(), email)))


@user.command("sign-out")
@click.argument("email")
def sign_out_user(email: str) -> None:
    """Refuse every token that a user was given so far. They may sign in again; API keys stay.

    Example: handoff user sign-out bo@northwind.example
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.sign_out_user(load_settings(), email)))
