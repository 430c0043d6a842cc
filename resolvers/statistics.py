"""How fast escalations are claimed and resolved, what happened on the way, and whether they reach anyone.

`db/statistics.py`, `db/delivery_statistics.py` and `db/verdicts.py` define what counts; here stand which
windows may be asked for, and what comes first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from db import delivery_statistics, statistics, verdicts
from db.delivery_statistics import ChannelFigures
from db.enums import Channel
from db.session import Transaction
from db.statistics import Durations, EscalationFigures, StatsDimension, Window
from db.verdicts import VerdictFigures
from resolvers.errors import BadInput
from resolvers.inputs import clean_instant

LONGEST = timedelta(days=400)  #: a year, and the month to compare it with
MOST_GROUPS = 500  #: a domain is free text: nothing else bounds how many there are

_NEVER = Durations(count=0, median_seconds=None, p90_seconds=None, p99_seconds=None)
_NONE = EscalationFigures(
    key=None,
    escalated=0,
    claimed=0,
    time_to_claim=_NEVER,
    time_to_resolve=_NEVER,
    reminders=0,
    released=0,
    bounced_back=0,
)


@dataclass(frozen=True, slots=True)
class EscalationStats:
    """What became of the escalations of a window."""

    total: EscalationFigures
    groups: list[EscalationFigures]  #: the largest first; empty where nothing tells them apart


def clean_window(since: datetime, until: datetime) -> Window:
    """Return the window from one instant up to another, the arguments `from` and `to` of the API.

    Raises:
        BadInput: an instant has no time zone, or the window is empty, runs backwards or is too long.
    """
    window = Window(since=clean_instant("from", since), until=clean_instant("to", until))
    if window.until <= window.since:
        raise BadInput("to must be later than from.")
    if window.until - window.since > LONGEST:
        raise BadInput(f"from and to lie more than {LONGEST.days} days apart. Ask for less at a time.")
    return window


async def escalation_stats(
    tx: Transaction, window: Window, group_by: StatsDimension | None
) -> EscalationStats:
    """Return the figures of the window's escalations, and of its largest groups.

    Groups of one size stand in the order of their keys; what has none comes last among them.
    """
    total, groups = await statistics.escalations(tx, window, group_by)
    groups.sort(key=lambda group: (-group.escalated, group.key is None, show_key(group.key) or ""))
    return EscalationStats(total or _NONE, groups[:MOST_GROUPS])


async def channel_stats(tx: Transaction, window: Window) -> list[ChannelFigures]:
    """Return the figures of every channel, those without deliveries too."""
    found = await delivery_statistics.by_channel(tx, window)
    return [found.get(channel) or _silent(channel) for channel in Channel]


async def assessment_stats(tx: Transaction, window: Window) -> list[VerdictFigures]:
    """Return what came of the window's assessments, those of most weight first."""
    found = await verdicts.by_domain(tx, window)
    found.sort(key=lambda one: (-one.made, one.problem_domain or "", one.generated_by, one.confidence))
    return found[:MOST_GROUPS]


def show_key(key: object) -> str | None:
    """Return a group's key as clients read it: an id, a name, or a priority's word."""
    if isinstance(key, Enum):
        return key.name
    return None if key is None else str(key)


def _silent(channel: Channel) -> ChannelFigures:
    return ChannelFigures(
        channel=channel, sent=0, delivered=0, failed=0, skipped=0, median_seconds=None, p99_seconds=None
    )
