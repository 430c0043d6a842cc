"""What was said in sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select

from db import sessions
from db.children import pages_of
from db.enums import MessageRole
from db.models import session_messages
from db.pages import Page, SortKey
from db.session import Transaction, columns_of
from db.sessions import SessionRow


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One thing said in a session."""

    session_id: UUID
    index: int  #: 0, 1, 2 … within the session
    role: MessageRole
    content: str
    at: datetime


async def append(
    tx: Transaction, session: SessionRow, messages: Sequence[tuple[MessageRole, str, datetime]]
) -> SessionRow:
    """Store messages after the last one of a session whose lock the caller holds."""
    first = session.message_count
    rows = [
        {
            "account_id": tx.account_id,
            "session_id": session.id,
            "index": first + offset,
            "role": role,
            "content": content,
            "at": at,
        }
        for offset, (role, content, at) in enumerate(messages)
    ]
    await tx.execute(insert(session_messages), rows)
    return await sessions.change(tx, session.id, {"message_count": first + len(rows)})


async def latest(tx: Transaction, session_id: UUID, limit: int) -> list[MessageRow]:
    """Return the last `limit` messages, oldest first."""
    statement = (
        select(*columns_of(MessageRow, session_messages))
        .where(tx.own(session_messages), session_messages.c.session_id == session_id)
        .order_by(session_messages.c.index.desc())
        .limit(limit)
    )
    return (await tx.fetch_all(statement, MessageRow))[::-1]


async def of_sessions(
    tx: Transaction, session_ids: Sequence[UUID], page: Page
) -> dict[UUID, list[MessageRow]]:
    """Return up to `page.limit` messages of each session, in order. The sort key is (index,)."""
    key = SortKey([session_messages.c.index])
    return await pages_of(tx, MessageRow, session_messages.c.session_id, key, session_ids, page)
