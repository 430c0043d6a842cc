"""A mail server that answers each command as told, word for word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_USUAL = {"GREETING": "220 ready", "DATA": "354 go on"}


@dataclass
class Conversation:
    """What it answers and what it heard. `hang up` and `hang` are answers, too."""

    answers: dict[str, str] = field(default_factory=dict)  #: by command; MAIL SENT is the mail itself
    said: list[str] = field(default_factory=list)  #: the commands that it heard
    mails: list[bytes] = field(default_factory=list)  #: as they came, without the last dot; empty ones, too
    connections: int = 0
    port: int = 0
    is_late: bool = False  #: answers MAIL and RCPT only when DATA has come, all in one packet
    is_slow: bool = False  #: answers in packets of a byte

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command, held = "GREETING", b""
        while (answer := self._answer(command)) is not None:
            if not answer:
                await reader.read()  # until the client hangs up
                return
            held += answer
            if not (self.is_late and command in {"MAIL", "RCPT"}):
                await self._write(held, writer)
                held = b""
            if command == "DATA" and answer.startswith(b"3"):
                self.mails.append(await _read_mail(reader))
                command = "MAIL SENT"
            elif line := await reader.readline():
                command = line.decode().split()[0].upper()
                self.said.append(line.decode().strip())
            else:
                return
        await self._write(held, writer)

    def _answer(self, command: str) -> bytes | None:
        answer = self.answers.get(command, _USUAL.get(command, "250 OK"))
        if answer == "hang up":
            return None
        return b"" if answer == "hang" else f"{answer}\r\n".encode()

    async def _write(self, answers: bytes, writer: asyncio.StreamWriter) -> None:
        packets = [bytes([byte]) for byte in answers] if self.is_slow else [answers]
        for packet in packets:
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0)


async def _read_mail(reader: asyncio.StreamReader) -> bytes:
    mail = b""
    while (line := await reader.readuntil(b"\r\n")) != b".\r\n":
        mail += line
    return mail


@asynccontextmanager
async def conversation(*, pipelining: bool = False, **answers: str) -> AsyncIterator[Conversation]:
    """Run such a server: `mail_sent` names the answer to MAIL SENT, and so on."""
    if pipelining:
        answers = {"ehlo": "250-here\r\n250 PIPELINING", **answers}
    talk = Conversation({name.replace("_", " ").upper(): answer for name, answer in answers.items()})
    listener = await asyncio.start_server(talk.hold, "127.0.0.1", 0)
    talk.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield talk
