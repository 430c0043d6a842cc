"""The likely cause: what a branch or somebody in the conversation says it is, and how sure that is.

Nothing is concluded here that nobody said. Confidence is HIGH for a confirmed branch, and for a conclusion
that was confirmed and not taken back; MEDIUM for a stated conclusion, and for an active branch with findings;
LOW otherwise.
"""

from dataclasses import dataclass

from assist.attempts import Attempt
from assist.branch_status import has_findings, outcome_of
from assist.clauses import branch_evidence, said
from assist.conclusions import Conclusion
from assist.outcomes import Outcome
from assist.port import CaseBranch, Evidence
from assist.topics import overlap, shares_topic
from db.enums import ConfidenceTier

_LONGEST = 320  #: characters
_SAME_THING = 0.3  #: share of topics by which a branch and a statement are about one thing


@dataclass(frozen=True, slots=True)
class Cause:
    """What is behind the problem, as far as the session says."""

    text: str
    confidence: ConfidenceTier
    evidence: tuple[Evidence, ...]


def likely_cause(
    branches: tuple[CaseBranch, ...], conclusions: tuple[Conclusion, ...], attempts: tuple[Attempt, ...]
) -> Cause | None:
    """Return the cause that is best founded, or None where nobody has stated one."""
    open_conclusions = tuple(one for one in conclusions if not _is_ruled_out(one, branches))
    confirmed = [branch for branch in branches if outcome_of(branch) is Outcome.CONFIRMED]
    if confirmed:
        return _of_branch(_deepest(confirmed), open_conclusions, ConfidenceTier.HIGH)
    strong = [one for one in open_conclusions if one.is_strong]
    if strong:
        return _of_conclusion(strong[-1], attempts)
    active = next((branch for branch in branches if branch.is_active), None)
    if active is not None and has_findings(active) and outcome_of(active) is not Outcome.RULED_OUT:
        is_looked_at = outcome_of(active) is Outcome.IN_PROGRESS
        return _of_branch(
            active, open_conclusions, ConfidenceTier.MEDIUM if is_looked_at else ConfidenceTier.LOW
        )
    if open_conclusions:
        return _of_conclusion(open_conclusions[-1], attempts)
    return _of_repair(attempts)


def _deepest(branches: list[CaseBranch]) -> CaseBranch:
    """Choose the one that explains the others: a child refines its parent; otherwise the last."""
    parents = {branch.parent_id for branch in branches}
    return next((branch for branch in reversed(branches) if branch.id not in parents), branches[-1])


def _is_ruled_out(one: Conclusion, branches: tuple[CaseBranch, ...]) -> bool:
    return any(
        outcome_of(branch) is Outcome.RULED_OUT and overlap(branch.label, one.text) >= 2 * _SAME_THING
        for branch in branches
    )


def _of_branch(branch: CaseBranch, conclusions: tuple[Conclusion, ...], confidence: ConfidenceTier) -> Cause:
    text = f"{branch.label}: {branch.status_reason}" if branch.status_reason else branch.label
    evidence = [branch_evidence(branch.id, branch.status_reason or branch.label)]
    alike = [one for one in conclusions if overlap(one.text, text) >= _SAME_THING]
    if alike:
        evidence += alike[-1].evidence
    return Cause(said(text, _LONGEST), confidence, tuple(evidence))


def _of_conclusion(one: Conclusion, attempts: tuple[Attempt, ...]) -> Cause:
    """Say what was concluded. A repair of the same thing that helped afterwards confirms it."""
    repair = next(
        (
            attempt
            for attempt in reversed(attempts)
            if attempt.outcome is Outcome.HELPED
            and not attempt.is_check
            and attempt.order >= one.order
            and shares_topic(attempt.what, one.text)
        ),
        None,
    )
    is_sure = one.is_strong and (one.is_confirmed or repair is not None)
    confidence = (
        ConfidenceTier.HIGH if is_sure else ConfidenceTier.MEDIUM if one.is_strong else ConfidenceTier.LOW
    )
    evidence = one.evidence + (repair.evidence[-1:] if repair else ())
    return Cause(one.text, confidence, evidence)


def _of_repair(attempts: tuple[Attempt, ...]) -> Cause | None:
    """Where nobody concluded, say what ended the problem, if the last word about it is that it ended."""
    changes = [attempt for attempt in attempts if not attempt.is_check]
    if not changes or changes[-1].outcome is not Outcome.HELPED:
        return None
    repair = changes[-1]
    return Cause(f"Not stated; it ended with: {said(repair.what)}", ConfidenceTier.LOW, repair.evidence)
