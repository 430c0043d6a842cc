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
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="The account.")
@click.option("--name", required=True, help="The person's name.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role], case_sensitive=False),
    default=Role.ENGINEER.value.lower(),
    show_default=True,
    help="What they may do.",
)
def add_user(email: str, account_name: str, name: str, role: str) -> None:
    """Add a user and print the id.

    Example: handoff user add bo@northwind.example --account "Northwind IT" --name "Bo Berg"
    """
    from server import user_commands

    click.echo(
        run_to_end(
            lambda: user_commands.add_user(load_settings(), email, account_name, name, Role(role.upper()))
        )
    )


@user.command("list")
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="The account.")
def list_users(account_name: str) -> None:
    """List the users of an account: address, role, state and name, apart by tabs.

    Example: handoff user list --account "Northwind IT"
    """
    from server import user_commands

    for line in run_to_end(lambda: user_commands.list_users(load_settings(), account_name)):
        click.echo(line)


@user.command("set")
@click.argument("email")
@click.option("--name", help="The person's name.")
@click.option("--email", "new_email", help="Their address from now on.")
@click.option(
    "--role", type=click.Choice([role.value for role in Role], case_sensitive=False), help="What they may do."
)
def set_user(email: str, name: str | None, new_email: str | None, role: str | None) -> None:
    """Change the user with this address. It counts at once.

    What somebody had claimed who becomes a viewer goes back into the queue.

    Example: handoff user set bo@northwind.example --role admin
    """
    from resolvers.people import UserChanges
    from server import user_commands

    if name is None and new_email is None and role is None:
        raise click.UsageError("Nothing to change. Give --name, --email or --role.")
    wanted = None if role is None else Role(role.upper())
    changes = UserChanges(name=name, email=new_email, role=wanted)
    click.echo(run_to_end(lambda: user_commands.set_user(load_settings(), email, changes)))


@user.command("deactivate")
@click.argument("email")
def deactivate_user(email: str) -> None:
    """Deactivate a user: they can sign in no more and are told nothing. History keeps their name.

    What they had claimed goes back into the queue. An account's only active owner stays.

    Example: handoff user deactivate bo@northwind.example
    """
    from server import user_commands

    click.echo(run_to_end(lambda: user_commands.deactivate_user(load_settings(), email)))


@user.command("activate")
@click.argument("email")
def activate_user(email: str) -> None:
    """Bring a user back who was deactivated or removed.

    Example: handoff user activate bo@northwind.example
    """
    from server import user_commands

    click.echo(run_to_end(lambda: user_commands.activate_user(load_settings(), email)))


@user.command("remove")
@click.argument("email")
def remove_user(email: str) -> None:
    """Remove a user: as deactivated, and in no list any more. Their address stays theirs.

    Example: handoff user remove bo@northwind.example
    """
    from server import user_commands

    click.echo(run_to_end(lambda: user_commands.remove_user(load_settings(), email)))


@user.command("sign-out")
@click.argument("email")
def sign_out_user(email: str) -> None:
    """Refuse every token that a user was given so far. They may sign in again; API keys stay.

    Example: handoff user sign-out bo@northwind.example
    """
    from server import user_commands

    click.echo(run_to_end(lambda: user_commands.sign_out_user(load_settings(), email)))
