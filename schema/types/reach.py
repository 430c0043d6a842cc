"""Whom a handoff reached."""

from __future__ import annotations

import strawberry

from notify.policy import Reach as ReachCount


@strawberry.type(description="Whom a handoff reached at the moment that it was made.")
class Reach:
    """A reach."""

    online: int = strawberry.field(description="Responders with a live dashboard that shows it.")
    email: int = strawberry.field(description="The other responders: they get a mail unless they mute mails.")
    unreachable: bool = strawberry.field(
        description=(
            "True if no responder could be told of an escalation, because there is none, or nobody is at a "
            "screen and all mute mails: call somebody. Never for PARK."
        )
    )

    @classmethod
    def from_count(cls, reach: ReachCount) -> Reach:
        """Show a count."""
        return cls(online=reach.online, email=reach.email, unreachable=reach.unreachable)
