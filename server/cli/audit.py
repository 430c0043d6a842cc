"""`handoff audit`."""

from datetime import datetime

import click

from server.cli.running import load_settings, run_to_end
from server.cli.times import Instant


@click.group(invoke_without_command=True)
@click.option(
    "--account", "account_name", metavar="NAME|ID", help="The account; of nobody signed in unless given."
)
@click.option("--since", metavar="TIME", type=Instant(), help="Only refusals then or later.")
@click.pass_context
def audit(context: click.Context, account_name: str | None, since: datetime | None) -> None:
    """Print the mutations that were refused, oldest first, as JSON Lines.

    Who tried what, when, from which address, and what came of it. A TIME is like 2026-01-31, which begins
    in UTC, or 2026-01-31T09:30:00+01:00. What was done, not refused, is in "handoff export".

    Example: handoff audit --account "Northwind IT" --since 2026-01-31
    """
    if context.invoked_subcommand is not None:
        return
    from server import commands

    run_to_end(lambda: commands.list_refusals(load_settings(), account_name, since))


@audit.command("prune")
@click.option(
    "--before", metavar="TIME", type=Instant(), required=True, help="Only refusals older than this."
)
def prune(before: datetime) -> None:
    """Delete old refusals of all accounts, those of nobody signed in included.

    The service itself cannot delete any. On PostgreSQL the user of HANDOFF_DATABASE_URL must own the
    tables, as for "handoff migrate".

    Example: handoff audit prune --before 2025-01-31
    """
    from server import commands

    click.echo(run_to_end(lambda: commands.prune_refusals(load_settings(), before)))
