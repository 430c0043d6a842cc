"""What became of the escalations of a window, in figures."""

from __future__ import annotations

from dataclasses import asdict

import strawberry

from db.delivery_statistics import ChannelFigures
from db.enums import Channel, ConfidenceTier
from db.statistics import Durations, EscalationFigures, Window
from db.verdicts import VerdictFigures
from resolvers import statistics
from schema.context import Info


@strawberry.type(
    description=(
        "How long something took. The percentiles are nearest-rank: each is a time that was measured, the "
        "least that this share of all does not exceed. They are null where nothing was measured."
    )
)
class DurationStats:
    """Durations."""

    count: int = strawberry.field(description="Of how many escalations the time has ended.")
    median_seconds: float | None = strawberry.field(description="Half took no longer than this.")
    p90_seconds: float | None = strawberry.field(description="90 of 100 took no longer than this.")
    p99_seconds: float | None = strawberry.field(description="99 of 100 took no longer than this.")

    @classmethod
    def from_found(cls, found: Durations) -> DurationStats:
        """Show durations."""
        return cls(
            count=found.count,
            median_seconds=found.median_seconds,
            p90_seconds=found.p90_seconds,
            p99_seconds=found.p99_seconds,
        )


@strawberry.type(
    description=(
        "The deliveries about the escalations over one channel. Each counts once, by the state in which it "
        "is now; those that still wait count nowhere."
    )
)
class ChannelStats:
    """A channel's deliveries."""

    channel: Channel = strawberry.field(description="The channel.")
    sent: int = strawberry.field(description="Handed over, and not confirmed: what becomes of a good mail.")
    delivered: int = strawberry.field(description="Confirmed by the recipient's client.")
    failed: int = strawberry.field(description="Refused for good, or not confirmed in time.")
    skipped: int = strawberry.field(description="Not wanted any more.")
    median_seconds: float | None = strawberry.field(
        description=(
            "Median time from when a delivery was first due until it was confirmed, or handed over where "
            "nothing confirms it; over those sent and delivered, null without any."
        )
    )
    p99_seconds: float | None = strawberry.field(description="The 99th percentile of the same.")

    @classmethod
    def from_found(cls, found: ChannelFigures) -> ChannelStats:
        """Show a channel's figures."""
        return cls(
            channel=found.channel,
            sent=found.sent,
            delivered=found.delivered,
            failed=found.failed,
            skipped=found.skipped,
            median_seconds=found.median_seconds,
            p99_seconds=found.p99_seconds,
        )


@strawberry.type(description="What became of some escalations, up to now.")
class EscalationStatsGroup:
    """A group of escalations."""

    key: str | None = strawberry.field(
        description=(
            "What they have in common: a domain, the id of a team or user, or a priority's name. Null for "
            "all together, and for those that have none."
        )
    )
    escalated: int = strawberry.field(description="How many there are.")
    claimed: int = strawberry.field(
        description="How many of them were claimed at least once, also if the claim was released or expired."
    )
    time_to_claim: DurationStats = strawberry.field(
        description="From when each was made to its first claim; those never claimed are left out."
    )
    time_to_resolve: DurationStats = strawberry.field(
        description=(
            "From when each was made to when its session was resolved, by whomever and after whatever "
            "else; those of unresolved sessions are left out."
        )
    )
    reminders: int = strawberry.field(description="How often responders were reminded of them, in rounds.")
    released: int = strawberry.field(
        description=(
            "How often they came back into the queue: claims that were released, by whomever, or expired."
        )
    )
    bounced_back: int = strawberry.field(
        description="How many were claimed and then handed off again, parked or escalated, by anyone."
    )

    @classmethod
    def from_found(cls, found: EscalationFigures) -> EscalationStatsGroup:
        """Show a group's figures."""
        return cls(
            key=statistics.show_key(found.key),
            escalated=found.escalated,
            claimed=found.claimed,
            time_to_claim=DurationStats.from_found(found.time_to_claim),
            time_to_resolve=DurationStats.from_found(found.time_to_resolve),
            reminders=found.reminders,
            released=found.released,
            bounced_back=found.bounced_back,
        )


@strawberry.type(
    description=(
        "What came of the assessments of one domain, made by one assessor with one confidence, in the words "
        "of those who claimed."
    )
)
class AssessmentStats:
    """Verdicts."""

    problem_domain: str | None = strawberry.field(description="The session's domain; null if unknown.")
    generated_by: str = strawberry.field(description="Who made them, and which version.")
    confidence: ConfidenceTier = strawberry.field(description="How sure the assessor was.")
    made: int = strawberry.field(description="How many were made.")
    rated: int = strawberry.field(description="On how many of them somebody gave a verdict.")
    correct: int = strawberry.field(description="Of how many the likely cause was the cause.")
    partly: int = strawberry.field(description="How many pointed the right way.")
    wrong: int = strawberry.field(description="How many were wrong.")

    @classmethod
    def from_found(cls, found: VerdictFigures) -> AssessmentStats:
        """Show figures."""
        return cls(**asdict(found))


@strawberry.type(
    description=(
        "What became of the escalations of a window. An escalation belongs to the window in which it was "
        "made, and all that happened to it up to now is counted. Parked sessions are not."
    )
)
class EscalationStats:
    """Statistics."""

    window: strawberry.Private[Window]
    total: EscalationStatsGroup = strawberry.field(description="All together.")
    groups: list[EscalationStatsGroup] = strawberry.field(
        description=(
            f"By `groupBy`, the largest first, at most {statistics.MOST_GROUPS}; empty without `groupBy`."
        )
    )

    @strawberry.field(
        description=(
            "How often their assessments were right, by the domain, the assessor and its confidence, at "
            f"most {statistics.MOST_GROUPS}."
        )
    )
    async def assessments(self, info: Info) -> list[AssessmentStats]:
        """Count the verdicts, where a client asks."""
        async with info.context.long_reading() as tx:
            found = await statistics.assessment_stats(tx, self.window)
        return [AssessmentStats.from_found(one) for one in found]

    @strawberry.field(description="The deliveries about them, for every channel.")
    async def channels(self, info: Info) -> list[ChannelStats]:
        """Count the deliveries, where a client asks."""
        async with info.context.long_reading() as tx:
            found = await statistics.channel_stats(tx, self.window)
        return [ChannelStats.from_found(figures) for figures in found]

    @classmethod
    def from_found(cls, window: Window, found: statistics.EscalationStats) -> EscalationStats:
        """Show statistics."""
        return cls(
            window=window,
            total=EscalationStatsGroup.from_found(found.total),
            groups=[EscalationStatsGroup.from_found(group) for group in found.groups],
        )
