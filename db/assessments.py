"""Assessments of escalations: asked for with the handoff, made by a worker, rated by who claimed.

    PENDING --settle_ready--> READY --rate--> READY with a verdict
            --settle_failed--> FAILED
            --settle_later--> PENDING, due again later

A settle needs the lease that `db.system.lease_assessments` gave. Without it (it ended, and another worker
has taken over) it changes nothing and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Insert, select, update

from db.enums import AssessmentStatus, ConfidenceTier, Verdict
from db.models import assessments, handoffs
from db.prepared import ACCOUNT, value
from db.session import Transaction, columns_of
from db.steps import Moved, Step, inserting


@dataclass(frozen=True, slots=True)
class AssessmentRow:
    """The assessment of one handoff."""

    handoff_id: UUID
    status: AssessmentStatus
    likely_cause: str | None  #: None: none could be told, or there is no assessment (yet)
    confidence: ConfidenceTier | None  #: set where it is READY
    findings: dict[str, Any] | None  #: set where it is READY: suggested_steps, already_tried, evidence
    generated_by: str | None
    finished_at: datetime | None
    error: str | None  #: why there is none, where it FAILED
    verdict: Verdict | None

    @property
    def statements(self) -> "Statements | None":
        """What it says, without the evidence; None where it is not READY."""
        if self.findings is None or self.confidence is None or self.generated_by is None:
            return None
        return Statements(
            likely_cause=self.likely_cause,
            confidence=self.confidence.value,
            suggested_steps=tuple(step["text"] for step in self.findings["suggested_steps"]),
            already_tried=tuple(step["text"] for step in self.findings["already_tried"]),
            generated_by=self.generated_by,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The words of an assessment, as mails, notes and briefings tell them."""

    likely_cause: str | None
    confidence: str  #: LOW, MEDIUM or HIGH
    suggested_steps: tuple[str, ...]
    already_tried: tuple[str, ...]
    generated_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What is stored of an assessment that was made."""

    likely_cause: str | None
    confidence: ConfidenceTier
    findings: dict[str, Any]
    generated_by: str


def requesting(*, at: datetime, mails_wait_until: datetime, deadline_at: datetime) -> Step:
    """Ask for the assessment of a new handoff."""
    values = {
        "assessment_status": AssessmentStatus.PENDING,
        "requested_at": at,
        "mails_wait_until": mails_wait_until,
        "deadline_at": deadline_at,
    }
    return Step(_request, values)


async def by_handoffs(tx: Transaction, handoff_ids: Sequence[UUID]) -> dict[UUID, AssessmentRow]:
    """Return the assessments of handoffs of this account, by handoff; none was asked for of the others."""
    statement = select(*columns_of(AssessmentRow, assessments)).where(
        tx.own(assessments), assessments.c.handoff_id.in_(handoff_ids)
    )
    return {row.handoff_id: row for row in await tx.fetch_all(statement, AssessmentRow)}


async def settle_ready(tx: Transaction, handoff_id: UUID, lease: UUID, ready: Ready, *, at: datetime) -> bool:
    """Record an assessment; False where the lease was lost."""
    values = {
        "status": AssessmentStatus.READY,
        "likely_cause": ready.likely_cause,
        "confidence": ready.confidence,
        "findings": ready.findings,
        "generated_by": ready.generated_by,
        "finished_at": at,
    }
    return await _settle(tx, handoff_id, lease, values)


async def settle_failed(tx: Transaction, handoff_id: UUID, lease: UUID, error: str, *, at: datetime) -> bool:
    """Record that there will be none, and why; False where the lease was lost."""
    values = {"status": AssessmentStatus.FAILED, "error": error, "finished_at": at}
    return await _settle(tx, handoff_id, lease, values)


async def settle_later(tx: Transaction, handoff_id: UUID, lease: UUID, *, due_at: datetime) -> bool:
    """Record when to try again; False where the lease was lost."""
    return await _settle(tx, handoff_id, lease, {"due_at": due_at})


async def rate(tx: Transaction, handoff_id: UUID, by_id: UUID, verdict: Verdict, *, at: datetime) -> bool:
    """Record what came of an assessment; False where there is none, or it has this verdict already."""
    statement = (
        update(assessments)
        .where(tx.own(assessments), assessments.c.handoff_id == handoff_id)
        .where(
            assessments.c.status == AssessmentStatus.READY, assessments.c.verdict.is_distinct_from(verdict)
        )
        .values(verdict=verdict, verdict_by_id=by_id, verdict_at=at)
    )
    return await tx.execute(statement) == 1


async def _settle(tx: Transaction, handoff_id: UUID, lease: UUID, values: dict[str, Any]) -> bool:
    statement = (
        update(assessments)
        .where(tx.own(assessments), assessments.c.handoff_id == handoff_id, assessments.c.leased_by == lease)
        .values(lease_until=None, leased_by=None, **values)
    )
    return await tx.execute(statement) == 1


def _request(moved: Moved) -> Insert:
    columns = assessments.c
    requested_at = value("requested_at", columns.requested_at)
    return inserting(
        assessments,
        {
            "account_id": ACCOUNT,
            "handoff_id": moved(handoffs.c.id),
            "status": value("assessment_status", columns.status),
            "requested_at": requested_at,
            "mails_wait_until": value("mails_wait_until", columns.mails_wait_until),
            "due_at": requested_at,
            "deadline_at": value("deadline_at", columns.deadline_at),
        },
    )
