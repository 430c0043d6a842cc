"""The load: a closed loop of HTTP/1.1 connections in a process of its own, each asking one thing at a time.

It writes requests that were made before, and reads answers without looking into them further than their
length, their status and one mark. `bench.peers.echo` shows how fast it can be.
"""

import gc
import math
import re
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from bench.peers.cores import cpu_seconds

_BUFFER = 1 << 20
_HEADERS_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_PATIENCE = 20.0  #: seconds for an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of a server, and for how long."""

    port: int  #: of 127.0.0.1
    pid: int  #: the server's process
    requests: Sequence[bytes]  #: whole, with headers
    is_repeated: bool  #: ask them in turns; else each once, and end early when there are no more
    mark: bytes  #: stands in the first piece of every good answer
    connections: int
    warm_seconds: float  #: before anything counts
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What came of one turn."""

    answers: int  #: that count
    refused: int  #: without the mark, over the whole turn
    seconds: float  #: that the answers took
    middle_ms: float  #: latency, p50
    slow_ms: float  #: latency, p99
    cpu_ms: float  #: of the server's process, for each answer
    used: int  #: requests that were sent, those that do not count too

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return self.answers / self.seconds


@dataclass(slots=True)
class _Asker:
    """One connection."""

    socket: socket.socket
    began: float = 0.0
    missing: int | None = None  #: bytes of the answer that are still to come; None: not known
    head: bytes = b""  #: of an answer whose length is not known yet


@dataclass(slots=True)
class _Turn:
    load: Load
    pending: Iterator[bytes]
    buffer: bytearray = field(default_factory=lambda: bytearray(_BUFFER))
    took: list[float] = field(default_factory=list)
    refused: int = 0
    used: int = 0
    open: int = 0
    ends_at: float = math.inf  #: nothing is asked any more

    def ask(self, asker: _Asker) -> None:
        """Send the next request, unless the turn is over."""
        asker.began = time.perf_counter()
        request = next(self.pending, None) if asker.began < self.ends_at else None
        if request is None:
            self.open -= 1
            return
        self.used += 1
        asker.missing, asker.head = None, b""
        asker.socket.sendall(request)

    def hear(self, asker: _Asker) -> None:
        """Take a piece of an answer."""
        size = asker.socket.recv_into(self.buffer)
        if size == 0:
            raise ConnectionError("the server closed a connection")
        if asker.missing is None:
            self._begin(asker, bytes(memoryview(self.buffer)[:size]))
        elif asker.missing >= 0:
            asker.missing -= size
        elif self.buffer[:size].endswith(_LAST_CHUNK):
            asker.missing = 0
        if asker.missing == 0:
            self.took.append(time.perf_counter() - asker.began)
            self.ask(asker)

    def _begin(self, asker: _Asker, piece: bytes) -> None:
        head = asker.head = asker.head + piece
        end = head.find(_HEADERS_END)
        if end < 0:
            return
        if not head.startswith(b"HTTP/1.1 200") or self.load.mark not in head:
            self.refused += 1
        if found := _LENGTH.search(head, 0, end + 2):
            asker.missing = end + len(_HEADERS_END) + int(found.group(1)) - len(head)
        else:
            asker.missing = 0 if head.endswith(_LAST_CHUNK) else -1  # in chunks, until the last


def run(load: Load) -> Sample:
    """Ask, and return what came of it.

    Raises:
        ConnectionError, TimeoutError: the server went away, or did not answer.
    """
    gc.disable()
    turn = _Turn(load, cycle(load.requests) if load.is_repeated else iter(load.requests))
    with selectors.DefaultSelector() as selector:
        askers = [_connect(load.port) for _ in range(load.connections)]
        for asker in askers:
            selector.register(asker.socket, selectors.EVENT_READ, asker)
        turn.open = len(askers)
        for asker in askers:
            turn.ask(asker)
        sample = _count(turn, selector)
        for asker in askers:
            asker.socket.close()
    gc.enable()
    return sample


def _count(turn: _Turn, selector: selectors.BaseSelector) -> Sample:
    _hear_until(turn, selector, time.perf_counter() + turn.load.warm_seconds)
    turn.took.clear()
    began, cpu = time.perf_counter(), cpu_seconds(turn.load.pid)
    turn.ends_at = began + turn.load.seconds
    _hear_until(turn, selector, turn.ends_at)
    _hear_until(turn, selector, turn.ends_at + _PATIENCE, enough=1)
    seconds, cpu = time.perf_counter() - began, cpu_seconds(turn.load.pid) - cpu
    took = sorted(turn.took)
    _hear_until(turn, selector, turn.ends_at + _PATIENCE)
    if turn.open:
        raise TimeoutError(f"{turn.open} requests were not answered within {_PATIENCE} s")
    if not took:
        raise TimeoutError("nothing was left to be asked in the time that counts")
    return Sample(
        answers=len(took),
        refused=turn.refused,
        seconds=seconds,
        middle_ms=took[len(took) // 2] * 1000,
        slow_ms=took[len(took) * 99 // 100] * 1000,
        cpu_ms=cpu * 1000 / len(took),
        used=turn.used,
    )


def _hear_until(
    turn: _Turn, selector: selectors.BaseSelector, end: float, *, enough: int | None = None
) -> None:
    """Hear until the end, or until there are enough answers, or nothing is open any more."""
    while turn.open and (left := end - time.perf_counter()) > 0:
        if enough is not None and len(turn.took) >= enough:
            return
        for key, _ in selector.select(left):
            turn.hear(key.data)


def _connect(port: int) -> _Asker:
    connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)  # a timeout would cost a system call each time
    return _Asker(connection)
