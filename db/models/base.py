"""What all tables share: how constraints are named, and the two that recur."""

from enum import Enum

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, members: type[Enum]) -> CheckConstraint:
    """Return the constraint that a column holds one of the set's stored values."""
    allowed = ", ".join(repr(member.value) for member in members)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_known")


def of_account(column: str, target: str, name: str) -> ForeignKeyConstraint:
    """Return the foreign key to a row of the same account."""
    return ForeignKeyConstraint(["account_id", column], [f"{target}.account_id", f"{target}.id"], name=name)
