"""How the log looks: one line an event, its fields at the end as `name=value`."""

import logging
import sys

#: What every record has, and what uvicorn adds for colour.
_OWN = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName", "color_message"}

#: The packages that are ours, and log no values. At `debug` others do: the parameters of statements
#: (aiosqlite), rows (sqlalchemy), frames (websockets), requests. So they are not asked for that.
_OURS = ("server", "schema", "resolvers", "notify", "assist", "db")
#: Clients of language models and PSAs. At `info` they would log where they ask.
_TALKATIVE = ("openai", "anthropic", "httpx", "httpx2", "httpcore2", "pydantic_ai")


class WithFields(logging.Formatter):
    """Adds the fields that were logged with `extra`, which Python's own formatter leaves out."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line; a traceback follows below it."""
        fields = {name: value for name, value in record.__dict__.items() if name not in _OWN}
        return " ".join([super().formatMessage(record), *(f"{name}={fields[name]!r}" for name in fields)])


def set_up(level: str) -> None:
    """Log to standard error from this level on; what is not ours from `info` on at the lowest."""
    lowest = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(WithFields("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=max(lowest, logging.INFO), handlers=[handler])
    if lowest < logging.INFO:
        for name in _OURS:
            logging.getLogger(name).setLevel(lowest)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each look at the revision
    logging.getLogger("uvicorn.error.sockets").setLevel(logging.WARNING)  # of each that is opened
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def name_process(number: int) -> None:
    """Let every line tell which of several processes it is of."""

    def name(record: logging.LogRecord) -> bool:
        record.process_number = number
        return True

    for handler in logging.getLogger().handlers:
        handler.addFilter(name)
