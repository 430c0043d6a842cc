"""`handoff token`."""

import click

from server.cli.running import load_settings, run_to_end


@click.command()
@click.argument("email")
def token(email: str) -> None:
    """Print a token for the user with this address, alone on stdout.

    Send it as "Authorization: Bearer TOKEN". It is valid for HANDOFF_TOKEN_HOURS.

    Example: handoff token engineer@demo.test
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.make_token(load_settings(), email)))
