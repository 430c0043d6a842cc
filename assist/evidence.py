"""Checks what an assessor cites: words that nobody said are no evidence.

1. A citation stays if the message or branch is in the case and holds the quoted words.
2. A statement whose citations all fell is dropped: it claimed to rest on something that is not there.
3. A statement that cites nothing stays, and costs the whole assessment a tier of confidence.
4. A cause that fell leaves an assessment without one, of the lowest confidence.
"""

from dataclasses import replace

from assist.port import Case, Draft, Evidence, Step
from assist.quotes import rests_on_session
from db.enums import ConfidenceTier

#: More than these nobody reads; a model that does not stop must not fill the database.
MOST_STEPS = 10
MOST_EVIDENCE = 5
LONGEST_TEXT = 1_000
LONGEST_QUOTE = 500

_LOWER = {
    ConfidenceTier.HIGH: ConfidenceTier.MEDIUM,
    ConfidenceTier.MEDIUM: ConfidenceTier.LOW,
    ConfidenceTier.LOW: ConfidenceTier.LOW,
}


def check(case: Case, draft: Draft) -> Draft:
    """Return the draft with only what the case bears out; the case is the one that was assessed."""
    suggested, tried = (
        tuple(checked for step in steps[:MOST_STEPS] if (checked := _check_step(step, case)))
        for steps in (draft.suggested_steps, draft.already_tried)
    )
    evidence = _kept(draft.evidence, case)
    cause = _cut(draft.likely_cause, LONGEST_TEXT)
    if cause is None or (draft.evidence and not evidence):
        return replace(
            draft,
            likely_cause=None,
            suggested_steps=suggested,
            already_tried=tried,
            confidence=ConfidenceTier.LOW,
            evidence=(),
        )
    is_bare = not evidence or any(not step.evidence for step in (*suggested, *tried))
    return replace(
        draft,
        likely_cause=cause,
        suggested_steps=suggested,
        already_tried=tried,
        confidence=_LOWER[draft.confidence] if is_bare else draft.confidence,
        evidence=evidence,
    )


def _kept(evidence: tuple[Evidence, ...], case: Case) -> tuple[Evidence, ...]:
    """Return the citations that hold."""
    hold = (one for one in evidence if len(one.quote) <= LONGEST_QUOTE and rests_on_session(one, case))
    return tuple(hold)[:MOST_EVIDENCE]


def _check_step(step: Step, case: Case) -> Step | None:
    text = _cut(step.text, LONGEST_TEXT)
    evidence = _kept(step.evidence, case)
    if text is None or (step.evidence and not evidence):
        return None
    return Step(text=text, evidence=evidence)


def _cut(text: str | None, longest: int) -> str | None:
    """Return the text, no longer than that; None where it says nothing."""
    return shortened(text or "", longest) or None


def shortened(text: str, longest: int) -> str:
    """Cut at that many characters, an ellipsis included."""
    text = text.strip()
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"
