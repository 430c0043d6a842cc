"""How mails leave: the mail server of the settings, or one of our own that files them, and who signs them.

What files mails, and what signs them, is loaded where it is wanted.
"""

import logging
from contextlib import AsyncExitStack

from notify.envelopes import Sign
from notify.mail_headers import UnusableAddress, sender_address
from notify.smtp import Mailer, MailServer
from server.settings import Settings, SettingsError

log = logging.getLogger(__name__)


def open_mail_server(settings: Settings, stack: AsyncExitStack) -> MailServer:
    """Return the mail server of the settings; where there is none, start one that writes files.

    Raises:
        SettingsError: the URL or the folder cannot be used.
    """
    url = settings.smtp_url.get_secret_value()
    if not url:
        from server.mail_sink import MailSink

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


def warn_of_files(settings: Settings) -> None:
    """Say that mails become files, unless the operator has named the folder, and so wants it."""
    if settings.smtp_url.get_secret_value() or settings.demo or "mail_folder" in settings.model_fields_set:
        return
    log.warning(
        "mails become files, which reach nobody: set HANDOFF_SMTP_URL",
        extra={"folder": str(settings.mail_folder)},
    )


def make_mailers(settings: Settings, mail_server: MailServer, count: int) -> list[Mailer]:
    """Make that many connections to a mail server, without connecting.

    Raises:
        SettingsError: the sender or the DKIM key cannot be used.
    """
    sign = read_signer(settings)
    return [Mailer(mail_server, sign=sign) for _ in range(count)]


def read_signer(settings: Settings) -> Sign | None:
    """Return what signs mails for the sender's domain, None where they are not signed.

    Raises:
        SettingsError: the sender or the DKIM key cannot be used.
    """
    try:
        domain = sender_address(settings.mail_from).domain
    except UnusableAddress:
        raise SettingsError('HANDOFF_MAIL_FROM must be like "Handoff <handoff@example.com>".') from None
    if settings.dkim_key_file is None:
        return None
    from notify.dkim import make_signer

    try:
        key = settings.dkim_key_file.read_bytes()
        return make_signer(domain=domain, selector=settings.dkim_selector, key=key)
    except OSError as error:
        raise SettingsError(f"HANDOFF_DKIM_KEY_FILE: the key cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise SettingsError(f"HANDOFF_DKIM_KEY_FILE: {error}.") from None
