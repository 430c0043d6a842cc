"""What an operator may write as the address of the database, and what is refused at the start."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from db.addresses import read_address
from db.session import Database
from notify.broadcast.postgres import asyncpg_dsn
from tests.servers.certificates import make_certificate

AT = "postgresql://handoff:hunter2@db.example"
UNREADABLE = "the database URL cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/NAME, with the "


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("hunter2", UNREADABLE),
        ("postgresql://handoff:hunter2@db.example:hunter2/x", UNREADABLE),
        (f"{AT}/x?host=one&host=two:1", UNREADABLE),
        ("mysql://db.example/x", "the service runs on postgresql:// and sqlite:///, not on mysql://"),
        (
            "postgresql+psycopg://db.example/x",
            "the service runs on postgresql:// and sqlite:///, not on postgresql+psycopg://",
        ),
        ("sqlite://", "the SQLite database is kept in a file; write sqlite:///file"),
        ("sqlite:///:memory:", "the SQLite database is kept in a file; write sqlite:///file"),
        ("sqlite://var/handoff.db", "the SQLite database is kept in a file; write sqlite:///file"),
        ("sqlite:///x.db?mode=ro", 'SQLite has no options here; leave "mode" out'),
        (f"{AT}/x?channel_binding=require", 'the service knows no option "channel_binding" of PostgreSQL'),
        (f"{AT}/x?hunter2=1", "the service knows no option of that name of PostgreSQL; leave it out"),
        (f"{AT}/x?sslmode=on", "sslmode must be one of: disable, allow, prefer, require, verify-ca"),
        (f"{AT}/x?sslmode=verify-full", "sslmode=verify-full needs sslrootcert=FILE, the authority's"),
        (f"{AT}/x?sslkey=key.pem", "sslkey needs sslcert=FILE, the certificate that it belongs to"),
        (
            f"{AT}/x?sslmode=verify-ca&sslrootcert=away.pem",
            "sslrootcert must be a file of certificates in PEM: No such file or directory",
        ),
        (
            f"{AT}/x?sslmode=verify-ca&sslrootcert={__file__}",
            "sslrootcert must be a file of certificates in PEM",
        ),
        (
            f"{AT}/x?sslcert={__file__}",
            "sslcert and sslkey must be files of a certificate and its key in PEM",
        ),
        (f"{AT}/x?connect_timeout=soon", "connect_timeout must be a whole number"),
        (f"{AT}/x?connect_timeout=0", "connect_timeout must be at least 1 second"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_repeated(url: str, sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 (the sentence is compared below)
        read_address(url)

    assert str(refusal.value).startswith(sentence)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize("option", ["channel_binding=require", "sslmode=on", "connect_timeout=soon"])
def test_an_option_is_refused_for_the_broadcast_in_the_same_words(option: str) -> None:
    refusals = []
    for read in (read_address, asyncpg_dsn):
        with pytest.raises(ValueError) as refusal:  # noqa: PT011 (compared below)
            read(f"{AT}/x?{option}")
        refusals.append(str(refusal.value))

    assert refusals[0] == refusals[1]


def test_a_key_that_is_encrypted_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path)
    key = certificate.with_name("key.pem")
    kept = serialization.load_pem_private_key(key.read_bytes(), None)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(kept.private_bytes(*form, serialization.BestAvailableEncryption(b"hunter2")))

    with pytest.raises(ValueError, match="its key in PEM, not encrypted"):
        read_address(f"{AT}/x?sslcert={certificate}&sslkey={key}")


@pytest.mark.parametrize(
    "url",
    [
        f"{AT}:5432/handoff",
        "postgres:///handoff?host=/run/postgresql&port=5433",
        f"{AT}/handoff?host=one:1&host=two:2&target_session_attrs=primary",
        f"{AT}/handoff?prepared_statement_cache_size=0",
        f"{AT}/handoff?sslmode=allow&application_name=handoff&connect_timeout=5",
    ],
)
async def test_an_address_that_can_be_used_is_taken(url: str) -> None:
    database = Database(url)

    await database.dispose()


def test_what_the_broadcast_does_not_need_is_not_sent_to_the_server() -> None:
    read = asyncpg_dsn(f"{AT}/x?connect_timeout=5&prepared_statement_cache_size=0&sslmode=require")

    assert read == f"{AT}/x?sslmode=require"
