"""The command line: `handoff COMMAND`. Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TypeVar
from uuid import UUID

import click

from db.enums import ApiKeyScope, Role

if TYPE_CHECKING:
    from server.settings import Settings

R = TypeVar("R")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class Instant(click.ParamType[datetime]):
    """An instant on the command line: a date, which begins in UTC, or a time with its offset."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read an instant; fail with a sentence."""
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time like 2026-01-31 or 2026-01-31T09:30:00+01:00.", param, ctx)
        if at.tzinfo is None and len(str(value)) > len("2026-01-31"):
            self.fail(f"{value!r} needs a time zone, like 2026-01-31T09:30:00Z.", param, ctx)
        return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="handoff")
def main() -> None:
    """Handoff: a stuck engineer's session reaches someone who can finish it.

    Settings are HANDOFF_* variables, or stand in a .env file in the working directory;
    docs/operations.md lists them. On a new machine, start with: handoff run
    """


@main.command()
def run() -> None:
    """Start the whole product with demo data, for a first look.

    Writes .env with the demo flag and a secret if there is none, prepares the database, and serves
    the API together with a mail worker. For production use "handoff migrate", "handoff serve" and
    "handoff worker".
    """
    from server.settings import SettingsError, ensure_demo_file

    try:
        ensure_demo_file()
    except SettingsError as error:
        _fail(str(error))
    _serve()


@main.command()
def serve() -> None:
    """Serve the API, and send mails too unless HANDOFF_WORKER=off.

    In demo mode (HANDOFF_DEMO=1) the database is prepared and demo data created first; otherwise
    run "handoff migrate" before. Any number of these may share one PostgreSQL.
    """
    _serve()


@main.command()
def worker() -> None:
    """Send mails until stopped (SIGTERM finishes those under way).

    Any number of workers may run beside any number of "handoff serve".

    Example: HANDOFF_WORKER=off handoff serve & handoff worker
    """
    from server.worker import run_worker

    settings = _settings()
    _run(lambda: run_worker(settings), loop_factory=_fast_loop())


@main.command()
def migrate() -> None:
    """Bring the database to the newest tables. Safe to repeat, and to run from several machines at once.

    Next, create an account: handoff account add "Northwind IT"
    """
    from server import commands

    click.echo(_run(lambda: commands.migrate_database(_settings())))


@main.command()
@click.argument("email")
def token(email: str) -> None:
    """Print a token for the user with this address, alone on stdout.

    Send it as "Authorization: Bearer TOKEN". It is valid for HANDOFF_TOKEN_HOURS.

    Example: handoff token engineer@demo.test
    """
    from server import commands

    click.echo(_run(lambda: commands.make_token(_settings(), email)))


@main.command("schema")
def print_schema() -> None:
    """Print the GraphQL schema definition.

    Example: handoff schema > schema.graphql
    """
    from schema.build import print_schema as text

    click.echo(text(), nl=False)


@main.group()
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

    click.echo(_run(lambda: commands.add_account(_settings(), name)))


@main.group()
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

    click.echo(_run(lambda: commands.add_team(_settings(), name, account_name, emails)))


@main.group()
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

    click.echo(_run(lambda: commands.add_user(_settings(), email, account_name, name, Role(role.upper()))))


@user.command("list")
@click.option("--account", "account_name", required=True, help="The account's name.")
def list_users(account_name: str) -> None:
    """List the users of an account: address, role, state and name, apart by tabs.

    Example: handoff user list --account "Northwind IT"
    """
    from server import commands

    for line in _run(lambda: commands.list_users(_settings(), account_name)):
        click.echo(line)


@user.command("deactivate")
@click.argument("email")
def deactivate_user(email: str) -> None:
    """Deactivate a user: they can sign in no more and are told nothing. History keeps their name.

    Example: handoff user deactivate bo@northwind.example
    """
    from server import commands

    click.echo(_run(lambda: commands.deactivate_user(_settings(), email)))


@user.command("sign-out")
@click.argument("email")
def sign_out_user(email: str) -> None:
    """Refuse every token that a user was given so far. They may sign in again; API keys stay.

    Example: handoff user sign-out bo@northwind.example
    """
    from server import commands

    click.echo(_run(lambda: commands.sign_out_user(_settings(), email)))


@main.group()
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
    help="INGEST feeds sessions in and nothing else; FULL does whatever the user may.",
)
def add_key(email: str, name: str, scope: str) -> None:
    """Make an API key of the user with this address, and print its token, alone on stdout.

    The token is shown this once. Send it as "Authorization: Bearer TOKEN".

    Example: handoff key add assistant@northwind.example --name "Assistant" --scope ingest
    """
    from server import commands

    click.echo(_run(lambda: commands.add_key(_settings(), email, name, ApiKeyScope(scope.upper()))))


@key.command("list")
@click.option("--account", "account_name", required=True, help="The account's name.")
def list_keys(account_name: str) -> None:
    """List the API keys of an account: id, scope, state, last use, user and name, apart by tabs.

    Example: handoff key list --account "Northwind IT"
    """
    from server import commands

    for line in _run(lambda: commands.list_keys(_settings(), account_name)):
        click.echo(line)


@key.command("revoke")
@click.argument("key_id", metavar="ID", type=click.UUID)
def revoke_key(key_id: UUID) -> None:
    """Refuse an API key from now on. "handoff key list" shows its id.

    Example: handoff key revoke 0198c0de-7a11-7e57-8000-000000000000
    """
    from server import commands

    click.echo(_run(lambda: commands.revoke_key(_settings(), key_id)))


@main.command("export")
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

    settings = _settings()
    counts = _run(lambda: commands.export_account(settings, account_name, span, file, tell=tell))
    if is_watched:
        click.echo("\r\033[K", nl=False, err=True)
    if file is not None:
        click.echo(f"Exported {_listed(counts)} to {file}.")


@main.command("import")
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

    settings = _settings()
    with (
        _opened(file) as stream,
        click.progressbar(
            length=file.stat().st_size, label=file.name, file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar,
    ):
        listener = importing.Listener(
            advance=bar.update, complain=lambda number, why: click.echo(f"{file}:{number}: {why}", err=True)
        )
        tally = _run(
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
        _fail(f"{file} cannot be read: {error.strerror}.")
    with stream:
        yield stream


def _listed(counts: dict[str, int]) -> str:
    """Return counts as a list, like "2 sessions, 1 handoff", without what there is none of."""
    told = [f"{count:,} {name}" for name, count in counts.items() if count]
    return ", ".join(told)


@main.group()
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

    click.echo(_run(lambda: commands.rotate_encryption_keys(_settings())))


def _serve() -> None:
    from server.serving import serve as serve_now

    settings = _settings()
    _run(lambda: serve_now(settings), loop_factory=_fast_loop())


def _fast_loop() -> LoopFactory:
    """Return uvloop's event loop where there is one. Only uvicorn's own runner would choose it by itself."""
    from uvicorn.loops.auto import auto_loop_factory

    return auto_loop_factory()


def _settings() -> "Settings":
    """Read the settings and set logging up; end the program with a sentence where that fails."""
    from server import logs
    from server.settings import Settings, SettingsError

    try:
        settings = Settings.load()
    except SettingsError as error:
        _fail(str(error))
    logs.set_up(settings.log_level)
    return settings


def _run(work: Callable[[], Awaitable[R]], *, loop_factory: LoopFactory | None = None) -> R:
    """Run a command to its end; end the program with a sentence, not a traceback, where it fails."""
    from db.errors import DATABASE_FAULTS
    from resolvers.errors import Refusal
    from server.settings import SettingsError

    async def whole() -> R:
        return await work()

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(whole())
    except (Refusal, SettingsError) as error:
        _fail(str(error))
    except DATABASE_FAULTS as error:
        logging.getLogger(__name__).debug("database fault", exc_info=True)
        _fail(
            f"the database cannot be used ({type(error).__name__}). Check HANDOFF_DATABASE_URL, that the "
            'server runs, and that "handoff migrate" was run. HANDOFF_LOG_LEVEL=debug shows more.'
        )
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str) -> NoReturn:
    click.echo(f"handoff: {message}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
