"""What a mail about a handoff says, read from the database in the account of its recipient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from db import accounts, assessments, deliveries, handoffs, sessions, users
from db.accounts import AccountRow, TeamRow
from db.assessments import AssessmentRow
from db.deliveries import DeliveryRow, Push
from db.enums import ASKING_KINDS, DeliveryKind, DeliveryStatus
from db.handoffs import HandoffRow
from db.session import Transaction
from db.sessions import SessionRow
from db.users import UserRow
from notify.messages import BranchLine, EscalationMail

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A delivery and all that its mail speaks of."""

    delivery: DeliveryRow
    handoff: HandoffRow
    session: SessionRow
    account: AccountRow
    team: TeamRow | None
    recipient: UserRow
    handed_off_by: UserRow
    push: DeliveryStatus | None  #: where the push that asks the same stands; None: there was none to make
    latest_round: int  #: the last one that mails the recipient about the handoff
    claimed_by: UserRow | None
    assessment: AssessmentRow | None

    def mail(self, *, link: str, unsubscribe: str) -> EscalationMail:
        """Return the words of the mail. `unsubscribe` stands in reminders only: escalations must reach."""
        snapshot = self.handoff.snapshot
        return EscalationMail(
            delivery_id=self.delivery.id,
            handoff_id=self.handoff.id,
            kind=self.delivery.kind.value,
            round=self.handoff.reminders,
            account_name=self.account.name,
            team_name=None if self.team is None else self.team.name,
            recipient_name=self.recipient.name,
            recipient_email=self.recipient.email,
            handed_off_by=self.handed_off_by.name,
            claimed_by=None if self.claimed_by is None else self.claimed_by.name,
            priority=self.handoff.priority.name,
            problem_summary=snapshot["problem_summary"],
            problem_domain=snapshot["problem_domain"],
            notes=self.handoff.notes,
            step_count=snapshot["step_count"],
            confidence_tier=snapshot["confidence_tier"],
            status=snapshot["status"],
            branches=branch_lines(snapshot["branch_map"], snapshot["active_branch_id"]),
            psa_ticket_id=self.session.psa_ticket_id,
            assessment=None if self.assessment is None else self.assessment.statements,
            created_at=self.handoff.created_at,
            link=link,
            why=self._why(),
            unsubscribe=unsubscribe if self.delivery.kind == DeliveryKind.REMINDER else None,
        )

    def _why(self) -> str:
        match self.delivery.kind:
            case DeliveryKind.CLAIMED:
                return "You get this because you passed the session on."
            case DeliveryKind.UNREACHED:
                return "You get this because you passed the session on, and no responder could be told."
            case DeliveryKind.REMINDER:
                because = "nobody has claimed it yet"
            case DeliveryKind.ESCALATION if self.push is None:
                because = "no dashboard of yours was open"
            case DeliveryKind.ESCALATION:
                because = "your dashboard did not confirm the escalation in time"
        return f"You get this because you are a responder of {self.account.name} and {because}."


async def read_letter(tx: Transaction, delivery_id: UUID) -> Letter:
    """Read a delivery and all that its mail speaks of."""
    delivery = (await deliveries.by_ids(tx, [delivery_id]))[delivery_id]
    handoff = (await handoffs.by_ids(tx, [delivery.handoff_id]))[delivery.handoff_id]
    claimer_id = handoff.claimed_by_id
    wanted = [delivery.person_id, handoff.handed_off_by_id]
    people = await users.by_ids(tx, wanted if claimer_id is None else [*wanted, claimer_id])
    push = Push(handoff.id, delivery.person_id, delivery.round)
    is_asking = delivery.kind in ASKING_KINDS
    teams = {} if handoff.team_id is None else await accounts.teams_by_id(tx, [handoff.team_id])
    return Letter(
        delivery=delivery,
        handoff=handoff,
        session=(await sessions.by_ids(tx, [handoff.session_id]))[handoff.session_id],
        account=await accounts.by_id(tx),
        team=None if handoff.team_id is None else teams[handoff.team_id],
        recipient=people[delivery.person_id],
        handed_off_by=people[handoff.handed_off_by_id],
        push=await deliveries.push_status(tx, push) if is_asking else None,
        latest_round=await deliveries.latest_round(tx, handoff.id, delivery.person_id),
        claimed_by=None if claimer_id is None else people[claimer_id],
        assessment=(await assessments.by_handoffs(tx, [handoff.id])).get(handoff.id),
    )


def branch_lines(branch_map: Sequence[dict[str, Any]], active_id: str | None) -> tuple[BranchLine, ...]:
    """Return the branches of a snapshot in the order of their tree, each under its parent."""
    children: dict[str | None, list[dict[str, Any]]] = {}
    for branch in branch_map:
        children.setdefault(branch["parent_branch_id"], []).append(branch)
    lines: list[BranchLine] = []
    waiting = [(branch, 0) for branch in reversed(children.get(None, []))]
    while waiting:
        branch, depth = waiting.pop()
        lines.append(
            BranchLine(
                label=branch["label"],
                status=branch["status"],
                status_reason=branch["status_reason"],
                is_active=branch["id"] == active_id,
                depth=depth,
            )
        )
        waiting.extend((child, depth + 1) for child in reversed(children.get(branch["id"], [])))
    return tuple(lines)
