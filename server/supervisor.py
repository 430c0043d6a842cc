"""Several processes of one service: started, watched, started anew, and ended together.

A process is replaced when it has died, and when its event loop has not turned for a minute. The parent does
nothing else. It opens no database, runs no event loop and draws no random number, so that what is forked from
it, at any time, has all code loaded and shares with the others nothing that it could disturb: no connection,
no thread, no state but the place where it notes that it lives.
"""

import logging
import math
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from mmap import mmap
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType

log = logging.getLogger(__name__)

#: A process that lived shorter than this has not died of what it did, and is started anew after a pause.
_SETTLED_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
#: How long a process may say nothing.
_HUNG_SECONDS = 60.0
#: How many times one that turns says so meanwhile.
_BEATS = 6
#: What a process ends with that could not start: Python's, and uvicorn's own (0.54).
_CANNOT_START = (1, 3)
_ENDING = (signal.SIGTERM, signal.SIGINT)
_HEARD = (*_ENDING, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class Place:
    """What one of the processes is told of itself."""

    number: int  #: from 0; whoever replaces it has the same
    parent: int  #: a descriptor at whose end of file the parent is gone
    beat: Callable[[], None]  #: says that it is not hung
    beat_seconds: float  #: how often to say so


@dataclass(slots=True)
class _Child:
    process: ForkProcess
    started_at: float  #: monotonic seconds
    is_first: bool  #: whether nobody had its place before


class Supervisor:
    """Runs `count` processes that each do `work`, until it is told to end."""

    def __init__(
        self, count: int, work: Callable[[Place], None], *, hung_seconds: float = _HUNG_SECONDS
    ) -> None:
        self._count = count
        self._work = work
        self._hung_seconds = hung_seconds
        self._look_seconds = hung_seconds / _BEATS
        self._context = multiprocessing.get_context("fork")
        #: When each place was last heard of, in monotonic seconds, which all processes of a machine share.
        self._beats = memoryview(mmap(-1, 8 * count)).cast("d")
        self._looked_at = time.monotonic()
        self._children: dict[int, _Child] = {}
        self._due: dict[int, float] = {}  #: when a place is filled again, in monotonic seconds
        self._alive = os.pipe()  #: nobody writes; the children notice when the parent's end is closed

    def run(self, *, when_ending: Callable[[], None]) -> int:
        """Run them until SIGTERM or SIGINT, and until all have ended; return the exit code.

        Args:
            when_ending: Called before they are told to end.
        """
        with _heard_signals() as signals:
            for number in range(self._count):
                self._start(number, is_first=True)
            code = self._watch(signals)
            when_ending()
            self._end_all(signals)
        return code

    def _watch(self, signals: socket.socket) -> int:
        while True:
            for number in _received(signals, self._patience()):
                if number in _ENDING:
                    log.info("processes stopping", extra={"signal": signal.Signals(number).name})
                    return 0 if number == signal.SIGTERM else 128 + number
            for number, child in self._take_dead():
                if child.is_first and self._is_young(child) and child.process.exitcode in _CANNOT_START:
                    return 1  # it would fail as often as it is started; it has said why
                self._replace(number, child)
            self._start_due()
            self._kill_hung()

    def _end_all(self, signals: socket.socket) -> None:
        """Tell them to finish what they do, and wait for it. Ctrl-C a second time hurries them."""
        self._signal_all(signal.SIGTERM)
        while self._children:
            for number in _received(signals, self._look_seconds):
                if number == signal.SIGINT:
                    self._signal_all(signal.SIGINT)
            self._take_dead()
            self._kill_hung()

    def _take_dead(self) -> list[tuple[int, _Child]]:
        dead = [(number, child) for number, child in self._children.items() if not child.process.is_alive()]
        for number, _ in dead:
            del self._children[number]
        return dead

    def _replace(self, number: int, child: _Child) -> None:
        extra = {"process_number": number, "pid": child.process.pid, "exit_code": child.process.exitcode}
        log.error("process died; starting it anew", extra=extra)
        self._due[number] = time.monotonic() + (_PAUSE_SECONDS if self._is_young(child) else 0)

    def _start_due(self) -> None:
        for number, due in list(self._due.items()):
            if due <= time.monotonic():
                del self._due[number]
                self._start(number, is_first=False)

    def _kill_hung(self) -> None:
        """Kill who has said nothing for long: it would take its share of the requests and answer none."""
        now, before = time.monotonic(), self._looked_at
        self._looked_at = now
        if now - before > 2 * self._look_seconds:  # the machine was halted, and the processes with it
            for number in self._children:
                self._beat(number)
        for number, child in self._children.items():
            if now - self._beats[number] > self._hung_seconds:
                extra = {"process_number": number, "pid": child.process.pid}
                log.error("process hangs; killing it", extra=extra)
                child.process.kill()

    def _patience(self) -> float:
        """Return the seconds until a place is to be filled, or it is time to look who hangs."""
        due = min(self._due.values(), default=math.inf) - time.monotonic()
        return max(0.0, min(due, self._look_seconds))

    def _start(self, number: int, *, is_first: bool) -> None:
        self._beats[number] = time.monotonic()
        process = self._context.Process(target=self._begin, args=(number,), name=f"handoff-{number}")
        # A signal between the fork and the child's own handlers would be lost on the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
        self._children[number] = _Child(process, time.monotonic(), is_first)

    def _begin(self, number: int) -> None:
        """Do the work, in the child."""
        read, write = self._alive
        os.close(write)
        os.setpgrp()  # Ctrl-C reaches the parent alone, which tells the others
        signal.set_wakeup_fd(-1)
        for each in _HEARD:
            signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
        self._work(Place(number, read, lambda: self._beat(number), self._look_seconds))

    def _beat(self, number: int) -> None:
        self._beats[number] = time.monotonic()

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._children.values():
            if child.process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(child.process.pid, number)

    @staticmethod
    def _is_young(child: _Child) -> bool:
        return time.monotonic() - child.started_at < _SETTLED_SECONDS


def run_aside(work: Callable[[], None]) -> int:
    """Do something in a process of its own and return its exit code; it has said what failed."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    return process.exitcode or 0


@contextmanager
def _heard_signals() -> Iterator[socket.socket]:
    """Yield what the numbers of signals arrive at as bytes."""
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = {number: signal.signal(number, _pass) for number in _HEARD}
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)


def _pass(_: int, __: FrameType | None) -> None:
    """Leave a signal to the socket that it was written to."""


def _received(signals: socket.socket, patience: float) -> bytes:
    """Wait for signals, for `patience` seconds at most; return their numbers."""
    wait([signals], patience)
    try:
        return signals.recv(4096)
    except BlockingIOError:
        return b""
