"""What came of an assessment: the one who had the session in hand says."""

from datetime import datetime
from uuid import UUID

from db import assessments, handoffs
from db.enums import AssessmentStatus, EventKind, Verdict
from db.events import append_about
from db.handoffs import HandoffRow
from db.session import Transaction
from db.users import UserRow
from resolvers.errors import AssessmentNotReady, HandoffNotClaimedByYou, HandoffNotFound
from resolvers.permissions import require_responder


async def rate(
    tx: Transaction, viewer: UserRow, handoff_id: UUID, verdict: Verdict, *, now: datetime
) -> HandoffRow:
    """Record the claimer's verdict on an assessment, in place of the one before; the same writes nothing.

    Raises:
        Forbidden: the viewer only reads.
        HandoffNotFound: the account has no such handoff.
        HandoffNotClaimedByYou: the viewer did not claim it, or has put it back.
        AssessmentNotReady: there is nothing to rate.
    """
    require_responder(viewer)
    handoff = (await handoffs.by_ids(tx, [handoff_id])).get(handoff_id)
    if handoff is None:
        raise HandoffNotFound
    if handoff.claimed_by_id != viewer.id:
        raise HandoffNotClaimedByYou("Only the one who claimed a handoff can rate its assessment.")
    assessment = (await assessments.by_handoffs(tx, [handoff_id])).get(handoff_id)
    if assessment is None or assessment.status != AssessmentStatus.READY:
        raise AssessmentNotReady
    if await assessments.rate(tx, handoff_id, viewer.id, verdict, at=now):
        summary = f"found the assessment {verdict.value.lower()}"
        await append_about(tx, EventKind.ASSESSMENT_RATED, handoff, viewer.id, summary, at=now)
    return handoff
