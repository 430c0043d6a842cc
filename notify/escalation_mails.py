"""What a mail about an escalation says."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.assessments import Statements


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchLine:
    """One line of investigation, as a mail lists it."""

    label: str
    status: str
    status_reason: str | None
    is_active: bool  #: the branch that was under way at the handoff
    depth: int  #: 0 for a root; branches come in the order of the tree


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationMail:
    """Everything that a mail about an escalation says, for one recipient."""

    delivery_id: UUID
    handoff_id: UUID
    kind: str  #: ESCALATION, REMINDER, CLAIMED or UNREACHED
    round: int  #: which reminder this is
    is_back: bool  #: it was claimed, and came back into the queue; of an ESCALATION alone
    account_name: str
    team_name: str | None
    recipient_name: str
    recipient_email: str
    handed_off_by: str
    claimed_by: str | None
    priority: str  #: LOW, NORMAL, HIGH or URGENT
    problem_summary: str | None
    problem_domain: str | None
    notes: str | None
    step_count: int
    confidence_tier: str | None
    status: str  #: of the session when it was handed off
    branches: tuple[BranchLine, ...]  #: empty if the session was not branching
    psa_ticket_id: str | None
    assessment: Statements | None  #: None: there is none (yet)
    created_at: datetime  #: of the handoff
    link: str  #: https URL of the handoff; may differ by recipient
    why: str  #: one sentence: why this recipient gets this mail
    unsubscribe: str | None = None  #: https URL whose page, or POST, stops mails of this kind
