"""A worker for tests whose mails wait, one at a time, until the test says what becomes of each."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from uuid import UUID

from db.session import Database
from notify.envelopes import Envelope
from notify.mail_server import MailServer
from notify.outbox import Outbox
from notify.smtp import Mailer, PermanentFault, Reply, TemporaryFault
from tests.mailing import MAIL
from tests.patience import PATIENCE
from tests.workers import delivery_named

FAULTS = {"later": TemporaryFault, "refused": PermanentFault}
ANSWERS = ("accepted", *FAULTS)


class _Counter(Mailer):
    """Where a mail waits for its answer."""

    def __init__(self) -> None:
        super().__init__(MailServer(host="nowhere.example", port=25, tls="off"))
        self.in_hand: UUID | None = None
        self.reached = asyncio.Event()
        self._answer: asyncio.Future[Reply] | None = None

    async def send(self, mail: EmailMessage | Envelope) -> Reply:
        """Wait for the answer."""
        assert isinstance(mail, Envelope)
        self.in_hand = delivery_named(message_from_bytes(mail.content, policy=policy.default))
        self._answer = asyncio.get_running_loop().create_future()
        self.reached.set()
        return await self._answer

    async def close(self) -> None:
        """Have nothing to close."""

    def answer(self, answer: str) -> None:
        """Answer the mail in hand."""
        assert self._answer is not None
        self.reached.clear()
        self.in_hand = None
        if answer in FAULTS:
            self._answer.set_exception(FAULTS[answer](None, answer))
        else:
            self._answer.set_result(Reply(250, "OK"))


class Clerk:
    """A worker that sends one batch after the other, and stops with each mail in hand."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._batch: asyncio.Task[int] | None = None
        self._start()

    @property
    def in_hand(self) -> UUID | None:
        """The delivery whose mail waits for an answer."""
        return self._counter.in_hand

    @property
    def timeout(self) -> timedelta:
        """How long the mail server may take over one mail: so much longer a lease lasts from then on."""
        return self._counter.timeout

    @property
    def is_busy(self) -> bool:
        """Whether a batch is not finished."""
        return self._batch is not None

    async def begin_batch(self) -> None:
        """Lease what is due, and go on to the first mail that is to be sent, or to the end."""
        self._batch = asyncio.create_task(self._outbox.send_batch())
        await self._go_on()

    async def answer(self, answer: str) -> None:
        """Let the mail server answer the mail in hand; go on to the next one, or to the end."""
        self._counter.answer(answer)
        await self._go_on()

    async def die(self) -> None:
        """End at once, and leave everything as it is; the one that takes its place knows nothing of it."""
        if self._batch is not None:
            self._batch.cancel()
            await asyncio.gather(self._batch, return_exceptions=True)
        self._batch = None
        self._start()

    def _start(self) -> None:
        self._counter = _Counter()
        self._outbox = Outbox(self._database, [self._counter], MAIL, self._now)

    async def _go_on(self) -> None:
        assert self._batch is not None
        reached = asyncio.create_task(self._counter.reached.wait())
        done, _ = await asyncio.wait(
            [self._batch, reached], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
        )
        reached.cancel()
        assert done, "the worker neither sends nor ends"
        if self._batch.done():
            self._batch.result()
            self._batch = None
