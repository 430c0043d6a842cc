"""Mutations that were refused. They leave no event, since nothing happened; this tells who tried."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert

from db.models import audit_log
from db.session import SystemTransaction, new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A mutation that was refused."""

    account_id: UUID | None  #: None: nobody was signed in
    user_id: UUID | None
    at: datetime
    address: str | None  #: the client's, as the server saw it
    operation: str  #: the mutation's name
    outcome: str  #: the code of the error, or the type of the refusal


async def add(tx: SystemTransaction, refused: Sequence[Refused]) -> None:
    """Store refusals, of any accounts, in one statement."""
    await tx.execute(insert(audit_log), [{"id": new_id(), **asdict(one)} for one in refused])
