"""Tells of an outage of the database in a few lines of the log, however much fails meanwhile.

Every loop, and every request, fails again and again while the database is away, and each would log a
traceback. So a filter of the log lets a fault of the database through once, and counts what comes after it.
Somebody looks at the database as soon as there was a fault, and until there is none: they say what is wrong,
once a minute, and when it is over.

Only what says that the database cannot work is held back. What was asked of it wrongly is a fault of ours,
and is logged each time.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import ref

from db.errors import driver_fault, is_outage, words_of
from db.session import Database
from server.health import Condition, look_at

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_REPEAT_SECONDS = 60.0
#: Faults that are remembered. Their words come from outside, and could differ each time.
_MOST_KINDS = 200


@dataclass(slots=True)
class _Told:
    """What was logged of one kind of fault."""

    at: float
    held_back: int = 0  #: how often it was not logged since then


@dataclass(slots=True)
class _Outage:
    """From the first look that found the database away, or without its tables, to the first that did not."""

    condition: Condition
    began_at: float
    told_at: float
    held_back: int = 0
    messages: set[tuple[str, str]] = field(default_factory=set)  #: by the name of their logger


class Outages(logging.Filter):
    """The filter of a process, and who looks. Start it before all that uses the database; stop it last."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._database = database
        self._clock = clock
        self._outage: _Outage | None = None
        self._told: dict[tuple[str, str, str], _Told] = {}
        #: The last record, and what was found of it; weakly, since its traceback holds all that had failed.
        self._last: tuple[Callable[[], logging.LogRecord | None], bool] = (lambda: None, True)
        self._doubted = asyncio.Event()  #: there was a fault, and nobody has looked since
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look once, and begin to hold back."""
        self._take(await look_at(self._database))
        for handler in logging.getLogger().handlers:
            handler.addFilter(self)
        self._task = asyncio.create_task(self._keep_looking())

    async def stop(self) -> None:
        """Hold nothing back any more."""
        for handler in logging.getLogger().handlers:
            handler.removeFilter(self)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is to be logged; take its traceback off where that was logged before."""
        seen, is_logged = self._last
        if seen() is not record:  # each handler asks, and the first answer counts
            is_logged = self._judge(record)
            self._last = (ref(record), is_logged)
        return is_logged

    def _judge(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is None and self._outage is not None:
            error = sys.exc_info()[1]  # what is logged without its traceback, where it was caught
        fault = driver_fault(error)
        if fault is None:
            return True
        self._doubted.set()
        if self._outage is not None:
            return self._judge_amid(self._outage, record, fault)
        return not is_outage(fault) or self._is_new(record, fault)

    def _judge_amid(self, outage: _Outage, record: logging.LogRecord, fault: BaseException) -> bool:
        """Let each message through once, and none where it is said already what is to be done."""
        message = (record.name, str(record.msg))
        if outage.condition.fault is None or message in outage.messages:
            outage.held_back += 1
            return False
        outage.messages.add(message)
        self._told.setdefault(self._kind_of(record, fault), _Told(self._clock()))
        return True

    def _is_new(self, record: logging.LogRecord, fault: BaseException) -> bool:
        """Tell whether the same was not logged within the last minute; it says what was held back since."""
        now = self._clock()
        self._forget(now)
        kind = self._kind_of(record, fault)
        told = self._told.get(kind)
        if told is not None and now - told.at < _REPEAT_SECONDS:
            told.held_back += 1
            return False
        if told is not None:
            record.held_back = told.held_back
        self._told[kind] = _Told(now)
        return True

    def _kind_of(self, record: logging.LogRecord, fault: BaseException) -> tuple[str, str, str]:
        """Return the kind of a fault; take the traceback off the record if that was logged before."""
        words = words_of(fault)
        if any(words == known for _, _, known in self._told):
            record.exc_info = None
        return (record.name, str(record.msg), words)

    def _forget(self, now: float) -> None:
        """Forget what has not come for long, so that its traceback is logged when it comes again."""
        for kind, told in list(self._told.items()):
            if now - told.at >= 2 * _REPEAT_SECONDS or len(self._told) > _MOST_KINDS:
                del self._told[kind]

    async def _keep_looking(self) -> None:
        while True:
            if self._outage is None:
                await self._doubted.wait()
            self._doubted.clear()
            self._take(await look_at(self._database))
            await asyncio.sleep(_LOOK_SECONDS)

    def _take(self, condition: Condition) -> None:
        """Take notice of how the database was found, and say what is new, or a minute old."""
        before, now = self._outage, self._clock()
        if condition.is_migrated:
            self._outage = None
            if before is not None:
                self._told.clear()
                log.info("the database can be used", extra=_fields(before, now))
        elif before is None or _is_another(before.condition, condition):
            self._outage = _Outage(
                condition,
                began_at=before.began_at if before else now,
                told_at=now,
                messages={(name, message) for name, message, _ in self._told},
            )
            _say(self._outage, now)
        elif now - before.told_at >= _REPEAT_SECONDS:
            before.condition, before.told_at = condition, now
            _say(before, now)


def _is_another(before: Condition, now: Condition) -> bool:
    return (before.fault is None) != (now.fault is None)


def _say(outage: _Outage, now: float) -> None:
    fields = _fields(outage, now)
    if outage.condition.fault is None:
        log.warning("the database is not migrated: run handoff migrate", extra=fields)
    else:
        log.warning("the database is away", extra={"error": words_of(outage.condition.fault), **fields})


def _fields(outage: _Outage, now: float) -> dict[str, int]:
    return {"seconds": round(now - outage.began_at), "held_back": outage.held_back}
