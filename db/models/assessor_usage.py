"""What language models were used for each account."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, ForeignKey, Integer, Table, Text, Uuid

from db.models.base import metadata

#: One row a day and model. Requests under way are counted with what they may use at most.
assessor_usage = Table(
    "assessor_usage",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("day", Date, primary_key=True),  # UTC
    Column("model", Text, primary_key=True),
    Column("requests", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),  # millionths of a unit of the operator's currency
    CheckConstraint(
        "requests >= 0 AND input_tokens >= 0 AND output_tokens >= 0 AND cost_micros >= 0",
        name="nothing_negative",
    ),
)
