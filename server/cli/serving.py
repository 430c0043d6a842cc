"""`handoff run`, `serve` and `worker`: what goes on until it is stopped."""

import sys
from typing import TYPE_CHECKING

import click

from server.cli.running import fail, fast_loop, load_settings, run_to_end

if TYPE_CHECKING:
    from socket import socket

    from server.settings import Settings


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
    _serve(load_settings())


@click.command()
@click.option(
    "--workers",
    "count",
    metavar="N",
    type=click.IntRange(1, 64),
    help="How many processes share the address; HANDOFF_WORKERS, or 1, unless given.",
)
def serve(count: int | None) -> None:
    """Serve the API, and send mails too unless HANDOFF_WORKER=off.

    In demo mode (HANDOFF_DEMO=1) the database is prepared and demo data created first; otherwise
    run "handoff migrate" before. Any number of these may share one PostgreSQL.

    One process uses one processor. N of them need PostgreSQL and HANDOFF_BROADCAST_URL; one that dies is
    started anew.

    Example: handoff serve --workers 4
    """
    settings = load_settings()
    _serve(settings if count is None else settings.model_copy(update={"workers": count}))


@click.command()
def worker() -> None:
    """Send mails until stopped (SIGTERM finishes those under way).

    Any number of workers may run beside any number of "handoff serve".

    Example: HANDOFF_WORKER=off handoff serve & handoff worker
    """
    from server.worker import run_worker

    settings = load_settings()
    run_to_end(lambda: run_worker(settings), loop_factory=fast_loop())


def _serve(settings: "Settings") -> None:
    from server import serving

    if settings.workers == 1:
        run_to_end(lambda: serving.serve(settings), loop_factory=fast_loop())
    else:
        _serve_together(settings)


def _serve_together(settings: "Settings") -> None:
    from server import serving
    from server.collector import settle_collector
    from server.listening import listen
    from server.settings import SettingsError
    from server.supervisor import Place, Supervisor, run_aside

    def work(place: Place) -> None:
        run_to_end(lambda: serving.serve_beside(settings, place, listeners), loop_factory=fast_loop())

    try:
        serving.check_processes(settings)
        if run_aside(lambda: run_to_end(lambda: serving.prepare(settings))):
            sys.exit(1)
        listeners = listen(settings)
        settle_collector()  # what is shared with the children stays so while nobody writes to it
    except SettingsError as error:
        fail(str(error))
    sys.exit(Supervisor(settings.workers, work).run(when_ending=lambda: _close(listeners)))


def _close(listeners: "list[socket]") -> None:
    for listener in listeners:
        listener.close()
