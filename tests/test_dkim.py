"""With a DKIM key mails are signed for the sender's domain, and any receiver can check that."""

import base64
from collections.abc import Callable
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from server.mailing import read_signer
from server.settings import SettingsError
from tests.client import Api, make_settings
from tests.mailing import outbox_of, remind, set_policy
from tests.servers.processes import free_port
from tests.servers.smtp import ReceivedMail, SmtpServer
from tests.terminal import Terminal

NOT_A_KEY = "HANDOFF_DKIM_KEY_FILE: the DKIM key cannot be used; it must be a private RSA key in PEM."
FindRecord = Callable[..., bytes]


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """A key pair, as an operator makes it."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def key_file(key: rsa.RSAPrivateKey, tmp_path: Path) -> Path:
    """The private key in a file, in PEM."""
    file = tmp_path / "dkim.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    file.write_bytes(pem)
    return file


@pytest.fixture
def find_record(key: rsa.RSAPrivateKey) -> FindRecord:
    """The DNS of the sender's domain: the public key under the selector (RFC 6376 section 3.6.1)."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    records = {b"mails._domainkey.msp.example.": b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)}

    def find(name: bytes, timeout: float = 5) -> bytes:
        return records.get(name, b"")

    return find


async def send(api: Api, smtp: SmtpServer, key_file: Path | None, summary: str) -> ReceivedMail:
    """Escalate, remind, and return the reminder that Bob got."""
    cast = api.cast
    settings = api.node.settings.model_copy(update={"dkim_key_file": key_file, "dkim_selector": "mails"})
    await set_policy(api, reminderAfter=["PT5M"])
    await api.escalate(cast.alice, (await cast.start_session(summary)).id, notes="Grüße\n.\nfrom  here \n")
    await remind(api)
    await outbox_of(settings, cast.database).send_batch()
    (mail,) = (mail for mail in smtp.mails if mail.recipients == (cast.bob.email,))
    return mail


@pytest.mark.parametrize(
    "summary", ["VPN drops", "Überlast im Rechenzentrum 日本 " * 6, "From the start\t" * 9]
)
async def test_a_mail_is_signed_so_that_its_receiver_can_check_it(
    api: Api, smtp: SmtpServer, key_file: Path, find_record: FindRecord, summary: str
) -> None:
    mail = await send(api, smtp, key_file, summary)

    assert mail.content.startswith(b"DKIM-Signature:")
    assert dkim.verify(mail.content, dnsfunc=find_record)
    signature = mail.message["DKIM-Signature"]
    assert "d=msp.example" in signature
    assert "s=mails" in signature


@pytest.mark.parametrize(
    ("true", "false"),
    [
        (b"Subject: Reminder 1", b"Subject: Reminder 2"),
        (b'To: "Bob"', b'To: "Eve"'),
        (b"From: ", b"From: Eve "),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
        (b"Nobody has picked this up yet.", b"Send me your password, please."),
    ],
)
async def test_a_mail_that_was_changed_on_its_way_is_found_out(
    api: Api, smtp: SmtpServer, key_file: Path, find_record: FindRecord, true: bytes, false: bytes
) -> None:
    mail = await send(api, smtp, key_file, "VPN drops")
    assert true in mail.content

    assert not dkim.verify(mail.content.replace(true, false), dnsfunc=find_record)


async def test_without_a_key_mails_are_not_signed(api: Api, smtp: SmtpServer) -> None:
    mail = await send(api, smtp, None, "VPN drops")

    assert mail.message["DKIM-Signature"] is None


@pytest.mark.parametrize("content", ["empty", "text", "public key", "cut", "elliptic curve"])
def test_a_file_that_holds_no_private_key_is_refused(
    tmp_path: Path, key: rsa.RSAPrivateKey, content: str
) -> None:
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    curve = ec.generate_private_key(ec.SECP256R1())
    contents = {
        "empty": b"",
        "text": b"hunter2",
        "public key": public,
        "cut": b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n",
        "elliptic curve": curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    (tmp_path / "key").write_bytes(contents[content])

    assert refused_with(tmp_path / "key") == NOT_A_KEY


def test_a_key_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    unread = "HANDOFF_DKIM_KEY_FILE: the key cannot be read: "

    assert refused_with(tmp_path / "absent") == f"{unread}No such file or directory."
    assert refused_with(tmp_path) == f"{unread}Is a directory."


@pytest.mark.usefixtures("bare_machine")
def test_the_service_does_not_start_without_the_key_that_it_was_given(tmp_path: Path) -> None:
    terminal = Terminal(port=str(free_port()), dkim_key_file=str(tmp_path / "absent"))

    words = terminal.refused("run")

    assert words == "HANDOFF_DKIM_KEY_FILE: the key cannot be read: No such file or directory."


def test_an_empty_setting_is_no_key() -> None:
    settings = make_settings("sqlite:///nowhere", dkim_key_file="")

    assert read_signer(settings) is None


def refused_with(key_file: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read_signer(make_settings("sqlite:///nowhere", dkim_key_file=key_file))
    return str(caught.value)
