"""The session as it stood at the moment of handoff."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from db.enums import HandoffIntent
from db.sessions import BranchRow, SessionRow


def take(session: SessionRow, branches: Sequence[BranchRow]) -> dict[str, Any]:
    """Return the snapshot, ready to be stored as JSON.

    Keys: problem_summary, problem_domain, status, step_count, confidence_tier, branch_map (empty unless
    the session is branching; otherwise every branch in order) and active_branch_id.
    """
    branching = session.active_branch_id is not None
    return {
        "problem_summary": session.problem_summary,
        "problem_domain": session.problem_domain,
        "status": session.status.value,
        "step_count": session.step_count,
        "confidence_tier": session.confidence_tier and session.confidence_tier.value,
        "branch_map": [_branch(branch) for branch in branches] if branching else [],
        "active_branch_id": _text(session.active_branch_id),
    }


def escalation_package(
    snapshot: dict[str, Any], intent: HandoffIntent, notes: str | None, handoff_id: UUID
) -> dict[str, Any]:
    """Return what an older escalation queue reads from the session, with exactly its keys."""
    return {
        "snapshot": snapshot,
        "intent": intent.value.lower(),
        "engineer_notes": notes,
        "handoff_id": str(handoff_id),
    }


def _branch(branch: BranchRow) -> dict[str, Any]:
    return {
        "id": str(branch.id),
        "label": branch.label,
        "status": branch.status,
        "status_reason": branch.status_reason,
        "parent_branch_id": _text(branch.parent_branch_id),
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
