"""What the mails about handoffs say, read from the database in the account of their recipients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db import letters
from db.deliveries import DeliveryRow
from db.enums import ASKING_KINDS, DeliveryKind, DeliveryStatus, SkipReason
from db.letters import Addressed, Matter
from db.session import Transaction
from notify import policy
from notify.escalation_mails import BranchLine, EscalationMail


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery and all that its mail speaks of."""

    to: Addressed
    matter: Matter
    branches: tuple[BranchLine, ...]  #: of the snapshot, in the order of their tree

    @property
    def delivery(self) -> DeliveryRow:
        """The delivery, as it was read."""
        return self.to.delivery

    @property
    def reason_to_skip(self) -> SkipReason | None:
        """Why the mail is not wanted any more, None where it is."""
        push, latest_round = self._push_status, self.to.latest_round
        return policy.reason_to_skip(
            self.delivery, self.matter.handoff, self.to.recipient, push=push, latest_round=latest_round
        )

    @property
    def _push_status(self) -> DeliveryStatus | None:
        """Where the push that asks the same stands; None: there was none to make."""
        return self.to.push_status if self.delivery.kind in ASKING_KINDS else None

    def mail(self, *, link: str, unsubscribe: str | None) -> EscalationMail:
        """Return the words of the mail. `unsubscribe` stands in reminders only: escalations must reach."""
        matter, handoff = self.matter, self.matter.handoff
        snapshot = handoff.snapshot
        return EscalationMail(
            delivery_id=self.delivery.id,
            handoff_id=handoff.id,
            kind=self.delivery.kind.value,
            round=handoff.reminders,
            is_back=self.delivery.kind == DeliveryKind.ESCALATION and self.delivery.round > 0,
            account_name=matter.account_name,
            team_name=matter.team_name,
            recipient_name=self.to.recipient.name,
            recipient_email=self.to.recipient.email,
            handed_off_by=matter.handed_off_by,
            claimed_by=matter.claimed_by,
            priority=handoff.priority.name,
            problem_summary=snapshot["problem_summary"],
            problem_domain=snapshot["problem_domain"],
            notes=handoff.notes,
            step_count=snapshot["step_count"],
            confidence_tier=snapshot["confidence_tier"],
            status=snapshot["status"],
            branches=self.branches,
            psa_ticket_id=matter.psa_ticket_id,
            assessment=None if matter.assessment is None else matter.assessment.statements,
            created_at=handoff.created_at,
            link=link,
            why=self._why(),
            unsubscribe=unsubscribe if self.is_reminder else None,
        )

    @property
    def is_reminder(self) -> bool:
        """Whether its recipient may turn mails of this kind off by a link."""
        return self.delivery.kind == DeliveryKind.REMINDER

    def _why(self) -> str:
        match self.delivery.kind:
            case DeliveryKind.CLAIMED:
                return "You get this because you passed the session on."
            case DeliveryKind.UNREACHED:
                return "You get this because you passed the session on, and no responder could be told."
            case DeliveryKind.REMINDER:
                because = "nobody has claimed it yet"
            case DeliveryKind.ESCALATION if self._push_status is None:
                because = "no dashboard of yours was open"
            case DeliveryKind.ESCALATION:
                because = "your dashboard did not confirm the escalation in time"
        return f"You get this because you are a responder of {self.matter.account_name} and {because}."


async def read_letters(tx: Transaction, delivery_ids: Sequence[UUID]) -> list[Letter]:
    """Read deliveries and all that their mails speak of, in two statements.

    Raises:
        KeyError: there is no such delivery to a recipient.
    """
    found = await letters.addressed(tx, delivery_ids)
    to = [found[delivery_id] for delivery_id in delivery_ids]
    matters = await letters.matters(tx, sorted({each.delivery.handoff_id for each in to}))
    branches = {id_: _branches(matter) for id_, matter in matters.items()}
    return [
        Letter(each, matters[each.delivery.handoff_id], branches[each.delivery.handoff_id]) for each in to
    ]


def _branches(matter: Matter) -> tuple[BranchLine, ...]:
    snapshot = matter.handoff.snapshot
    return branch_lines(snapshot["branch_map"], snapshot["active_branch_id"])


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
