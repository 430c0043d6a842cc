"""Workers and nodes as processes of their own, which can be killed, and what they leave behind."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.message import EmailMessage
from uuid import UUID

from sqlalchemy import select, text, update

from db.enums import DeliveryStatus
from db.models import deliveries, delivery_attempts
from db.session import Database
from schema.context import utc_now
from tests.client import SECRET
from tests.patience import PATIENCE
from tests.servers.processes import HandoffProcess, free_port
from tests.servers.smtp import ReceivedMail, SmtpServer
from tests.sockets import eventually

UNFINISHED = (DeliveryStatus.PENDING, DeliveryStatus.SENDING)


def make_worker(
    database_url: str,
    smtp: SmtpServer,
    *,
    broadcast_url: str | None = None,
    connections: int = 4,
    sender: str = "Handoff <handoff@msp.example>",
) -> HandoffProcess:
    """Describe a worker; nothing runs before `start`. The database wakes it unless another does."""
    env = {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": database_url,
        "HANDOFF_BROADCAST_URL": broadcast_url or database_url,
        "HANDOFF_SMTP_URL": f"smtp+plain://{smtp.host}:{smtp.port}?timeout={PATIENCE}",
        "HANDOFF_MAIL_FROM": sender,
        "HANDOFF_MAIL_CONNECTIONS": str(connections),
    }
    return HandoffProcess("worker", env=env, ready_line="worker started")


def make_node(
    database_url: str, *, broadcast_url: str | None = None, grace: float = 30
) -> tuple[HandoffProcess, str]:
    """Describe a node that sends no mails, and return its address too; nothing runs before `start`."""
    port = free_port()
    env = {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": database_url,
        "HANDOFF_BROADCAST_URL": broadcast_url or database_url,
        "HANDOFF_PORT": str(port),
        "HANDOFF_PUSH_GRACE": str(grace),
        "HANDOFF_WORKER": "off",
    }
    address = f"127.0.0.1:{port}"
    return HandoffProcess("serve", env=env, ready_url=f"http://{address}/readyz"), address


@contextmanager
def closing(*processes: HandoffProcess) -> Iterator[None]:
    """Leave nothing of the processes behind, whatever became of them."""
    try:
        yield
    finally:
        for process in processes:
            process.close()


async def start(*processes: HandoffProcess) -> None:
    """Start processes side by side, and wait until all are ready."""
    await asyncio.gather(*(asyncio.to_thread(process.start) for process in processes))


async def end_leases(database: Database) -> int:
    """Let the time pass after which a dead worker's deliveries are free; return how many it held."""
    async with database.system() as tx:
        held = update(deliveries).where(deliveries.c.lease_until.is_not(None))
        return await tx.execute(held.values(lease_until=utc_now() - timedelta(seconds=1)))


async def leased(database: Database) -> int:
    """Count the deliveries that some worker holds."""
    async with database.system_reading() as tx:
        held = select(deliveries.c.id).where(deliveries.c.lease_until.is_not(None))
        return len((await tx.connection.execute(held)).all())


async def until_leased(database: Database, count: int) -> None:
    """Wait until workers hold that many deliveries."""

    async def are_leased() -> bool:
        return await leased(database) == count

    await eventually(are_leased)


async def until_settled(database: Database, *, within: float = PATIENCE) -> None:
    """Wait until no delivery of any account waits or is being sent."""

    async def are_settled() -> bool:
        async with database.system_reading() as tx:
            waiting = select(deliveries.c.id).where(deliveries.c.status.in_(UNFINISHED)).limit(1)
            return await tx.fetch_value(waiting) is None

    await eventually(are_settled, within=within)


async def attempts_at(database: Database, delivery_id: UUID) -> list[tuple[int, bool, int | None]]:
    """Return number, whether it ended, and reply code of each attempt at a delivery."""
    attempt = delivery_attempts.c
    statement = select(attempt.number, attempt.finished_at.is_not(None), attempt.reply_code)
    async with database.system_reading() as tx:
        rows = await tx.connection.execute(
            statement.where(attempt.delivery_id == delivery_id).order_by(attempt.number)
        )
        return [(number, bool(has_ended), code) for number, has_ended, code in rows]


def delivery_of(mail: ReceivedMail) -> UUID:
    """Return the delivery of a mail that arrived."""
    return delivery_named(mail.message)


def delivery_named(message: EmailMessage) -> UUID:
    """Return the delivery that the Message-ID of a mail names."""
    local_part = str(message["Message-ID"]).strip("<>").partition("@")[0]
    return UUID(local_part.removeprefix("delivery-"))


def times_sent(smtp: SmtpServer) -> Counter[UUID]:
    """Count the mails of each delivery that the mail server took."""
    return Counter(delivery_of(mail) for mail in smtp.mails)


async def deadlocks(database: Database) -> int:
    """Return how often PostgreSQL had to end a circle in this database."""
    counted = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    async with database.system_reading() as tx:
        return int(await tx.fetch_value(counted))
