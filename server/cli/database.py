"""`handoff migrate`."""

import click

from server.cli.running import load_settings, run_to_end


@click.command()
def migrate() -> None:
    """Bring the database to the newest tables. Safe to repeat, and to run from several machines at once.

    Next, create an account: handoff account add "Northwind IT"
    """
    from server import commands

    said = run_to_end(
        lambda: commands.migrate_database(load_settings()),
        advice="Nothing was changed. Check HANDOFF_DATABASE_URL, that the server runs, and that its user "
        "owns the tables.",
    )
    click.echo(said)
