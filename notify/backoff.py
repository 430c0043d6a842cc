"""The growing pause between attempts to make a delivery."""

import random
from datetime import timedelta

_FIRST_SECONDS = 5.0
_LONGEST_SECONDS = 600.0


def pause_after(attempt: int) -> timedelta:
    """Return how long to wait after the given failed attempt; 1 is the first.

    Doubles from 5 seconds to 10 minutes, each time anywhere between half and the whole of it, so that what
    an outage has held up does not all come back at once.
    """
    longest = min(_FIRST_SECONDS * 2 ** min(attempt - 1, 10), _LONGEST_SECONDS)
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
