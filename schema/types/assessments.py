"""What an assessor says about an escalation, and what each statement rests on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import strawberry

from db.assessments import AssessmentRow
from db.briefings import BriefingRow
from db.enums import AssessmentStatus, ConfidenceTier, Verdict


@strawberry.type(description="What a statement rests on: words of one message, or of one branch.")
class Evidence:
    """Evidence."""

    message_index: int | None = strawberry.field(description="The message; null where a branch is cited.")
    branch_id: strawberry.ID | None = strawberry.field(
        description="The branch; null where a message is cited."
    )
    quote: str = strawberry.field(description="The words, as they stand there.")

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> Evidence:
        """Show stored evidence."""
        return cls(**stored)


@strawberry.type(description="Something to do, or that was done and how it ended.")
class SuggestedStep:
    """A step."""

    text: str = strawberry.field(description="The step in a sentence.")
    evidence: list[Evidence] = strawberry.field(description="What it rests on.")

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> SuggestedStep:
        """Show a stored step."""
        return cls(text=stored["text"], evidence=[Evidence.from_stored(one) for one in stored["evidence"]])


@strawberry.type(
    description="A diagnosis made after an escalation. Every citation was checked against the session."
)
class Assessment:
    """An assessment."""

    status: AssessmentStatus = strawberry.field(description="Where it stands.")
    likely_cause: str | None = strawberry.field(description="The likely cause; null where none can be told.")
    suggested_steps: list[SuggestedStep] = strawberry.field(description="What to do, the first one first.")
    already_tried: list[SuggestedStep] = strawberry.field(description="What was tried, and how it ended.")
    confidence: ConfidenceTier | None = strawberry.field(
        description="How sure the assessor is of the cause; null while there is no assessment."
    )
    evidence: list[Evidence] = strawberry.field(description="What the likely cause rests on.")
    generated_by: str | None = strawberry.field(description="Who made it, and which version: `rules/1`.")
    generated_at: datetime | None = strawberry.field(description="When it was ready.")
    error: str | None = strawberry.field(description="Why none could be made; null unless it failed.")
    verdict: Verdict | None = strawberry.field(
        description="What came of it, in the words of the one who claimed; null if nobody said."
    )

    @classmethod
    def from_row(cls, row: AssessmentRow | None) -> Assessment:
        """Show a stored assessment; None: none was asked for."""
        findings = (None if row is None else row.findings) or {}
        is_ready = row is not None and row.status == AssessmentStatus.READY
        return cls(
            status=AssessmentStatus.NOT_REQUESTED if row is None else row.status,
            likely_cause=None if row is None else row.likely_cause,
            suggested_steps=[SuggestedStep.from_stored(one) for one in findings.get("suggested_steps", ())],
            already_tried=[SuggestedStep.from_stored(one) for one in findings.get("already_tried", ())],
            confidence=None if row is None else row.confidence,
            evidence=[Evidence.from_stored(one) for one in findings.get("evidence", ())],
            generated_by=None if row is None else row.generated_by,
            generated_at=row.finished_at if row is not None and is_ready else None,
            error=None if row is None else row.error,
            verdict=None if row is None else row.verdict,
        )


@strawberry.type(description="What the one who claims should know before they begin.")
class Briefing:
    """A briefing."""

    text: str = strawberry.field(description="Plain text, its parts headed by lines in capitals.")
    generated_by: str = strawberry.field(description="Who wrote it, and which version: `briefing/1`.")
    generated_at: datetime = strawberry.field(
        description="When it was written. It is written anew when what it tells has changed."
    )

    @classmethod
    def from_row(cls, row: BriefingRow) -> Briefing:
        """Show a stored briefing."""
        return cls(text=row.text, generated_by=row.generated_by, generated_at=row.generated_at)
