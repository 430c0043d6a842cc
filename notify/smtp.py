"""Hand mails to a mail server over one connection that is reused.

Nothing here logs: a reply may hold addresses.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import EmailMessage
from typing import cast

import aiosmtplib

from notify.conversation import Conversation, taken_over
from notify.envelopes import Envelope, Sign, on_the_wire, sealed
from notify.mail_server import MailServer
from notify.send_faults import PermanentFault, Phase, SendFault, TemporaryFault, fault_of, reply_text
from notify.smtp_commands import DATA, NO_MAIL, QUIT, RSET, Command, recipient_named, sender_named

__all__ = ["MailServer", "Mailer", "PermanentFault", "Reply", "SendFault", "TemporaryFault"]

MAILS_PER_CONNECTION = 100
IDLE_SECONDS = 60.0  #: a firewall may forget an idle connection without a word
QUIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The server's answer to a mail that it accepted."""

    code: int
    text: str  #: often the server's own id for the mail


class Mailer:
    """One connection to a mail server, opened when needed and used by one task at a time."""

    def __init__(
        self,
        server: MailServer,
        *,
        sign: Sign | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._sign = sign
        self._clock = clock
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "implicit",
            start_tls=False,  # `_connect` does it
            cert_bundle=None if server.ca_file is None else str(server.ca_file),
            timeout=None,  # one deadline for the whole mail stands in `send`
        )
        self._talk: Conversation | None = None  #: the open connection, ready for mails
        self._phase = Phase.CONNECT
        self._refusal: aiosmtplib.SMTPResponseException | None = None  #: in this mail's transaction
        self._mails = 0  #: begun on this connection
        self._used_at = 0.0
        self._needs_reset = False  #: a mail was begun and not accepted

    @property
    def timeout(self) -> timedelta:
        """How long `send` takes at most."""
        return timedelta(seconds=self._server.timeout_seconds)

    @property
    def has_just_connected(self) -> bool:
        """Whether the connection has served one mail at most."""
        return self._mails <= 1

    @property
    def is_idle(self) -> bool:
        """Whether a connection is open that served no mail for so long that it is not used again."""
        return self._is_open and self._clock() - self._used_at >= IDLE_SECONDS

    async def send(self, mail: EmailMessage | Envelope) -> Reply:
        """Hand in a mail with one recipient; it is signed here.

        Raises:
            TemporaryFault: it may pass later.
            PermanentFault: it will not.
        """
        try:
            self._phase, self._refusal = Phase.WRITE, None
            envelope = self._signed(mail if isinstance(mail, Envelope) else sealed(mail))
            async with asyncio.timeout(self._server.timeout_seconds):
                return await self._deliver(envelope)
        except asyncio.CancelledError:
            self._drop()
            raise
        except Exception as error:
            fault = fault_of(self._refusal or error, self._phase)
            self._keep_or_drop(fault)
            raise fault from error
        finally:
            self._used_at = self._clock()

    async def close(self) -> None:
        """Say goodbye, if the server still listens; a later `send` connects anew."""
        transport = self._client.transport
        try:
            if self._talk is not None:
                with suppress(aiosmtplib.SMTPException, OSError):
                    async with asyncio.timeout(QUIT_SECONDS):
                        self._talk.say(QUIT)
                        await self._talk.hear()
                        self._client.close()  # a server with TLS waits for this
        finally:
            self._drop(transport)

    def _signed(self, envelope: Envelope) -> Envelope:
        if self._sign is None:
            return envelope
        return replace(envelope, content=self._sign(envelope.content), stuffed=None)

    @property
    def _is_open(self) -> bool:
        return self._talk is not None and self._talk.is_open

    async def _deliver(self, envelope: Envelope) -> Reply:
        is_reused = self._is_open
        if is_reused and self._is_worn():
            await self.close()
            is_reused = False
        try:
            return await self._transact(envelope)
        except (aiosmtplib.SMTPResponseException, ConnectionError) as error:
            if not is_reused or self._phase is Phase.CONTENT or not _is_hang_up(error):
                raise
        self._drop()
        return await self._transact(envelope)

    def _is_worn(self) -> bool:
        return self._mails >= MAILS_PER_CONNECTION or self.is_idle

    async def _transact(self, envelope: Envelope) -> Reply:
        self._phase, self._refusal = Phase.CONNECT, None
        talk = await self._make_ready()
        commands = self._commands(envelope)
        self._needs_reset = True
        # DATA ends a group: what follows it depends on its answer (RFC 2920 section 3.1).
        at_once = len(commands) if self._client.supports_extension("pipelining") else 1
        for first in range(0, len(commands), at_once):
            await self._agree(talk, commands[first : first + at_once])
        self._phase = Phase.CONTENT
        talk.say(on_the_wire(envelope))
        answer = await talk.hear()
        if answer.code != aiosmtplib.SMTPStatus.completed:
            raise aiosmtplib.SMTPResponseException(answer.code, answer.message)
        self._needs_reset = False
        return Reply(answer.code, reply_text(answer.message))

    async def _make_ready(self) -> Conversation:
        if self._talk is None or not self._talk.is_open:
            self._drop()
            self._talk = await self._connect()
            self._mails = 0
            self._needs_reset = False
        self._mails += 1
        return self._talk

    async def _connect(self) -> Conversation:
        """Connect, encrypt, log in; what is not ready for mails is not left open."""
        try:
            await self._client.connect()
            if self._server.tls == "starttls":
                await self._client.starttls()
            if self._server.username is not None:
                await self._client.login(self._server.username, self._server.password or "")
            if self._client.is_ehlo_or_helo_needed:
                await self._client.ehlo()
            return taken_over(self._client.transport)
        except BaseException:
            self._drop()
            raise

    def _commands(self, envelope: Envelope) -> list[Command]:
        """Return what is said before the mail; `_phase` is that of what cannot be said."""
        self._phase = Phase.SENDER
        sender = sender_named(envelope, self._client.esmtp_extensions.keys())
        self._phase = Phase.RECIPIENT
        commands = [sender, recipient_named(envelope), DATA]
        return [RSET, *commands] if self._needs_reset else commands

    async def _agree(self, talk: Conversation, group: Sequence[Command]) -> None:
        """Say commands at once, and hear every answer.

        Raises:
            SMTPResponseException: one of them was refused, the first of which this is.
        """
        self._phase = group[0].phase
        talk.say(*(command.line for command in group))
        for place, command in enumerate(group):
            self._phase = command.phase
            answer = await talk.hear()
            if answer.code not in command.go_on:
                self._refusal = aiosmtplib.SMTPResponseException(answer.code, answer.message)
                if answer.code != aiosmtplib.SMTPStatus.domain_unavailable:
                    with suppress(aiosmtplib.SMTPException):
                        await self._hear_out(talk, group[place + 1 :])
                raise self._refusal

    async def _hear_out(self, talk: Conversation, rest: Sequence[Command]) -> None:
        """Hear the other answers after a refusal; a mail that the server awaits nevertheless is not sent."""
        taken = {command.phase for command in rest if (await talk.hear()).code in command.go_on}
        if Phase.DATA not in taken:
            return
        if Phase.RECIPIENT in taken:  # a lone dot would send them an empty mail
            self._drop()
            return
        talk.say(NO_MAIL)
        await talk.hear()

    def _keep_or_drop(self, fault: SendFault) -> None:
        """After a plain refusal the connection can serve the next mail; else nobody knows its state."""
        is_owed = self._talk is not None and self._talk.unanswered > 0
        is_out_of_step = self._phase is Phase.CONNECT or fault.code in {None, 421}
        if is_owed or (isinstance(fault, TemporaryFault) and is_out_of_step):
            self._drop()

    def _drop(self, transport: asyncio.BaseTransport | None = None) -> None:
        """Let the socket go at once: a plain close waits until a hung server has read what it was sent."""
        self._talk = None
        transport = transport or self._client.transport
        if transport is not None:
            cast("asyncio.WriteTransport", transport).abort()
        self._client.close()


def _is_hang_up(error: Exception) -> bool:
    return isinstance(error, ConnectionError) or getattr(error, "code", None) == 421
