"""Reads from the database what an assessor may look at."""

from assist.port import Case, CaseBranch, CaseMessage
from db import session_messages, sessions
from db.handoffs import HandoffRow
from db.session import Transaction
from db.session_messages import MessageRow
from db.sessions import BranchRow, SessionRow

#: The conversation is read from its end: so many messages, and characters, at most.
MOST_MESSAGES = 400
MOST_CHARACTERS = 200_000
#: However long they are, the last messages are looked at, each cut at this length where there is no room.
LEAST_MESSAGES = 10
CUT_AT = 200
#: What is said of all branches together: of many, each reason is cut, at `CUT_AT` or later.
MOST_OF_REASONS = 50_000


async def read_case(tx: Transaction, handoff: HandoffRow) -> Case:
    """Return the case of a handoff: its problem and notes, the session's branches and recent messages."""
    session = (await sessions.by_ids(tx, [handoff.session_id]))[handoff.session_id]
    branches = (await sessions.branches_of(tx, [session.id]))[session.id]
    messages = await session_messages.latest(tx, session.id, MOST_MESSAGES)
    return Case(
        problem=handoff.snapshot["problem_summary"],
        domain=handoff.snapshot["problem_domain"],
        notes=handoff.notes,
        branches=tuple(
            _branch(session, branch, longest=longest_reason(len(branches))) for branch in branches
        ),
        messages=within(messages, MOST_CHARACTERS),
    )


def longest_reason(branches: int) -> int:
    """Return how much is kept of the reason of each of so many branches, in characters."""
    return max(CUT_AT, MOST_OF_REASONS // max(1, branches))


def within(messages: list[MessageRow], characters: int) -> tuple[CaseMessage, ...]:
    """Return the most recent of the messages, oldest first, that have room in so many characters.

    The last ones are always there, cut if need be.
    """
    kept: list[CaseMessage] = []
    for message in reversed(messages):
        content = message.content
        if len(content) > characters:
            if len(kept) >= LEAST_MESSAGES:
                break
            content = content[:CUT_AT]
        characters = max(0, characters - len(content))
        kept.append(CaseMessage(index=message.index, role=message.role, content=content, at=message.at))
    return tuple(reversed(kept))


def _branch(session: SessionRow, branch: BranchRow, *, longest: int) -> CaseBranch:
    return CaseBranch(
        id=branch.id,
        label=branch.label,
        status=branch.status,
        status_reason=None if branch.status_reason is None else branch.status_reason[:longest],
        parent_id=branch.parent_branch_id,
        is_active=branch.id == session.active_branch_id,
    )
