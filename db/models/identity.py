"""What signs people and machines in: API keys, and the links of mails to sign in with.

Neither table holds a secret, only SHA-256 of one. That is enough: the secrets are 32 random bytes, too
many to be guessed however fast the guesses are. A slow hash protects passwords, which people choose.
"""

from sqlalchemy import CheckConstraint, Column, Index, Table, Text, UniqueConstraint, Uuid

from db.enums import ApiKeyScope
from db.models.base import metadata, of_account, one_of
from db.types import Named, UtcDateTime

api_keys = Table(
    "api_keys",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("scope", Named(ApiKeyScope), nullable=False),
    Column("secret_hash", Text, nullable=False),  # SHA-256, hexadecimal
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),  # to the minute; NULL: never
    Column("revoked_at", UtcDateTime),
    Column("created_by_id", Uuid),  # who may know its token; NULL: the command line's user
    UniqueConstraint("id"),
    of_account("user_id", "users", "fk_api_keys_user"),
    of_account("created_by_id", "users", "fk_api_keys_created_by"),
    one_of("scope", ApiKeyScope),
    CheckConstraint("length(secret_hash) = 64", name="secret_is_hashed"),
    Index("ix_api_keys_newest", "account_id", "created_at", "id"),
)

login_links = Table(
    "login_links",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("secret_hash", Text, primary_key=True),  # SHA-256, hexadecimal
    Column("user_id", Uuid, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    UniqueConstraint("secret_hash"),
    of_account("user_id", "users", "fk_login_links_user"),
    CheckConstraint("length(secret_hash) = 64", name="secret_is_hashed"),
    Index("ix_login_links_of_user", "account_id", "user_id", "created_at"),
    Index("ix_login_links_expires_at", "expires_at"),
)
