"""`handoff export` and `handoff import`."""

import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click

from server.cli.running import fail, load_settings, run_to_end
from server.cli.times import Instant


@click.command("export")
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="The account.")
@click.option("--since", metavar="TIME", type=Instant(), help="Only handoffs made then or later.")
@click.option("--until", metavar="TIME", type=Instant(), help="Only handoffs made before.")
@click.option(
    "--output",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write; standard output unless given. FILE is there only when it is whole.",
)
def export_account(
    account_name: str, since: datetime | None, until: datetime | None, file: Path | None
) -> None:
    """Write an account's sessions, handoffs, timelines and deliveries as JSON Lines.

    For audits and moves. A TIME is like 2026-01-31, which begins in UTC, or 2026-01-31T09:30:00+01:00.
    All records show the account at one instant, whatever happens meanwhile. They hold what people wrote:
    FILE can be read by you alone. docs/export.md describes the records.

    Example: handoff export --account "Northwind IT" --since 2026-01-01 --output northwind.jsonl
    """
    from resolvers.errors import Refusal
    from resolvers.exports import clean_span
    from server import commands

    try:
        span = clean_span(since, until)
    except Refusal as error:
        raise click.UsageError(str(error)) from None
    is_watched = sys.stderr.isatty()

    def tell(written: int) -> None:
        if is_watched:
            click.echo(f"\r{written:,} records", nl=False, err=True)

    settings = load_settings()
    counts = run_to_end(lambda: commands.export_account(settings, account_name, span, file, tell=tell))
    if is_watched:
        click.echo("\r\033[K", nl=False, err=True)
    if file is not None:
        click.echo(f"Exported {_listed(counts)} to {file}.")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--account", "account_name", metavar="NAME|ID", required=True, help="Where they go.")
@click.option("--owner", "email", metavar="EMAIL", required=True, help="Whose sessions they become.")
@click.option("--dry-run", is_flag=True, help="Check every line, and store nothing.")
def import_sessions(file: Path, account_name: str, email: str, dry_run: bool) -> None:
    """Take sessions in from JSON Lines: a "handoff export", or chats as OpenAI writes them.

    Each line is {"messages": [{"role": "user", "content": "..."}, ...]} or a record of an export, of which
    the sessions are taken and their handoffs are not. Repeat it as often as you like, after an
    interruption too: what is in is passed over. A line that cannot be taken is told with its number, and
    the rest goes on; the exit code is 1 then. docs/export.md says more.

    Example: handoff import chats.jsonl --account "Northwind IT" --owner bo@northwind.example --dry-run
    """
    from server import commands, importing

    settings = load_settings()
    with (
        _opened(file) as stream,
        click.progressbar(
            length=file.stat().st_size, label=file.name, file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar,
    ):
        listener = importing.Listener(
            advance=bar.update, complain=lambda number, why: click.echo(f"{file}:{number}: {why}", err=True)
        )
        tally = run_to_end(
            lambda: commands.import_sessions(settings, stream, account_name, email, listener, dry_run=dry_run)
        )
    click.echo(tally.sentence(dry_run=dry_run))
    if tally.bad:
        sys.exit(1)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        stream = file.open("rb")
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.")
    with stream:
        yield stream


def _listed(counts: dict[str, int]) -> str:
    """Return counts as a list, like "2 sessions, 1 handoff", without what there is none of."""
    return ", ".join(f"{count:,} {_counted(name, count)}" for name, count in counts.items() if count)


def _counted(name: str, count: int) -> str:
    """Return the name of a type of records, as it is for so many."""
    if count == 1:
        return name
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
