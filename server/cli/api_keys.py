"""`handoff key`."""

from uuid import UUID

import click

from db.enums import ApiKeyScope
from server.cli.running import load_settings, run_to_end


@click.group()
def key() -> None:
    """Manage API keys, by which machines sign in.

    Example: handoff key list --account "Northwind IT"
    """


@key.command("add")
@click.argument("email")
@click.option("--name", required=True, help="What the key is for.")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in ApiKeyScope], case_sensitive=False),
    required=True,
    help="INGEST feeds sessions in and reads them, not their handoffs; FULL does whatever the user may.",
)
def add_key(email: str, name: str, scope: str) -> None:
    """Make an API key of the user with this address, and print its token, alone on stdout.

    The token is shown this once. Send it as "Authorization: Bearer TOKEN".

    Example: handoff key add assistant@northwind.example --name "Assistant" --scope ingest
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.add_key(load_settings(), email, name, ApiKeyScope(scope.upper()))))


@key.command("list")
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="The account.")
def list_keys(account_name: str) -> None:
    """List the API keys of an account: id, scope, state, last use, user, name and maker, apart by tabs.

    Who made a key may know its token. "-" made it at the command line.

    Example: handoff key list --account "Northwind IT"
    """
    from server import commands

    for line in run_to_end(lambda: commands.list_keys(load_settings(), account_name)):
        click.echo(line)


@key.command("revoke")
@click.argument("key_id", metavar="ID", type=click.UUID)
def revoke_key(key_id: UUID) -> None:
    """Refuse an API key from now on. "handoff key list" shows its id.

    Example: handoff key revoke 0198c0de-7a11-7e57-8000-000000000000
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.revoke_key(load_settings(), key_id)))
