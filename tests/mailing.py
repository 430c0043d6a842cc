"""A worker for tests: the outbox of a node, run batch by batch, and what makes the clock's work due."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from assist.redaction import redact
from db import handoffs as stored
from db import presence, system
from db.deliveries import DeliveryRow
from db.enums import Channel, DeliveryKind, DeliveryStatus
from db.handoffs import HandoffRow
from db.models import deliveries, handoffs
from db.presence import ConnectionRow
from db.session import Database, columns_of, new_id
from db.users import UserRow
from notify.mail_server import MailServer
from notify.outbox import MailSettings, Outbox
from notify.smtp import Mailer
from schema.context import utc_now
from server import process
from server.due_work import DueWork
from server.settings import Settings
from tests.client import Answer, Api
from tests.patience import PATIENCE
from tests.servers.smtp import SmtpServer

SET_POLICY = """
mutation ($input: UpdateAccountPolicyInput!) { updateAccountPolicy(input: $input) {
  policy { reminderAfter remind claimExpiresAfter }
} }
"""
SET_PREFERENCES = """
mutation ($input: UpdateNotificationPreferencesInput!) { updateNotificationPreferences(input: $input) {
  preferences { mutePush muteEmail quietReminders }
} }
"""
ACKNOWLEDGE = """
mutation ($id: ID!) { acknowledgeEscalation(input: { handoffId: $id }) { handoff { id state } } }
"""


class _Links:
    """Links that say what they are."""

    def to_act(self, delivery: DeliveryRow) -> str:
        """Return the address of the handoff."""
        return f"https://x.example/{delivery.handoff_id}"

    def to_quiet(self, delivery: DeliveryRow) -> str:
        """Return the address that turns reminders off."""
        return f"https://x.example/quiet/{delivery.recipient_id}"


MAIL = MailSettings(sender="Handoff <handoff@msp.example>", links=_Links(), redact=redact)


def make_outbox(database: Database, smtp: SmtpServer, *, mailers: int = 2) -> Outbox:
    """Make an outbox that hands mails in at the test's mail server."""
    return outbox_for(database, f"smtp+plain://{smtp.host}:{smtp.port}?timeout={PATIENCE}", mailers=mailers)


def outbox_for(database: Database, url: str, *, mailers: int = 2) -> Outbox:
    """Make an outbox that hands mails in at the server with this URL."""
    server = MailServer.from_url(url)
    return Outbox(database, [Mailer(server) for _ in range(mailers)], MAIL, utc_now)


def outbox_of(settings: Settings, database: Database) -> Outbox:
    """Make the outbox of a process with these settings: its links and signatures are real."""
    return process.make_outbox(settings, database, MailServer.from_url(settings.smtp_url.get_secret_value()))


async def mails_of(
    database: Database, account_id: UUID, handoff_id: str, kind: DeliveryKind = DeliveryKind.ESCALATION
) -> dict[UUID, DeliveryRow]:
    """Return the mails of a kind about a handoff by recipient, of the latest round that has one for them."""
    statement = (
        select(*columns_of(DeliveryRow, deliveries))
        .where(deliveries.c.account_id == account_id, deliveries.c.handoff_id == UUID(handoff_id))
        .where(deliveries.c.channel == Channel.EMAIL, deliveries.c.kind == kind)
        .order_by(deliveries.c.round)
    )
    async with database.reading(account_id) as tx:
        return {row.person_id: row for row in await tx.fetch_all(statement, DeliveryRow)}


async def make_due(database: Database, account_id: UUID, **changes: object) -> None:
    """Let what waits for a retry or a grace period be due now."""
    async with database.transaction(account_id) as tx:
        await tx.execute(
            update(deliveries)
            .where(deliveries.c.account_id == account_id, deliveries.c.status == DeliveryStatus.PENDING)
            .values(due_at=utc_now() - timedelta(seconds=1), **changes)
        )


async def change_handoffs(database: Database, account_id: UUID, **values: object) -> None:
    """Set columns of the account's handoffs behind the service's back."""
    async with database.transaction(account_id) as tx:
        await tx.execute(update(handoffs).where(handoffs.c.account_id == account_id).values(**values))


async def change_deliveries(database: Database, account_id: UUID, **values: object) -> None:
    """Set columns of the account's deliveries behind the service's back."""
    async with database.transaction(account_id) as tx:
        await tx.execute(update(deliveries).where(deliveries.c.account_id == account_id).values(**values))


async def handoff_row(api: Api, handoff_id: str) -> HandoffRow:
    """Return a handoff as it is stored."""
    key = UUID(handoff_id)
    async with api.cast.database.reading(api.cast.account_id) as tx:
        return (await stored.by_ids(tx, [key]))[key]


async def set_policy(api: Api, **given: Any) -> Any:  # noqa: ANN401
    """Set the account's policy as an admin, and return it."""
    return (await api.ask(api.cast.adam, SET_POLICY, input=given)).only()["policy"]


async def set_preferences(api: Api, user: UserRow, **given: bool) -> Answer:
    """Set how a user wants to be told."""
    return await api.ask(user, SET_PREFERENCES, input=given)


async def make_reminders_due(api: Api) -> None:
    """Let as much time pass as the next reminder of each escalation waits for."""
    now, account_id = utc_now(), api.cast.account_id
    waiting = select(handoffs.c.id, handoffs.c.opened_at, handoffs.c.next_reminder_at)
    own = (handoffs.c.account_id == account_id, handoffs.c.next_reminder_at.is_not(None))
    async with api.cast.database.transaction(account_id) as tx:
        for id_, opened_at, next_at in await tx.connection.execute(waiting.where(*own)):
            passed = next_at - now + timedelta(milliseconds=1)
            changed = {"opened_at": opened_at - passed, "next_reminder_at": next_at - passed}
            await tx.execute(update(handoffs).where(*own, handoffs.c.id == id_).values(changed))


async def do_what_is_due(api: Api) -> int:
    """Do what the clock demands, as a worker does; return how many handoffs were touched."""
    return await DueWork(api.cast.database, api.node.settings.grace).do()


async def remind(api: Api) -> int:
    """Make the next reminders due and send them; return how many that were."""
    await make_reminders_due(api)
    return await do_what_is_due(api)


async def open_dashboard(database: Database, user: UserRow, *, team_id: UUID | None = None) -> None:
    """Let a user be at a screen, for one team or for every one, on a node that beats."""
    node_id, now = new_id(), utc_now()
    async with database.system() as tx:
        await system.add_node(tx, node_id, "elsewhere", now=now)
    async with database.transaction(user.account_id) as tx:
        await presence.connect(tx, ConnectionRow(user.account_id, new_id(), node_id, user.id, team_id, now))
