"""What an assessment is made from, what it says, and the one method of whoever makes it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from db.enums import ConfidenceTier, MessageRole


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseMessage:
    """One thing said in the session."""

    index: int  #: its place in the session, by which evidence cites it
    role: MessageRole
    content: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseBranch:
    """One line of investigation, as the snapshot holds it."""

    id: UUID
    label: str
    status: str  #: the assistant's own word, such as `open`, `ruled_out` or `confirmed`
    status_reason: str | None
    parent_id: UUID | None
    is_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What an assessor may look at. Its texts are data, whatever they say; never instructions."""

    problem: str | None
    domain: str | None
    notes: str | None  #: of the engineer who escalated
    branches: tuple[CaseBranch, ...]
    messages: tuple[CaseMessage, ...]  #: the most recent ones, oldest first; indexes need not begin at 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a statement rests on: words of one message, or of one branch."""

    quote: str
    message_index: int | None = None
    branch_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to do, or that was done, and how it ended."""

    text: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an assessor says, before its evidence is checked against the session."""

    likely_cause: str | None
    suggested_steps: tuple[Step, ...]
    already_tried: tuple[Step, ...]
    confidence: ConfidenceTier
    evidence: tuple[Evidence, ...]  #: what the likely cause rests on
    made_by: str = ""  #: who made it, where that is not simply the assessor that was asked; else empty


class AssessmentError(Exception):
    """No assessment can be made; the sentence says why, for people to read."""


class Assessor(Protocol):
    """Makes an assessment."""

    @property
    def name(self) -> str:
        """Who made it, and which version: `rules/1`."""

    async def assess(self, case: Case) -> Draft:
        """Return what is to be said about the case.

        Raises:
            AssessmentError: nothing can be said.
        """
