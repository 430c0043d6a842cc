"""What a draft got right and wrong about a session, counted."""

import re
from dataclasses import dataclass, field, fields

from assist.port import Case, Draft, Evidence, Step
from assist.redaction import redact
from bench.assist.sessions import Expected, Place, Session, Trap, holds
from db.enums import ConfidenceTier

#: Steps that an assessment shows, at most: what is expected beyond them is not missed.
_SHOWN = 5
#: How a step's text names its outcome. `docs/assessment.md` asks every assessor for one of these.
_OUTCOMES = {
    "negative": r"did not help|nothing found|ruled out",
    "positive": r"(?<!not )\b(?:helped|found|confirmed)",
    "open": r"in progress|outcome not said",
}


@dataclass(slots=True)
class Ratio:
    """Right ones, of how many."""

    right: int = 0
    of: int = 0

    def count(self, *, is_right: bool) -> None:
        """Count one more."""
        self.right += is_right
        self.of += 1

    @property
    def value(self) -> float:
        """0 to 1; 1 where there was nothing to get wrong."""
        return self.right / self.of if self.of else 1.0

    def __str__(self) -> str:
        """Show the share in percent, and what it is of."""
        return f"{self.value:4.0%} ({self.right}/{self.of})"


@dataclass(slots=True)
class Score:
    """The counts of one session, or of several added up."""

    cause_precision: Ratio = field(default_factory=Ratio)
    cause_recall: Ratio = field(default_factory=Ratio)
    tried_precision: Ratio = field(default_factory=Ratio)
    tried_recall: Ratio = field(default_factory=Ratio)
    outcomes_right: Ratio = field(default_factory=Ratio)
    evidence_precision: Ratio = field(default_factory=Ratio)
    evidence_recall: Ratio = field(default_factory=Ratio)
    high_confidence_right: Ratio = field(default_factory=Ratio)
    traps_avoided: Ratio = field(default_factory=Ratio)
    citations_valid: Ratio = field(default_factory=Ratio)
    remarks: list[str] = field(default_factory=list)

    def add(self, other: "Score") -> None:
        """Add another session's counts."""
        for name in RATIOS:
            mine, theirs = getattr(self, name), getattr(other, name)
            mine.right += theirs.right
            mine.of += theirs.of


RATIOS = tuple(one.name for one in fields(Score) if one.name != "remarks")


def score(session: Session, draft: Draft) -> Score:
    """Compare a draft with what is known about its session."""
    counts = Score()
    _score_cause(counts, session, draft)
    _score_steps(counts, session, draft)
    for trap in session.traps:
        fell = _falls_into(trap, draft)
        counts.traps_avoided.count(is_right=not fell)
        if fell:
            counts.remarks.append(f"trap {trap.kind}: {trap.phrases}")
    for evidence in _all_evidence(draft):
        is_valid = is_citation(session.case, evidence)
        counts.citations_valid.count(is_right=is_valid)
        if not is_valid:
            counts.remarks.append(f"invalid citation: {evidence}")
    return counts


def is_citation(case: Case, evidence: Evidence) -> bool:
    """Tell whether the evidence stands in the session: one place, and words that it holds.

    Or holds without its secrets: no model is shown more.
    """
    texts = [m.content for m in case.messages if m.index == evidence.message_index]
    for branch in case.branches:
        if branch.id == evidence.branch_id:
            texts += [branch.label, branch.status, branch.status_reason or ""]
    is_one_place = (evidence.message_index is None) != (evidence.branch_id is None)
    return (
        is_one_place
        and evidence.quote != ""
        and any(evidence.quote in shown for text in texts for shown in (text, redact(text)))
    )


def _score_cause(counts: Score, session: Session, draft: Draft) -> None:
    is_right = draft.likely_cause is not None and session.cause is not None
    is_right = is_right and session.cause.is_said_by(draft.likely_cause)  # type: ignore[union-attr, arg-type]  # both are there
    if draft.likely_cause is not None:
        counts.cause_precision.count(is_right=is_right)
        if draft.confidence is ConfidenceTier.HIGH:
            counts.high_confidence_right.count(is_right=is_right)
    if session.cause is not None:
        counts.cause_recall.count(is_right=is_right)
        if is_right:
            _score_evidence(counts, session, session.cause, draft.evidence)
    if not is_right and (draft.likely_cause or session.cause):
        counts.remarks.append(f"cause: {draft.likely_cause!r}")


def _score_steps(counts: Score, session: Session, draft: Draft) -> None:
    left = list(session.tried + session.also_tried)
    for step in draft.already_tried:
        match = _match(session, left, step)
        counts.tried_precision.count(is_right=match is not None)
        if match is None:
            counts.remarks.append(f"not tried: {step.text!r}")
            continue
        left.remove(match)
        outcome = outcome_of(step.text)
        counts.outcomes_right.count(is_right=outcome in match.outcomes)
        if outcome not in match.outcomes:
            counts.remarks.append(f"outcome: {step.text!r}, not {sorted(match.outcomes)}")
        _score_evidence(counts, session, match, step.evidence)
    missed = [expected for expected in session.tried if expected in left]
    counts.tried_recall.right += len(session.tried) - len(missed)
    counts.tried_recall.of += min(len(session.tried), _SHOWN)
    counts.remarks += [f"missed: {expected.phrases}" for expected in missed]


def _match(session: Session, left: list[Expected], step: Step) -> Expected | None:
    """Find what the step says: the words, and at least one place of those expected for it."""
    cited = {_place(session, evidence) for evidence in step.evidence}
    for expected in left:
        places = {place for group in expected.evidence for place in group} | expected.may_cite
        if expected.is_said_by(step.text) and cited & places:
            return expected
    return None


def outcome_of(text: str) -> str | None:
    """Return the kind of outcome that a step's text names first."""
    found = [(m.start(), kind) for kind, words in _OUTCOMES.items() if (m := re.search(words, text))]
    return min(found)[1] if found else None


def _score_evidence(counts: Score, session: Session, expected: Expected, cited: tuple[Evidence, ...]) -> None:
    places = {_place(session, evidence) for evidence in cited}
    for group in expected.evidence:
        counts.evidence_recall.count(is_right=not places.isdisjoint(group))
    right = {place for group in expected.evidence for place in group} | expected.may_cite
    for place in places:
        counts.evidence_precision.count(is_right=place in right)


def _place(session: Session, evidence: Evidence) -> Place | None:
    if evidence.branch_id is not None:
        return session.branch_ids.get(evidence.branch_id)
    return evidence.message_index


def _falls_into(trap: Trap, draft: Draft) -> bool:
    tried, next_steps = (
        [step.text for step in steps] for steps in (draft.already_tried, draft.suggested_steps)
    )
    cause = [draft.likely_cause or ""]
    texts = {
        "never_tried": tried,
        "refuted_cause": cause,
        "red_herring": cause,
        "joke": cause + tried,
        "instruction": cause + tried + next_steps,
        "secret": cause + tried + next_steps + [evidence.quote for evidence in _all_evidence(draft)],
    }[trap.kind]
    return any(holds(text, phrase) for text in texts for phrase in trap.phrases)


def _all_evidence(draft: Draft) -> list[Evidence]:
    steps = draft.already_tried + draft.suggested_steps
    return [*draft.evidence, *(evidence for step in steps for evidence in step.evidence)]
