"""Cases to assess, and answers of a language model about them."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from assist.port import Case, CaseBranch, CaseMessage, Draft, Step
from db.enums import ConfidenceTier, MessageRole

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
BRANCH_ID = UUID("01890000-0000-7000-8000-00000000b1b1")
SECRET = "hunter2"

#: Cites message 4 and the branch of `make_case()`.
ANSWER: dict[str, Any] = {
    "likely_cause": "The rekey timers of both ends differ.",
    "evidence": [{"source": "m4", "quote": "rekey after 3600 s"}],
    "confidence": "MEDIUM",
    "already_tried": [
        {"text": "DNS was ruled out.", "evidence": [{"source": "b1", "quote": "resolves everywhere"}]}
    ],
    "suggested_steps": [{"text": "Set the same lifetime on both ends.", "evidence": []}],
}
#: Not in the form.
NONSENSE: dict[str, Any] = {"cause": "Mercury is in retrograde."}


def make_case(*texts: str, first: int = 3, **changes: Any) -> Case:  # noqa: ANN401
    """Make a case; without texts, of a tunnel that drops each hour. Messages are numbered from `first`."""
    texts = texts or ("The tunnel drops every hour.", "The log says: rekey after 3600 s, no proposal chosen.")
    given: dict[str, Any] = {
        "problem": "VPN drops every hour",
        "domain": "network",
        "notes": "The customer has a board meeting at ten.",
        "branches": (make_branch(),),
        "messages": tuple(
            CaseMessage(index=index, role=MessageRole.USER, content=text, at=AT)
            for index, text in enumerate(texts, start=first)
        ),
    }
    return Case(**given | changes)


def make_branch(**changes: Any) -> CaseBranch:  # noqa: ANN401
    """Make a branch: DNS, ruled out."""
    given: dict[str, Any] = {
        "id": BRANCH_ID,
        "label": "DNS",
        "status": "ruled_out",
        "status_reason": "It resolves everywhere.",
        "parent_id": None,
        "is_active": False,
    }
    return CaseBranch(**given | changes)


def take_out_secret(text: str) -> str:
    """Redact the one secret that there is in these cases."""
    return re.sub(SECRET, "[password removed]", text, flags=re.IGNORECASE)


class Extract:
    """An assessor that always says the same, as the rules would."""

    name = "rules/1"

    async def assess(self, case: Case) -> Draft:
        """Return how many messages there are."""
        step = Step(text=f"Read the {len(case.messages)} messages.")
        return Draft(
            likely_cause=None,
            suggested_steps=(step,),
            already_tried=(),
            confidence=ConfidenceTier.LOW,
            evidence=(),
        )
