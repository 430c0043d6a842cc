"""Makes the assessor that the settings name."""

from assist.port import Assessor
from assist.rules import Rules
from server.settings import Settings


def make_assessor(settings: Settings) -> Assessor | None:
    """Return who assesses escalations, None where nobody does."""
    return None if settings.assessor == "off" else Rules()
