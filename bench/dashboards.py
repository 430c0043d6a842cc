"""A process of dashboards that only note when a message arrives. Started by bench.fanout and bench.latency.

A WebSocket client as applications use it takes longer to read a message than the server takes to write it:
with thousands of them in one process the clients would be measured. These do the handshake, answer pings,
and take the time of each message that tells an event.

It is told what to do in lines of JSON, and answers each with one.
"""

import asyncio
import base64
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import orjson
import uvloop

_TEXT, _PING, _PONG = 0x1, 0x9, 0xA
_PER_ADDRESS = 5000  #: sockets, of the ports that one source address has
_AT_ONCE = 50
_PATIENCE = 120.0
_NEXT = b'"type":"next"'
_ABRUPT = struct.pack("ii", 1, 0)  #: on, and after no second


@dataclass(frozen=True, slots=True)
class Target:
    """What to follow."""

    host: str
    port: int
    token: str
    document: str


class Dashboard(asyncio.Protocol):
    """One socket."""

    def __init__(self, target: Target, room: "Room") -> None:
        self._target = target
        self._room = room
        self._buffer = b""
        self._is_open = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        self.transport = transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /graphql HTTP/1.1\r\nHost: {self._target.host}:{self._target.port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it."""
        self._room.lost += 1

    def data_received(self, data: bytes) -> None:
        """Act on what came."""
        at = time.perf_counter()
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_open:
            self._open()
        for opcode, message in self._frames():
            if opcode == _PING:
                self._send(_PONG, message)
            elif opcode == _TEXT and _NEXT in message:
                self._room.arrived(at, message)
            elif opcode == _TEXT and b"connection_ack" in message:
                asked = {"id": "1", "type": "subscribe", "payload": {"query": self._target.document}}
                self._send(_TEXT, orjson.dumps(asked))
                self._room.following += 1
            elif opcode == _TEXT:
                raise RuntimeError(message)

    def _open(self) -> None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(head)
        self._buffer, self._is_open = rest, True
        payload = {"authorization": f"Bearer {self._target.token}"}
        self._send(_TEXT, orjson.dumps({"type": "connection_init", "payload": payload}))

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield the whole frames of the buffer, and take them from it."""
        while self._is_open and len(self._buffer) >= 2:
            start, length = 2, self._buffer[1]
            if length >= 126:
                start = 4 if length == 126 else 10
                length = int.from_bytes(self._buffer[2:start])
            if len(self._buffer) < start + length:
                return
            frame = self._buffer[0] & 0xF, self._buffer[start : start + length]
            self._buffer = self._buffer[start + length :]
            yield frame

    def _send(self, opcode: int, message: bytes) -> None:
        """Send a frame, masked with nothing but zeros."""
        size = len(message)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2)
        self.transport.write(bytes((0x80 | opcode,)) + length + bytes(4) + message)


class Room:
    """All dashboards of the process."""

    def __init__(self) -> None:
        self.following = 0
        self.lost = 0
        self.times: list[float] = []
        self.frame = b""
        self.wanted = 0
        self.is_complete = asyncio.Event()
        self.dashboards: list[Dashboard] = []

    def arrived(self, at: float, frame: bytes) -> None:
        """Note that a dashboard has an event."""
        self.times.append(at)
        if len(self.times) >= self.wanted:
            self.frame = frame
            self.is_complete.set()

    def expect(self, count: int) -> None:
        """Begin to wait for so many."""
        self.times, self.wanted = [], count
        self.is_complete.clear()

    async def open(self, target: Target, count: int, window: int | None) -> dict[str, Any]:
        """Open so many dashboards more, and wait until each has sent what it follows.

        `window`: bytes that each takes before it reads; None: as the system has it.
        """
        loop, began, before = asyncio.get_running_loop(), time.perf_counter(), self.following
        for start in range(0, count, _AT_ONCE):
            address = f"127.0.0.{2 + len(self.dashboards) // _PER_ADDRESS}"
            sockets = [make_socket(address, window) for _ in range(min(_AT_ONCE, count - start))]
            for each in sockets:
                await loop.sock_connect(each, (target.host, target.port))
            opened = [
                await loop.create_connection(lambda: Dashboard(target, self), sock=each) for each in sockets
            ]
            self.dashboards += [dashboard for _, dashboard in opened]
            async with asyncio.timeout(_PATIENCE):
                await self._until_following(before + start + len(opened))
        return {"seconds": time.perf_counter() - began}

    async def _until_following(self, count: int) -> None:
        while self.following < count:  # noqa: ASYNC110 (an event for each would cost more than it measures)
            await asyncio.sleep(0.001)

    def freeze(self, start: int, count: int) -> dict[str, Any]:
        """Let some read no more, from the one with number `start` on."""
        for dashboard in self.dashboards[start : start + count]:
            dashboard.transport.pause_reading()
        return {"frozen": count}

    async def ask(self, port: int, body: Any, token: str, wait_for: int, within: float) -> dict[str, Any]:  # noqa: ANN401
        """Make an event by a request, and wait until so many have it; times are in ms from the request."""
        self.expect(wait_for)
        content = orjson.dumps(body)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nConnection: close\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        asked = time.perf_counter()
        head = await reader.readuntil(b"\r\n\r\n")
        answered = time.perf_counter()
        answer = await reader.read()
        writer.close()
        try:
            async with asyncio.timeout(within):
                await self.is_complete.wait()
        except TimeoutError:
            pass
        return {
            "status": head.split(b" ", 2)[1].decode(),
            "answer": answer.decode(),
            "answered": (answered - asked) * 1000,
            "arrived": [(at - asked) * 1000 for at in self.times],
            "frame": self.frame.decode(),
            "lost": self.lost,
        }


def make_socket(address: str, window: int | None) -> socket.socket:
    """Make a socket with a source address of its own: one address has too few ports for all.

    Its end is abrupt, so that its port is free at once: else a few turns would use up all that there are.
    """
    made = socket.socket()
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABRUPT)
    if window is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    made.bind((address, 0))
    return made


async def main() -> None:
    """Do what the lines say."""
    loop, room = asyncio.get_running_loop(), Room()
    loop.set_exception_handler(lambda _, context: (print(context, file=sys.stderr), os._exit(1)))  # noqa: T201
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        told = orjson.loads(line)
        match told.pop("do"):
            case "open":
                count, window = told.pop("count"), told.pop("window", None)
                answer = await room.open(Target(**told), count, window)
            case "freeze":
                answer = room.freeze(**told)
            case "ask":
                answer = await room.ask(**told)
        sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(main())
