"""`handoff run`, `serve` and `worker`: what goes on until it is stopped."""

import click

from server.cli.running import fail, fast_loop, load_settings, run_to_end


@click.command()
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
        fail(str(error))
    _serve()


@click.command()
def serve() -> None:
    """Serve the API, and send mails too unless HANDOFF_WORKER=off.

    In demo mode (HANDOFF_DEMO=1) the database is prepared and demo data created first; otherwise
    run "handoff migrate" before. Any number of these may share one PostgreSQL.
    """
    _serve()


@click.command()
def worker() -> None:
    """Send mails until stopped (SIGTERM finishes those under way).

    Any number of workers may run beside any number of "handoff serve".

    Example: HANDOFF_WORKER=off handoff serve & handoff worker
    """
    from server.worker import run_worker

    settings = load_settings()
    run_to_end(lambda: run_worker(settings), loop_factory=fast_loop())


def _serve() -> None:
    from server.serving import serve as serve_now

    settings = load_settings()
    run_to_end(lambda: serve_now(settings), loop_factory=fast_loop())
