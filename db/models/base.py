"""What all tables share: how constraints are named, and those that recur."""

from enum import Enum

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, MetaData, UniqueConstraint, text

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


def of_account(column: str, target: str, name: str, *, may_come_later: bool = False) -> ForeignKeyConstraint:
    """Return the foreign key to a row of the same account, which may be stored later in the transaction."""
    return ForeignKeyConstraint(
        ["account_id", column],
        [f"{target}.account_id", f"{target}.id"],
        name=name,
        deferrable=may_come_later or None,
        initially="DEFERRED" if may_come_later else None,
    )


def unique_beside_references(name: str, *columns: str) -> tuple[UniqueConstraint, Index]:
    """Return what keeps columns unique that are changed while others refer to their row.

    PostgreSQL takes the columns of a whole unique index for a key that rows may refer to: to change one locks
    the row against all who write rows that refer to it (manual, 13.3.2). A partial index, here of every row,
    is no such key. SQLite, which has no such locks and cannot drop a constraint, has the constraint.
    """
    constraint = UniqueConstraint(*columns, info={"engine": "sqlite"})
    every = text(f"{columns[-1]} IS NOT NULL")
    index = Index(name, *columns, unique=True, postgresql_where=every, info={"engine": "postgresql"})
    return constraint.ddl_if(dialect="sqlite"), index.ddl_if(dialect="postgresql")
