"""The ticketing systems that an account's notes go to."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
)

from db.enums import PsaProvider, PsaStatus
from db.models.base import metadata, one_of
from db.types import Document, Named, UtcDateTime

psa_connections = Table(
    "psa_connections",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("provider", Named(PsaProvider), nullable=False),
    Column("name", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("config", Document, nullable=False),  # what is no secret, by name; each provider has its own
    Column("credentials", Text, nullable=False),  # encrypted; see notify/psa/vault.py
    Column("status", Named(PsaStatus), nullable=False, server_default=text("'UNTESTED'")),
    Column("last_error", Text),
    Column("checked_at", UtcDateTime),  # of the last test or note, whatever came of it
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("automatic", Boolean, nullable=False, server_default=false()),  # a note for each escalation
    Column("created_at", UtcDateTime, nullable=False),
    Column("passed_at", UtcDateTime),  # of the first test or note that succeeded; NULL: no note is sent
    Column("not_before", UtcDateTime),  # the PSA asked to be left alone until then
    Column("lease_until", UtcDateTime),  # one worker at a time talks to a PSA
    Column("leased_by", Uuid),
    UniqueConstraint("account_id", "name"),
    one_of("provider", PsaProvider),
    one_of("status", PsaStatus),
    CheckConstraint("(lease_until IS NULL) = (leased_by IS NULL)", name="lease_is_whole"),
    CheckConstraint("base_url LIKE 'https://%'", name="base_url_is_https"),
    Index("ix_psa_connections_newest", "account_id", "created_at", "id"),
)
