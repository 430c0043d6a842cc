"""How often assessments were right, by what those who claimed said of them."""

from dataclasses import dataclass

from sqlalchemy import case, func, select

from db.enums import AssessmentStatus, ConfidenceTier, Verdict
from db.models import assessments, handoffs, sessions
from db.session import Transaction
from db.statistics import Window


@dataclass(frozen=True, slots=True)
class VerdictFigures:
    """What came of the assessments of one domain, by one assessor, of one confidence."""

    problem_domain: str | None  #: of the session as it is now
    generated_by: str
    confidence: ConfidenceTier
    made: int
    rated: int
    correct: int
    partly: int
    wrong: int


async def by_domain(tx: Transaction, window: Window) -> list[VerdictFigures]:
    """Count the assessments of escalations that were made in a window."""
    keys = (sessions.c.problem_domain, assessments.c.generated_by, assessments.c.confidence)
    statement = (
        select(
            *keys,
            func.count(),
            func.count(assessments.c.verdict),
            *(func.count(case((assessments.c.verdict == verdict, 1))) for verdict in Verdict),
        )
        .select_from(assessments)
        .join(handoffs, assessments.c.handoff_id == handoffs.c.id)
        .join(sessions, handoffs.c.session_id == sessions.c.id)
        .where(tx.own(assessments), tx.own(handoffs), tx.own(sessions))
        .where(assessments.c.status == AssessmentStatus.READY)
        .where(handoffs.c.created_at >= window.since, handoffs.c.created_at < window.until)
        .group_by(*keys)
    )
    return await tx.fetch_all(statement, VerdictFigures)
