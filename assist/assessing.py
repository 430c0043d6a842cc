"""Makes the assessments that were asked for, beside everything that matters more.

1. Lease a few that are due, so that no other worker makes them.
2. For each by itself: read the case, take the secrets out of it, ask the account's assessor, and check what
   it cites. No transaction is open meanwhile.
3. Record the result with the event that tells the dashboards.

A worker that dies leaves its leases behind; when they end, another takes over.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from assist import evidence
from assist.cases import read_case
from assist.port import AssessmentError, Assessor, Case, Draft, Evidence, Step
from assist.quotes import without_secrets
from db import assessments, handoffs, system
from db.assessments import Ready
from db.enums import EventKind, HandoffState
from db.events import append_about
from db.handoffs import HandoffRow
from db.session import Database, new_id
from db.system import LeasedAssessment

log = logging.getLogger(__name__)

_AT_ONCE = 4
_LEASE = timedelta(seconds=120)
_LONGEST_SECONDS = 90.0  # of one; shorter than the lease
_RETRY = timedelta(seconds=10)


class Assessing:
    """One worker's assessments; any number of workers may run."""

    def __init__(
        self,
        database: Database,
        assessor_of: Callable[[UUID], Assessor],
        redact: Callable[[str], str],
        now: Callable[[], datetime],
        *,
        longest_seconds: float = _LONGEST_SECONDS,
    ) -> None:
        self._database = database
        self._assessor_of = assessor_of
        self._redact = redact
        self._now = now
        self._longest_seconds = longest_seconds

    async def assess_batch(self) -> int:
        """Lease what is due and make it; return how many that were."""
        lease, now = new_id(), self._now()
        async with self._database.system() as tx:
            leased = await system.lease_assessments(tx, lease, now=now, until=now + _LEASE, limit=_AT_ONCE)
        await asyncio.gather(*(self._make(one, lease) for one in leased))
        return len(leased)

    async def _make(self, leased: LeasedAssessment, lease: UUID) -> None:
        """Make one. A failure of its own, or of the database, touches no other."""
        try:
            await self._assess(leased, lease)
        except Exception:
            log.exception("assessment not made", extra={"handoff_id": str(leased.handoff_id)})
            await self._put_off(leased, lease)

    async def _assess(self, leased: LeasedAssessment, lease: UUID) -> None:
        async with self._database.reading(leased.account_id) as tx:
            handoff = (await handoffs.by_ids(tx, [leased.handoff_id]))[leased.handoff_id]
            whole = await read_case(tx, handoff)
        if handoff.state == HandoffState.CLOSED:
            await self._settle_failed(handoff, lease, "the handoff was closed first")
            return
        # A long one is read for seconds, in which the process must go on with all else.
        case = await asyncio.to_thread(without_secrets, whole, self._redact)
        try:
            ready = await self._ask(self._assessor_of(handoff.account_id), case)
        except AssessmentError as error:
            await self._settle_failed(handoff, lease, str(error))
        else:
            await self._settle_ready(handoff, lease, ready)

    async def _ask(self, assessor: Assessor, case: Case) -> Ready:
        try:
            async with asyncio.timeout(self._longest_seconds):
                draft = await assessor.assess(case)
        except TimeoutError:
            raise AssessmentError(f"{assessor.name} took too long") from None
        checked = evidence.check(case, draft)
        return Ready(
            likely_cause=checked.likely_cause,
            confidence=checked.confidence,
            findings=_findings(checked),
            generated_by=draft.made_by or assessor.name,
        )

    async def _settle_ready(self, handoff: HandoffRow, lease: UUID, ready: Ready) -> None:
        now = self._now()
        summary = f"assessed it: {ready.likely_cause or 'no likely cause'} ({ready.confidence.value})"
        async with self._database.transaction(handoff.account_id) as tx:
            if await assessments.settle_ready(tx, handoff.id, lease, ready, at=now):
                await append_about(tx, EventKind.HANDOFF_ASSESSED, handoff, None, summary, at=now)

    async def _settle_failed(self, handoff: HandoffRow, lease: UUID, error: str) -> None:
        now = self._now()
        log.warning("no assessment", extra={"handoff_id": str(handoff.id), "error": error})
        async with self._database.transaction(handoff.account_id) as tx:
            if await assessments.settle_failed(tx, handoff.id, lease, error, at=now):
                summary = f"could not assess it: {error}"
                await append_about(tx, EventKind.HANDOFF_ASSESSED, handoff, None, summary, at=now)

    async def _put_off(self, leased: LeasedAssessment, lease: UUID) -> None:
        """Try again later what failed for a reason of ours, until it is too late to be of use."""
        now = self._now()
        try:
            async with self._database.transaction(leased.account_id) as tx:
                if now < leased.deadline_at:
                    due_at = now + _RETRY * 2 ** min(leased.attempts - 1, 5)
                    await assessments.settle_later(tx, leased.handoff_id, lease, due_at=due_at)
                    return
                handoff = (await handoffs.by_ids(tx, [leased.handoff_id]))[leased.handoff_id]
            await self._settle_failed(handoff, lease, "an error of the service; its log says more")
        except Exception:  # the lease ends, and then another worker tries
            log.exception("assessment not put off", extra={"handoff_id": str(leased.handoff_id)})


def _findings(draft: Draft) -> dict[str, Any]:
    """Return the statements of an assessment as they are stored, ready for JSON."""
    return {
        "suggested_steps": [_step(step) for step in draft.suggested_steps],
        "already_tried": [_step(step) for step in draft.already_tried],
        "evidence": [_evidence(one) for one in draft.evidence],
    }


def _step(step: Step) -> dict[str, Any]:
    return {"text": step.text, "evidence": [_evidence(one) for one in step.evidence]}


def _evidence(one: Evidence) -> dict[str, Any]:
    branch_id = None if one.branch_id is None else str(one.branch_id)
    return asdict(one) | {"branch_id": branch_id}
