"""A mail server that does as little as a mail server can: it takes mails, forgets them, and counts them.

Run as a process of its own, so that it shares no event loop with what is measured. It prints its port, and
ends when its standard input does. `NOOP` answers how many mails came, and how many different Message-IDs.
"""

import asyncio
import re
import sys
from collections import deque

import click

_END = b"\r\n.\r\n"
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


class Counts:
    """What came since the last QUIT of a connection that asked."""

    def __init__(self) -> None:
        self.mails = 0
        self.ids: set[bytes] = set()


class MailConnection(asyncio.Protocol):
    """One connection. Each answer leaves `latency` seconds after its command came."""

    def __init__(self, counts: Counts, latency: float) -> None:
        self._counts = counts
        self._latency = latency
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._in_mail = False
        self._answers: deque[bytes] = deque()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._say(b"220 ready")

    def data_received(self, data: bytes) -> None:
        """Take commands and mails."""
        self._buffer += data
        while self._take_mail() if self._in_mail else self._take_command():
            pass

    def _take_command(self) -> bool:
        line, found, rest = self._buffer.partition(b"\r\n")
        if found:
            self._buffer = rest
            self._answer(bytes(line[:4]).upper())
        return bool(found)

    def _answer(self, command: bytes) -> None:
        match command:
            case b"EHLO":
                self._say(b"250-bench\r\n250-PIPELINING\r\n250 SIZE 50000000")
            case b"DATA":
                self._in_mail = True
                self._say(b"354 go on")
            case b"NOOP":
                self._say(b"250 %d %d" % (self._counts.mails, len(self._counts.ids)))
            case b"QUIT":
                self._say(b"221 bye")
            case _:
                self._say(b"250 OK")

    def _take_mail(self) -> bool:
        mail, found, rest = self._buffer.partition(_END)
        if found:
            self._buffer, self._in_mail = rest, False
            self._counts.mails += 1
            named = _MESSAGE_ID.search(mail)
            if named:
                self._counts.ids.add(bytes(named[1]))
            self._say(b"250 OK %d" % self._counts.mails)
        return bool(found)

    def _say(self, answer: bytes) -> None:
        if self._latency:
            self._answers.append(answer)
            self._loop.call_later(self._latency, self._say_next)
        else:
            self._write(answer)

    def _say_next(self) -> None:
        self._write(self._answers.popleft())

    def _write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer + b"\r\n")
            if answer.startswith(b"221"):
                self._transport.close()


async def serve(latency: float) -> None:
    """Take mails until the standard input ends."""
    counts, loop = Counts(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: MailConnection(counts, latency), "127.0.0.1", 0, backlog=4096)
    click.echo(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
