"""A worker for tests: the outbox of a node, run batch by batch."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from db.deliveries import DeliveryRow
from db.enums import Channel, DeliveryStatus
from db.models import deliveries
from db.session import Database, columns_of
from notify.mail_server import MailServer
from notify.outbox import MailSettings, Outbox
from notify.smtp import Mailer
from schema.context import utc_now
from tests.servers.smtp import SmtpServer

MAIL = MailSettings(
    sender="Handoff <handoff@msp.example>", link_for=lambda handoff_id: f"https://x.example/{handoff_id}"
)


def make_outbox(database: Database, smtp: SmtpServer, *, mailers: int = 2, timeout: float = 5) -> Outbox:
    """Make an outbox that hands mails in at the test's mail server."""
    return outbox_for(database, f"smtp+plain://{smtp.host}:{smtp.port}?timeout={timeout}", mailers=mailers)


def outbox_for(database: Database, url: str, *, mailers: int = 2) -> Outbox:
    """Make an outbox that hands mails in at the server with this URL."""
    server = MailServer.from_url(url)
    return Outbox(database, [Mailer(server) for _ in range(mailers)], MAIL, utc_now)


async def mails_of(database: Database, account_id: UUID, handoff_id: str) -> dict[UUID, DeliveryRow]:
    """Return the latest round's mails about a handoff by recipient."""
    statement = (
        select(*columns_of(DeliveryRow, deliveries))
        .where(deliveries.c.account_id == account_id, deliveries.c.handoff_id == UUID(handoff_id))
        .where(deliveries.c.channel == Channel.EMAIL)
        .order_by(deliveries.c.round)
    )
    async with database.reading(account_id) as tx:
        return {row.recipient_id: row for row in await tx.fetch_all(statement, DeliveryRow)}


async def make_due(database: Database, account_id: UUID, **changes: object) -> None:
    """Let what waits for a retry or a grace period be due now."""
    async with database.transaction(account_id) as tx:
        await tx.execute(
            update(deliveries)
            .where(deliveries.c.account_id == account_id, deliveries.c.status == DeliveryStatus.PENDING)
            .values(due_at=utc_now() - timedelta(seconds=1), **changes)
        )
