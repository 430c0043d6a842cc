"""What one process is made of, started and stopped in order."""

import platform
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from db.session import Database, new_id
from notify.broadcast.wakeups import Wakeups
from notify.feed import Feed
from notify.mail_headers import UnusableAddress, sender_address
from notify.outbox import MailSettings, Outbox
from notify.presence import Presence
from notify.receipts import Receipts
from notify.smtp import Mailer, MailServer
from schema.context import Services, utc_now
from server.auth import Tokens
from server.mail_sink import MailSink
from server.settings import Settings, SettingsError


def open_database(settings: Settings) -> Database:
    """Make the process's database, without connecting.

    Raises:
        SettingsError: the URL cannot be used.
    """
    try:
        return Database(settings.database_url.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"HANDOFF_DATABASE_URL: {error}") from None


def open_wakeups(settings: Settings) -> Wakeups:
    """Make the process's part in the broadcast, without connecting.

    Raises:
        SettingsError: the URL cannot be used.
    """
    try:
        return Wakeups(settings.broadcast_url.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"HANDOFF_BROADCAST_URL: {error}") from None


def open_mail_server(settings: Settings, stack: AsyncExitStack) -> MailServer:
    """Return the mail server of the settings; where there is none, start one that writes files.

    Raises:
        SettingsError: the URL or the folder cannot be used.
    """
    url = settings.smtp_url.get_secret_value()
    if not url:
        sink = MailSink(settings.mail_folder)
        try:
            url = sink.start()
        except OSError as error:
            raise SettingsError(
                f"HANDOFF_MAIL_FOLDER: no mails can be filed there: {error.strerror}"
            ) from None
        stack.callback(sink.stop)
    try:
        return MailServer.from_url(url)
    except ValueError as error:
        raise SettingsError(f"HANDOFF_SMTP_URL: {error}") from None


def make_outbox(settings: Settings, database: Database, mail_server: MailServer) -> Outbox:
    """Make a worker's sending loop.

    Raises:
        SettingsError: nobody could be written to with this sender.
    """
    try:
        sender_address(settings.mail_from)
    except UnusableAddress:
        raise SettingsError('HANDOFF_MAIL_FROM must be like "Handoff <handoff@example.com>".') from None

    def link_for(handoff_id: UUID) -> str:
        return f"{settings.link_base}/handoffs/{handoff_id}"

    mailers = [Mailer(mail_server) for _ in range(settings.mail_connections)]
    return Outbox(database, mailers, MailSettings(sender=settings.mail_from, link_for=link_for), utc_now)


class Node:
    """What one process of the API is made of. Made without connecting; `running` starts and stops it."""

    def __init__(self, settings: Settings) -> None:
        """Make the parts.

        Raises:
            SettingsError: a URL cannot be used.
        """
        self.settings = settings
        self.database = open_database(settings)
        self.wakeups = open_wakeups(settings)
        self.feed = Feed(self.database, self.wakeups)
        name = f"{platform.node()}-{secrets.token_hex(2)}"
        self.presence = Presence(self.database, new_id(), name, utc_now)
        self.receipts = Receipts(self.database, utc_now)
        self.database.on_commit.append(self.wakeups.announce)
        self.services = Services(
            database=self.database,
            feed=self.feed,
            presence=self.presence,
            receipts=self.receipts,
            read_token=Tokens(settings.secret.get_secret_value()).read,
            push_grace=settings.grace,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the parts while the block runs. A database or broker that is away is waited for."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.dispose)
            for part in (self.wakeups, self.presence, self.receipts, self.feed):
                await part.start()
                stack.push_async_callback(part.stop)
            yield
