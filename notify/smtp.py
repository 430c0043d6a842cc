"""Hand mails to a mail server over one connection that is reused.

Nothing here logs: a reply may hold addresses.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import EmailMessage
from typing import cast

import aiosmtplib

from notify.dkim import Sign
from notify.envelopes import Envelope, sealed
from notify.mail_server import MailServer
from notify.send_faults import PermanentFault, Phase, SendFault, TemporaryFault, fault_of, reply_text

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
        self._sign = sign or _leave
        self._clock = clock
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "implicit",
            start_tls=False,  # `_connect` does it
            cert_bundle=None if server.ca_file is None else str(server.ca_file),
            timeout=None,  # one deadline for the whole mail stands in `send`
        )
        self._phase = Phase.CONNECT
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
        return self._client.is_connected and self._clock() - self._used_at >= IDLE_SECONDS

    async def send(self, mail: EmailMessage | Envelope) -> Reply:
        """Hand in a mail with one recipient; it is signed here.

        Raises:
            TemporaryFault: it may pass later.
            PermanentFault: it will not.
        """
        try:
            self._phase = Phase.WRITE
            envelope = mail if isinstance(mail, Envelope) else sealed(mail)
            envelope = replace(envelope, content=self._sign(envelope.content))
            async with asyncio.timeout(self._server.timeout_seconds):
                return await self._deliver(envelope)
        except asyncio.CancelledError:
            self._drop()
            raise
        except Exception as error:
            fault = fault_of(error, self._phase)
            self._keep_or_drop(fault)
            raise fault from error
        finally:
            self._used_at = self._clock()

    async def close(self) -> None:
        """Say goodbye, if the server still listens; a later `send` connects anew."""
        transport = self._client.transport
        try:
            with suppress(aiosmtplib.SMTPException, OSError):
                async with asyncio.timeout(QUIT_SECONDS):
                    await self._client.quit()
        finally:
            _abort(transport)
            self._client.close()

    async def _deliver(self, envelope: Envelope) -> Reply:
        is_reused = self._client.is_connected
        if is_reused and self._is_worn():
            await self.close()
            is_reused = False
        try:
            return await self._transact(envelope)
        except (aiosmtplib.SMTPResponseException, ConnectionError) as error:
            if not is_reused or self._phase is Phase.DATA or not _is_hang_up(error):
                raise
        self._drop()
        return await self._transact(envelope)

    def _is_worn(self) -> bool:
        return self._mails >= MAILS_PER_CONNECTION or self.is_idle

    async def _transact(self, envelope: Envelope) -> Reply:
        self._phase = Phase.CONNECT
        await self._make_ready()
        options = self._options(envelope)
        self._phase = Phase.SENDER
        self._needs_reset = True
        await self._client.mail(envelope.sender, options=options, encoding=envelope.encoding)
        self._phase = Phase.RECIPIENT
        await self._client.rcpt(envelope.recipient, encoding=envelope.encoding)
        self._phase = Phase.DATA
        code, text = await self._client.data(envelope.content)
        self._needs_reset = False
        return Reply(code, reply_text(text))

    async def _make_ready(self) -> None:
        if not self._client.is_connected:
            await self._connect()
        if self._client.is_ehlo_or_helo_needed:
            await self._client.ehlo()
        if self._needs_reset:
            await self._client.rset()
        self._mails += 1

    async def _connect(self) -> None:
        """Connect, encrypt, log in; what is not ready for mails is not left open."""
        try:
            await self._client.connect()
            if self._server.tls == "starttls":
                await self._client.starttls()
            if self._server.username is not None:
                await self._client.login(self._server.username, self._server.password or "")
        except BaseException:
            self._drop()
            raise
        self._mails = 0
        self._needs_reset = False

    def _options(self, envelope: Envelope) -> list[str]:
        """Say what the server must know before it takes the mail (RFC 1870, RFC 6531)."""
        options = [f"SIZE={len(envelope.content)}"] if self._client.supports_extension("size") else []
        if envelope.encoding == "ascii":
            return options
        if not self._client.supports_extension("smtputf8"):
            raise PermanentFault(
                None, "The mail server takes no address with letters beyond ASCII (SMTPUTF8)."
            )
        return [*options, "BODY=8BITMIME", "SMTPUTF8"]

    def _keep_or_drop(self, fault: SendFault) -> None:
        """After a plain refusal the connection can serve the next mail; else nobody knows its state."""
        is_out_of_step = self._phase is Phase.CONNECT or fault.code in {None, 421}
        if isinstance(fault, TemporaryFault) and is_out_of_step:
            self._drop()

    def _drop(self) -> None:
        _abort(self._client.transport)
        self._client.close()


def _abort(transport: asyncio.BaseTransport | None) -> None:
    """Let the socket go at once: a plain close waits until a hung server has read what was written to it."""
    if transport is not None:
        cast("asyncio.WriteTransport", transport).abort()


def _is_hang_up(error: Exception) -> bool:
    return isinstance(error, ConnectionError) or getattr(error, "code", None) == 421


def _leave(content: bytes) -> bytes:
    """Sign nothing."""
    return content
