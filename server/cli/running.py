"""How a command is run: its settings are read, its work done, and a failure told with a sentence."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    import asyncio

    from server.settings import Settings

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

R = TypeVar("R")

_ADVICE = 'Check HANDOFF_DATABASE_URL, that the server runs, and that "handoff migrate" was run.'


def load_settings() -> "Settings":
    """Read the settings and set logging up; end the program with a sentence where that fails."""
    import logging

    from server import logs
    from server.settings import Settings, SettingsError, unknown_settings

    try:
        settings = Settings.load()
    except SettingsError as error:
        fail(str(error))
    logs.set_up(settings.log_level)
    for name, nearest in unknown_settings().items():
        logging.getLogger(__name__).warning("unknown setting", extra={"setting": name, "nearest": nearest})
    return settings


def run_to_end(
    work: Callable[[], Awaitable[R]], *, loop_factory: "LoopFactory | None" = None, advice: str = _ADVICE
) -> R:
    """Run a command to its end; end the program with a sentence, not a traceback, where it fails.

    `advice` is what to look at where the database refuses.
    """
    import asyncio
    import logging

    from db.errors import DATABASE_FAULTS, words_of
    from resolvers.errors import Refusal
    from server.settings import SettingsError

    async def whole() -> R:
        return await work()

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(whole())
    except (Refusal, SettingsError) as error:
        fail(str(error))
    except DATABASE_FAULTS as error:
        logging.getLogger(__name__).debug("database fault", exc_info=True)
        fail(f"the database cannot be used: {words_of(error)}. {advice} HANDOFF_LOG_LEVEL=debug shows more.")
    except KeyboardInterrupt:
        sys.exit(130)


def fast_loop() -> "LoopFactory":
    """Return uvloop's event loop where there is one. Only uvicorn's own runner would choose it by itself."""
    from uvicorn.loops.auto import auto_loop_factory

    return auto_loop_factory()


def fail(message: str) -> NoReturn:
    """End the program with a sentence and exit code 1."""
    click.echo(f"handoff: {message}", err=True)
    sys.exit(1)
