"""The assessor without a model: it takes from a session what its people said, and cites it.

The same case always gives the same draft. Nothing in a session is followed: texts are only read.
"""

import asyncio

from assist.causes import likely_cause
from assist.conclusions import conclusions_of
from assist.conversation import turns_of
from assist.port import Case, Draft
from assist.steps import already_tried, distinct, suggested_steps
from assist.tried import attempts_of
from db.enums import ConfidenceTier


class Rules:
    """Assesses by rules alone; docs/assessment.md says which, and how well they do."""

    @property
    def name(self) -> str:
        """The name and version of these rules."""
        return "rules/1"

    async def assess(self, case: Case) -> Draft:
        """Return what the session says about itself. A session that says nothing gets an empty draft."""
        return await asyncio.to_thread(_draft, case)  # a long one is read for seconds


def _draft(case: Case) -> Draft:
    turns = turns_of(case)
    attempts = attempts_of(turns)
    cause = likely_cause(case.branches, conclusions_of(turns), attempts)
    return Draft(
        likely_cause=cause.text if cause else None,
        suggested_steps=suggested_steps(case.branches, turns, attempts, cause.text if cause else None),
        already_tried=already_tried(case.branches, attempts, cause.text if cause else None),
        confidence=cause.confidence if cause else ConfidenceTier.LOW,
        evidence=distinct(cause.evidence) if cause else (),
    )
