"""What happens when whoever should make an assessment cannot: another makes it, and the draft says so."""

import logging
from dataclasses import replace

from assist.port import AssessmentError, Assessor, Case, Draft

log = logging.getLogger(__name__)


class AssessorUnavailable(AssessmentError):  # noqa: N818 (a state, and told as one)
    """The assessor cannot work now. The text is the reason, such as `timed out`; no session's words."""


class WithFallback:
    """Asks one assessor and, while it is unavailable, another. The draft says who made it, and why."""

    def __init__(self, primary: Assessor, fallback: Assessor) -> None:
        self._primary = primary
        self._fallback = fallback

    @property
    def name(self) -> str:
        """Who is asked first."""
        return self._primary.name

    async def assess(self, case: Case) -> Draft:
        """Return the draft of the first who can make one: `rules/1 (llm/small: timed out)`.

        Raises:
            AssessmentError: neither has anything to say.
        """
        try:
            return made_by(await self._primary.assess(case), self._primary.name)
        except AssessorUnavailable as unavailable:
            reason = str(unavailable)
        log.warning("assessor unavailable", extra={"assessor": self._primary.name, "reason": reason})
        draft = await self._fallback.assess(case)
        return replace(draft, made_by=f"{self._fallback.name} ({self._primary.name}: {reason})")


def made_by(draft: Draft, name: str) -> Draft:
    """Return the draft with its maker's name, unless it bears one."""
    return draft if draft.made_by else replace(draft, made_by=name)
