"""`handoff psa`."""

import click

from server.cli.running import load_settings, run_to_end


@click.group()
def psa() -> None:
    """Manage what is kept of ticketing systems. Connections themselves are made over the API.

    Example: handoff psa rotate-keys
    """


@psa.command("rotate-keys")
def rotate_psa_keys() -> None:
    """Encrypt the credentials of all PSA connections anew, under the first of HANDOFF_ENCRYPTION_KEYS.

    Put a new key in front of the old one, restart every process, run this, and take the old key away.

    Example: HANDOFF_ENCRYPTION_KEYS=NEW,OLD handoff psa rotate-keys
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.rotate_encryption_keys(load_settings())))
