"""An SMTP server for the tests: it keeps what it is sent, and refuses, hangs or hangs up as told."""

import asyncio
import shutil
from types import TracebackType
from typing import Literal, Self

from tests.patience import PATIENCE
from tests.servers import children
from tests.servers.certificates import make_certificate
from tests.servers.processes import free_port
from tests.servers.smtp_protocol import ScriptedController
from tests.servers.smtp_script import ReceivedMail, Reply, Script, Trouble

__all__ = ["ReceivedMail", "SmtpServer", "Trouble"]


class SmtpServer:
    """One SMTP server on a port of 127.0.0.1 that it keeps through restarts, in a thread of its own."""

    def __init__(
        self,
        *,
        tls: Literal["none", "starttls", "implicit"] = "none",
        login: tuple[str, str] | None = None,
        pipelining: bool = True,
    ) -> None:
        """Choose the port; nothing listens before `start`.

        Args:
            tls: With a certificate for 127.0.0.1 and localhost that `ca_file` vouches for.
            login: User and password that it demands; only with STARTTLS.
            pipelining: Whether it offers to take several commands at once (RFC 2920).
        """
        if login and tls != "starttls":
            message = "a login without STARTTLS would travel in the clear"
            raise ValueError(message)
        self.host = "127.0.0.1"
        self.port = free_port()
        self._folder = children.make_folder("handoff-smtp-")
        self.ca_file, context = make_certificate(self._folder)
        self._starttls = context if tls == "starttls" else None
        self._implicit_tls = context if tls == "implicit" else None
        self._login = login
        self._script = Script(pipelining=pipelining)
        self._controller: ScriptedController | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def mails(self) -> list[ReceivedMail]:
        """The mails it has taken, oldest first."""
        return list(self._script.mails)

    @property
    def connections(self) -> int:
        """How many connections it took, hung and dropped ones too."""
        return self._script.connections

    @property
    def transactions(self) -> int:
        """How many MAIL commands began a transaction, whatever became of it."""
        return self._script.transactions

    def start(self) -> None:
        """Listen; whoever sends may connect from now on."""
        if self._controller is not None:
            return
        controller = ScriptedController(
            self._script,
            self.port,
            starttls=self._starttls,
            implicit_tls=self._implicit_tls,
            login=self._login,
        )
        controller.start()
        self._controller = controller

    def stop(self) -> None:
        """Cut all connections and stop listening; what was received is kept."""
        if self._controller is not None:
            controller, self._controller = self._controller, None
            try:
                controller.hang_up()
            finally:
                controller.stop()

    def restart(self) -> None:
        """Stop, then listen on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop for good and remove the certificate."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def clear(self) -> None:
        """Behave, and forget mails, counts and scripted replies, so that the next test finds a new server."""
        self.behave()
        self._script.clear()

    def refuse(self, address: str, code: int, text: str, *, times: int | None = None) -> None:
        """Answer RCPT for one address so, always or a number of times; 4xx is temporary, 5xx for good."""
        self._script.refused[address.lower()] = Reply(line=f"{code} {text}", times=times)

    def refuse_mail(self, code: int, text: str, *, times: int | None = None) -> None:
        """Answer so after a whole mail was sent, and do not keep it."""
        self._script.refused_mail = Reply(line=f"{code} {text}", times=times)

    def accept(self, address: str) -> None:
        """Take mail for an address again."""
        self._script.refused.pop(address.lower(), None)

    def misbehave(self, trouble: Trouble) -> None:
        """Make trouble from the next connection or mail on, until `behave`."""
        self._script.trouble = trouble

    def behave(self) -> None:
        """Make no more trouble; mails that hang are kept and answered, connections that hang are cut."""
        self._script.trouble = None
        if self._controller is not None:
            self._controller.release()

    def wait_for(self, count: int, timeout: float = PATIENCE) -> list[ReceivedMail]:
        """Wait until so many mails have come, and give all. It blocks: in a coroutine use `arrival`.

        Raises:
            TimeoutError: They did not come in time.
        """
        if not self._script.wait(lambda: len(self._script.mails) >= count, timeout):
            message = f"{len(self.mails)} of {count} mails came in {timeout} s"
            raise TimeoutError(message)
        return self.mails

    async def arrival(self, count: int, timeout: float = PATIENCE) -> list[ReceivedMail]:  # noqa: ASYNC109
        """Like `wait_for`, for a coroutine whose loop must run on."""
        return await asyncio.to_thread(self.wait_for, count, timeout)

    def wait_for_trouble(self, count: int = 1, timeout: float = PATIENCE) -> None:
        """Wait until so many connections or mails met a trouble. It blocks: in a coroutine use `trouble_met`.

        Raises:
            TimeoutError: They did not meet it in time.
        """
        if not self._script.wait(lambda: self._script.troubles >= count, timeout):
            message = f"{self._script.troubles} of {count} troubles were met in {timeout} s"
            raise TimeoutError(message)

    async def trouble_met(self, count: int = 1, timeout: float = PATIENCE) -> None:  # noqa: ASYNC109
        """Like `wait_for_trouble`, for a coroutine whose loop must run on."""
        await asyncio.to_thread(self.wait_for_trouble, count, timeout)
