"""How the tests' SMTP server speaks: aiosmtpd's protocol, bent where a test asks for trouble.

All of it runs in the server's own thread, save `release` and `hang_up`.
"""

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Never

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.patience import PATIENCE
from tests.servers.smtp_script import ReceivedMail, Script, Trouble


class ScriptedController(Controller):
    """Runs the server in a thread, follows the script, and can cut every connection."""

    def __init__(
        self,
        script: Script,
        port: int,
        *,
        starttls: ssl.SSLContext | None = None,
        implicit_tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.script = script
        self.greeted: set[asyncio.Transport] = set()
        self.ungreeted: set[asyncio.Transport] = set()
        self.starttls = starttls
        self.login = login
        self._handler = _Handler(script)
        super().__init__(
            self._handler, hostname="127.0.0.1", port=port, ssl_context=implicit_tls, ready_timeout=PATIENCE
        )

    def factory(self) -> asyncio.Protocol:
        """Make the protocol of one connection."""
        if self.script.trouble in {Trouble.HANG_AT_CONNECT, Trouble.DROP_AT_CONNECT}:
            return _Silence(self)
        return _Protocol(self, self._handler)

    def release(self) -> None:
        """Let hanging mails go on, and cut connections that were never greeted."""
        self.loop.call_soon_threadsafe(self._release)

    def hang_up(self) -> None:
        """Listen no more and cut all connections, so that stopping leaves no task and no socket behind."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result(2 * PATIENCE)

    def _trigger_server(self) -> None:
        """Make one protocol to see that it can be made; aiosmtpd connects here, which would be counted."""
        self._factory_invoker()

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        """Decide on a user and password."""
        given = data.login.decode(), data.password.decode()
        return AuthResult(success=given == self.login, handled=False)

    def _release(self) -> None:
        self._handler.release()
        for transport in self.ungreeted:
            _cut(transport)

    async def _hang_up(self) -> None:
        assert self.server is not None
        self.server.close()
        for transport in self.greeted | self.ungreeted:
            _cut(transport)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        async with asyncio.timeout(PATIENCE):
            while self.greeted or self.ungreeted:  # noqa: ASYNC110  # a round or two of the loop
                await asyncio.sleep(0.001)


class _Handler:
    """What aiosmtpd calls, by name, at each command; each method gives the answer."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._released = asyncio.Event()

    def release(self) -> None:
        """Wake the mails that hang now; later ones hang anew."""
        self._released.set()
        self._released = asyncio.Event()

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, answers: list[str]
    ) -> list[str]:
        session.host_name = hostname
        # aiosmtpd reads line by line, so it takes what is said at once; it does not offer it by itself.
        offered = ["250-PIPELINING"] if self._script.pipelining else []
        return [*answers[:-1], *offered, answers[-1]]

    async def handle_MAIL(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self._script.note(transactions=1)
        assert isinstance(server, _Protocol)
        server.begun_at = datetime.now(UTC)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self._script.refused.get(address.lower())
        if reply and (line := reply.take()):
            return line
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        reply = self._script.refused_mail
        if reply and (line := reply.take()):
            return line
        trouble = self._script.trouble
        if trouble is Trouble.HANG_AT_DATA:
            released = self._released
            self._script.note(troubles=1)
            await released.wait()
        assert isinstance(server, _Protocol)
        self._script.keep(_read_mail(session, envelope, server.begun_at))
        if trouble is Trouble.DROP_BEFORE_REPLY:
            self._script.note(troubles=1)
            await _drop(server)
        return "250 OK"


class _Protocol(SMTP):
    """One connection that is served."""

    def __init__(self, controller: ScriptedController, handler: _Handler) -> None:
        super().__init__(
            handler,
            loop=controller.loop,
            hostname="localhost",
            enable_SMTPUTF8=True,
            tls_context=controller.starttls,
            require_starttls=controller.starttls is not None,
            auth_required=controller.login is not None,
            authenticator=controller.authenticate,
        )
        self._script = controller.script
        self._greeted = controller.greeted
        self.begun_at = datetime.now(UTC)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection; aiosmtpd calls this again when STARTTLS has encrypted it."""
        if self.transport is None:
            self._script.note(connections=1)
        assert isinstance(transport, asyncio.Transport)
        self._greeted.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection, encrypted or not."""
        self._greeted -= {self.transport, self._original_transport}
        super().connection_lost(error)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802  # aiosmtpd's name
        """Take a mail, or hang up in the middle of it."""
        if self._script.trouble is Trouble.DROP_DURING_DATA:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._reader.readuntil(b"\r\n")
            self._script.note(troubles=1)
            await _drop(self)
        await super().smtp_DATA(arg)


class _Silence(asyncio.Protocol):
    """One connection that is never greeted."""

    def __init__(self, controller: ScriptedController) -> None:
        self._script = controller.script
        self._drop = self._script.trouble is Trouble.DROP_AT_CONNECT
        self._ungreeted = controller.ungreeted
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and hang up or say nothing."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ungreeted.add(transport)
        self._script.note(connections=1, troubles=1)
        if self._drop:
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        self._ungreeted -= {self._transport}


async def _drop(server: SMTP) -> Never:
    """Hang up; the loop then cancels the calling task, so that it answers no more."""
    assert isinstance(server.transport, asyncio.Transport)
    _cut(server.transport)
    await asyncio.Event().wait()
    raise AssertionError


def _cut(transport: asyncio.Transport) -> None:
    # A TLS transport that was closed twice, as aiosmtpd does after QUIT, cannot be aborted (CPython 3.11.2);
    # it ends by itself when the client has closed too.
    with contextlib.suppress(AttributeError):
        transport.abort()


def _read_mail(session: Session, envelope: Envelope, begun_at: datetime) -> ReceivedMail:
    content = envelope.original_content or b""
    return ReceivedMail(
        sender=envelope.mail_from or "",
        recipients=tuple(envelope.rcpt_tos),
        message=message_from_bytes(content, policy=policy.default),
        content=content,
        encrypted=session.ssl is not None,
        begun_at=begun_at,
    )
