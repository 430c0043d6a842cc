"""Checks what an assessor cites: words that nobody said are no evidence.

1. A citation stays if the message or branch is in the case and holds the quoted words.
2. A statement whose citations all fell is dropped: it claimed to rest on something that is not there.
3. A statement that cites nothing stays, and costs the whole assessment a tier of confidence.
4. A cause that fell leaves an assessment without one, of the lowest confidence.
"""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from assist.port import Case, Draft, Evidence, Step
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


def check(case: Case, draft: Draft, redact: Callable[[str], str]) -> Draft:
    """Return the draft with only what the case bears out.

    Whitespace may differ. Words may also be those of the redacted text, which is what a model was shown.
    """
    sources = _Sources(case, redact)
    suggested, tried = (
        tuple(checked for step in steps[:MOST_STEPS] if (checked := _check_step(step, sources)))
        for steps in (draft.suggested_steps, draft.already_tried)
    )
    evidence = sources.kept(draft.evidence)
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


class _Sources:
    """What may be cited, by where it stands."""

    def __init__(self, case: Case, redact: Callable[[str], str]) -> None:
        said: dict[int | UUID, str] = {message.index: message.content for message in case.messages}
        for branch in case.branches:
            said[branch.id] = " ".join(filter(None, (branch.label, branch.status, branch.status_reason)))
        self._texts = {place: (_plain(text), _plain(redact(text))) for place, text in said.items()}

    def kept(self, evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
        """Return the citations that hold."""
        return tuple(one for one in evidence if self._holds(one))[:MOST_EVIDENCE]

    def _holds(self, one: Evidence) -> bool:
        quote = _plain(one.quote)
        places = [place for place in (one.message_index, one.branch_id) if place is not None]
        if len(places) != 1 or not 0 < len(quote) <= LONGEST_QUOTE:
            return False
        return any(quote in text for text in self._texts.get(places[0], ()))


def _check_step(step: Step, sources: _Sources) -> Step | None:
    text = _cut(step.text, LONGEST_TEXT)
    evidence = sources.kept(step.evidence)
    if text is None or (step.evidence and not evidence):
        return None
    return Step(text=text, evidence=evidence)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str | None, longest: int) -> str | None:
    """Return the text, no longer than that; None where it says nothing."""
    plain = "" if text is None else text.strip()
    if not plain:
        return None
    return plain if len(plain) <= longest else f"{plain[: longest - 1].rstrip()}…"
