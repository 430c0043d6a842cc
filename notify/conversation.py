"""What is said over an open connection to a mail server: commands, and the answers in their order.

aiosmtplib makes the connection, encrypts it and logs in; then the connection is taken over. What it offers
after that hears one answer for each write, and drops what comes with it (5.1.3): several commands could not
be written at once (RFC 2920). Nothing here judges an answer.
"""

import asyncio
from collections import deque
from typing import cast

from aiosmtplib import SMTPResponse, SMTPResponseException, SMTPServerDisconnected

#: Bytes of an answer; RFC 5321 section 4.5.3.1.5 allows 512 to each of its lines.
ANSWER_LIMIT = 32_768

_UNREADABLE = -1  # instead of a code, as aiosmtplib has it


class Conversation(asyncio.Protocol):
    """An open connection. It answers to one task at a time."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Take over a connection on which nothing is being said."""
        self.unanswered = 0  #: commands whose answers nobody has heard
        self._transport = transport
        self._before = transport.get_protocol()
        self._buffer = bytearray()  #: lines of which the end has not come
        self._lines: list[bytes] = []  #: of an answer of which more is to come
        self._length = 0  #: of those lines, in bytes
        self._answers: deque[SMTPResponse] = deque()
        self._end: Exception | None = None  #: why no other answer will come
        self._waiter: asyncio.Future[None] | None = None
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether commands can be said."""
        return self._end is None and not self._transport.is_closing()

    def say(self, *commands: bytes) -> None:
        """Write commands, or a mail, at once; each has its answer.

        Raises:
            SMTPServerDisconnected: the connection has ended; nothing was written.
        """
        if not self.is_open:
            raise SMTPServerDisconnected("Connection lost")
        self.unanswered += len(commands)
        self._transport.write(b"".join(commands))

    async def hear(self) -> SMTPResponse:
        """Wait for the answer to the first command that nobody has heard the answer to.

        Raises:
            SMTPServerDisconnected: the connection has ended before.
            SMTPResponseException: with the code -1, what came is no answer.
        """
        while not self._answers:
            if self._end is not None:
                raise self._end
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self.unanswered -= 1
        return self._answers.popleft()

    def data_received(self, data: bytes) -> None:
        """Take what the server says."""
        self._buffer += data
        while self._end is None and (length := self._buffer.find(b"\n") + 1):
            line = bytes(self._buffer[:length])
            del self._buffer[:length]
            self._take(line)
        if len(self._buffer) > ANSWER_LIMIT:
            self._finish(SMTPResponseException(_UNREADABLE, "Response too long"))
        self._wake()

    def eof_received(self) -> None:
        """Hear nothing more; the transport closes itself."""
        self._finish(SMTPServerDisconnected("Unexpected EOF received"))

    def connection_lost(self, error: Exception | None) -> None:
        """Hear nothing more, and tell aiosmtplib, which keeps account of its connection."""
        lost = SMTPServerDisconnected("Connection lost")
        lost.__cause__ = error
        self._finish(lost)
        self._before.connection_lost(error)

    def _take(self, line: bytes) -> None:
        """Take a line; the last one of an answer has no dash after its code (RFC 5321 section 4.2.1)."""
        code = line[:3]
        if not code.isdigit():
            text = f"Malformed SMTP response line: {line.decode(errors='ignore')}"
            self._finish(SMTPResponseException(_UNREADABLE, text))
            return
        self._lines.append(line[4:].strip())
        self._length += len(line)
        if self._length > ANSWER_LIMIT:
            self._finish(SMTPResponseException(_UNREADABLE, "Response too long"))
        if line[3:4] == b"-":
            return
        text = b"\n".join(self._lines).decode(errors="surrogateescape")
        self._lines.clear()
        self._length = 0
        if len(self._answers) < self.unanswered:  # else nobody asked: it must not answer the next command
            self._answers.append(SMTPResponse(int(code), text))

    def _finish(self, end: Exception) -> None:
        if self._end is None:
            self._end = end
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def taken_over(transport: asyncio.BaseTransport | None) -> Conversation:
    """Take over the connection that aiosmtplib has made, where it is still there.

    Raises:
        SMTPServerDisconnected: it is not.
    """
    if transport is None:
        raise SMTPServerDisconnected("Connection lost")
    return Conversation(cast("asyncio.Transport", transport))
