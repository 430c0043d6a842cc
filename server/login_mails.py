"""Mails links to sign in, beside the requests that ask for them.

A request leaves the address here and is answered at once, whoever the address belongs to: neither what
is answered nor how long that takes tells whether somebody has it.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from db import accounts, system
from db.session import Database
from notify.login_mail import LoginMail, render
from notify.mail_headers import UnusableAddress
from notify.smtp import Mailer, SendFault
from resolvers.logins import VALID_FOR, make_link

log = logging.getLogger(__name__)

#: Addresses that may wait. Beyond that they are dropped, so that a flood costs no memory.
_MOST_WAITING = 1000
_DRAIN_SECONDS = 5.0
#: One that hangs does not hold up the others.
_MAILERS = 2


class LoginMails:
    """The login mails of one node. Start it once; stop it after the last request."""

    def __init__(
        self,
        database: Database,
        *,
        sender: str,
        link_of: Callable[[str, UUID | None], str],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._sender = sender
        self._link_of = link_of
        self._now = now
        self._waiting: asyncio.Queue[tuple[str, UUID | None]] = asyncio.Queue(_MOST_WAITING)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, open_mailer: Callable[[], Mailer]) -> None:
        """Begin to send. Mailers are opened when there is something to send."""
        self._tasks = [asyncio.create_task(self._run(open_mailer)) for _ in range(_MAILERS)]

    async def stop(self) -> None:
        """Send what is waiting, if the mail server is quick, and end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self.idle()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until every address that was asked for has been seen to."""
        await self._waiting.join()

    def ask(self, email: str, handoff_id: UUID | None = None) -> None:
        """Mail a link to this address, if somebody has it who may sign in. Never waits, never fails.

        The link leads on to the handoff, if one is given.
        """
        try:
            self._waiting.put_nowait((email, handoff_id))
        except asyncio.QueueFull:
            log.warning("too many logins asked for: one was dropped")

    async def _run(self, open_mailer: Callable[[], Mailer]) -> None:
        mailer: Mailer | None = None
        try:
            while True:
                mail = await self._next()
                if mail is not None:
                    mailer = mailer or open_mailer()
                    await self._send(mail, mailer)
                self._waiting.task_done()
        finally:
            if mailer is not None:
                await mailer.close()

    async def _next(self) -> LoginMail | None:
        """Wait for an address, and make its link; None where nobody is to get one."""
        email, handoff_id = await self._waiting.get()
        try:
            return await self._write(email, handoff_id)
        except Exception:
            log.exception("link to sign in not made")
            return None

    async def _send(self, mail: LoginMail, mailer: Mailer) -> None:
        try:
            await mailer.send(render(mail, sender=self._sender, now=self._now()))
        except UnusableAddress:
            log.warning("login mail not sent: no mail can be written to the address")
        except SendFault as fault:
            # Not tried again: whoever waits for the mail asks again.
            log.warning("login mail not accepted", extra={"code": fault.code})

    async def _write(self, email: str, handoff_id: UUID | None) -> LoginMail | None:
        """Make a link; None where nobody is to get one."""
        async with self._database.system_reading() as tx:
            user = await system.find_user_by_email(tx, email)
        if user is None or not user.may_sign_in:
            return None
        async with self._database.transaction(user.account_id) as tx:
            secret = await make_link(tx, user, now=self._now())
            account = await accounts.by_id(tx)
        if secret is None:
            return None
        return LoginMail(
            name=user.name,
            email=user.email,
            account_name=account.name,
            link=self._link_of(secret, handoff_id),
            valid_for=VALID_FOR,
        )
