"""What one process is made of, started and stopped in order."""

import asyncio
import platform
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path

from assist.redaction import redact
from db.deliveries import DeliveryRow
from db.enums import DeliveryKind
from db.session import Database, new_id
from notify.broadcast.wakeups import Wakeups
from notify.feed import Feed
from notify.outbox import MailSettings, Outbox
from notify.presence import Presence
from notify.psa.addresses import AllowedHosts
from notify.psa.gateway import Gateway
from notify.psa.http import trusting
from notify.psa.outbox import NoteOutbox, NoteSettings
from notify.psa.vault import Vault, derived_key
from notify.receipts import Receipts
from notify.smtp import Mailer, MailServer
from resolvers.refusals import RefusalLog
from schema.completions import Completions
from schema.context import Services, utc_now
from schema.documents import read_manifest
from schema.selections import Selections
from schema.streams import Streams
from server.auth import Identify, Tokens
from server.clock import Clock
from server.jwks import KeySet, ProviderTokens, keys_in_file
from server.key_uses import KeyUses
from server.links import ClaimLink, Links
from server.login_mails import LoginMails
from server.mailing import make_mailers, open_mail_server
from server.outages import Outages
from server.rate_limits import RateLimits
from server.settings import Settings, SettingsError
from server.web_addresses import is_everywhere

_NEW_KEY = "openssl rand -base64 32 | tr +/ -_"


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


def make_outbox(settings: Settings, database: Database, mail_server: MailServer) -> Outbox:
    """Make a worker's sending loop.

    Raises:
        SettingsError: the sender or the DKIM key cannot be used.
    """
    mailers = make_mailers(settings, mail_server, settings.mail_connections)
    mail = MailSettings(sender=settings.mail_from, links=_MailLinks(make_links(settings)), redact=redact)
    return Outbox(database, mailers, mail, utc_now)


def make_gateway(settings: Settings) -> Gateway | None:
    """Make what reaches PSAs; None where there is no key to encrypt credentials with.

    Raises:
        SettingsError: a key or the file of authorities cannot be used.
    """
    keys = [key.strip() for key in settings.encryption_keys.get_secret_value().split(",") if key.strip()]
    if not keys and settings.demo:
        keys = [derived_key(settings.secret.get_secret_value())]
    try:
        tls = trusting(settings.psa_ca_file)
    except OSError:  # ssl.SSLError is one
        raise SettingsError("HANDOFF_PSA_CA_FILE: no certificates in PEM can be read there.") from None
    try:
        vault = Vault(keys) if keys else None
    except ValueError as error:
        raise SettingsError(f"HANDOFF_ENCRYPTION_KEYS: {error}. Make one with: {_NEW_KEY}") from None
    if vault is None:
        return None
    return Gateway(vault=vault, allowed=AllowedHosts(settings.psa_allowed_hosts), tls=tls, now=utc_now)


def make_note_outbox(settings: Settings, database: Database) -> NoteOutbox | None:
    """Make a worker's loop for notes in tickets; None where credentials cannot be decrypted.

    Raises:
        SettingsError: a key or the file of authorities cannot be used.
    """
    gateway = make_gateway(settings)
    if gateway is None:
        return None
    notes = NoteSettings(link_of=make_links(settings).handoff, redact=redact)
    return NoteOutbox(database, gateway, notes, utc_now)


def make_links(settings: Settings) -> Links:
    """Make what signs and reads the links in mails.

    Raises:
        SettingsError: they would lead nowhere.
    """
    if not (settings.public_url or settings.demo) and is_everywhere(settings.host):
        raise SettingsError(
            f"HANDOFF_PUBLIC_URL must be set: with HANDOFF_HOST={settings.host} the service listens on every "
            "address, and links in mails would lead to none. Write what people reach it by, like "
            "https://handoff.example.com."
        )
    secret = settings.secret.get_secret_value()
    return Links(settings.link_base, secret, claim_for=timedelta(hours=settings.claim_link_hours))


class _MailLinks:
    """The links of a mail, signed for its recipient."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def to_act(self, delivery: DeliveryRow) -> str:
        """Return the claim link; for a mail about a claim, the page of the handoff."""
        if delivery.kind in (DeliveryKind.CLAIMED, DeliveryKind.UNREACHED):
            return self._links.handoff(delivery.handoff_id)
        link = ClaimLink(delivery.account_id, delivery.person_id, delivery.handoff_id, delivery.id)
        return self._links.claim(link, now=utc_now())

    def to_quiet(self, delivery: DeliveryRow) -> str:
        """Return the link that turns reminders off."""
        return self._links.quiet(delivery.account_id, delivery.person_id, now=utc_now())


class Node:
    """What one process of the API is made of. Made without connecting; `running` starts and stops it."""

    def __init__(self, settings: Settings) -> None:
        """Make the parts.

        Raises:
            SettingsError: a URL cannot be used.
        """
        self.settings = settings
        self.ending = asyncio.Event()  #: set when the server begins to stop
        self.database = open_database(settings)
        self.outages = Outages(self.database)
        self.clock = Clock(self.database, utc_now)
        self.wakeups = open_wakeups(settings)
        self.feed = Feed(self.database, self.wakeups)
        name = f"{platform.node()}-{secrets.token_hex(2)}"
        self.presence = Presence(self.database, new_id(), name, utc_now, self.feed.outage)
        self.receipts = Receipts(self.database, utc_now)
        self.refusals = RefusalLog(self.database)
        self.rate_limits = _make_rate_limits(settings)
        self.key_uses = KeyUses(self.database, utc_now)
        self.tokens = Tokens(settings.secret.get_secret_value())
        self.provider_keys, provider = _make_provider(settings)
        #: None where an identity provider signs people in.
        self.login_mails = None if settings.jwks else _make_login_mails(settings, self.database)
        self.database.on_commit.append(self.wakeups.announce_commit)
        self.services = Services(
            database=self.database,
            feed=self.feed,
            presence=self.presence,
            receipts=self.receipts,
            identify=Identify(self.database, self.tokens, provider, self.key_uses),
            rate_limits=self.rate_limits,
            refusals=self.refusals,
            streams=Streams() if settings.shared_streams else None,
            completions=Completions() if settings.compiled_completion else None,
            selections=Selections() if settings.exact_columns else None,
            has_plans=settings.plans,
            psa=make_gateway(settings),
            documents=_read_documents(settings),
            push_grace=settings.grace,
            assessment_wait=settings.wait_for_assessment,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the parts while the block runs. A database or broker that is away is waited for."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.dispose)
            await self.outages.start()
            stack.push_async_callback(self.outages.stop)
            stack.push_async_callback(self.rate_limits.stop)
            beside = (self.clock, self.wakeups)
            for part in (*beside, self.presence, self.receipts, self.key_uses, self.refusals, self.feed):
                await part.start()
                stack.push_async_callback(part.stop)
            if self.provider_keys is not None:
                await self.provider_keys.start()
                stack.push_async_callback(self.provider_keys.stop)
            if self.login_mails is not None:
                await self.login_mails.start(_mailer_opener(self.settings, stack))
                stack.push_async_callback(self.login_mails.stop)
            yield


def _read_documents(settings: Settings) -> dict[str, str] | None:
    """Read the documents that are answered, None for any.

    Raises:
        SettingsError: the manifest cannot be read.
    """
    if settings.documents is None:
        return None
    try:
        return read_manifest(settings.documents.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"HANDOFF_DOCUMENTS: the file cannot be read: {error.strerror}.") from None
    except ValueError:
        raise SettingsError(
            "HANDOFF_DOCUMENTS: the file holds no manifest: a JSON object of documents by hash."
        ) from None


def _make_rate_limits(settings: Settings) -> RateLimits:
    try:
        return RateLimits(
            settings.broadcast_url.get_secret_value(),
            {
                "mutation": settings.mutation_limit,
                "connect": settings.connect_limit,
                "refused": settings.mutation_limit,
            },
            account_factor=settings.account_limit_factor,
            strangers=settings.stranger_limit,
        )
    except ValueError:
        raise SettingsError(
            "HANDOFF_MUTATION_LIMIT, HANDOFF_CONNECT_LIMIT and HANDOFF_STRANGER_LIMIT must be like "
            "50/second;600/minute."
        ) from None


def _make_provider(settings: Settings) -> tuple[KeySet | None, ProviderTokens | None]:
    """Make what reads the identity provider's keys and tokens; nothing where none is configured.

    Raises:
        SettingsError: its keys are to be in a file that is not there.
    """
    if not settings.jwks:
        return None, None
    if _has_keys_in_file(settings) and not Path(settings.jwks).is_file():
        raise SettingsError("HANDOFF_JWKS: there is no such file.")
    keys = KeySet(settings.jwks, settings.jwks_cache)
    return keys, ProviderTokens(keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)


def check_provider(settings: Settings) -> None:
    """Find out whether a file of the identity provider's keys has one; a URL may come to have one later.

    Raises:
        SettingsError: it has none.
    """
    if not _has_keys_in_file(settings):
        return
    try:
        keys = keys_in_file(Path(settings.jwks))
    except OSError as error:
        raise SettingsError(f"HANDOFF_JWKS: the file cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        keys = {}
    if not keys:
        raise SettingsError(
            "HANDOFF_JWKS: the file holds no key that can be used: a JWKS document of public keys for RS256, "
            "ES256 or EdDSA, each with a kid."
        )


def _has_keys_in_file(settings: Settings) -> bool:
    return bool(settings.jwks) and not settings.jwks.startswith(("https://", "http://"))


def _mailer_opener(settings: Settings, stack: AsyncExitStack) -> Callable[[], Mailer]:
    """Return what makes a connection to the mail server; the first call finds, or starts, the server."""
    mail_server = cache(lambda: open_mail_server(settings, stack))
    return lambda: make_mailers(settings, mail_server(), 1)[0]


def _make_login_mails(settings: Settings, database: Database) -> LoginMails:
    links = make_links(settings)
    return LoginMails(database, sender=settings.mail_from, link_of=links.login, now=utc_now)
