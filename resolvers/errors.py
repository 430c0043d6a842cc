"""Refusals: outcomes that the caller must handle. The docstring of each is its message.

    Refusal
    ├── Unauthenticated          not signed in
    │   └── TokenUnchecked       or signed in: nobody can tell now
    ├── Forbidden                signed in, not allowed
    ├── BadInput                 an argument that can be corrected
    ├── NotFound                 an id that names nothing in this account
    ├── RateLimited              .retry_after_seconds
    ├── SessionNotFound
    ├── SessionResolved
    ├── SessionAlreadyHandedOff  .handoff_id
    ├── HandoffNotFound
    ├── HandoffNotOpen           .state
    ├── HandoffAlreadyClaimed    .claimed_by_id .claimed_at
    ├── AssessmentNotReady
    ├── HandoffNotClaimedByYou
    ├── PsaNotConnected
    ├── EmailTaken               .taken_by
    ├── TeamNameTaken
    ├── LastOwner
    └── LoginLinkSpent

They carry plain values, never rows: what was read before a rollback may not hold after it.
"""

import math
from datetime import datetime
from uuid import UUID

from db.enums import HandoffState
from db.users import UserRow


class Refusal(Exception):  # noqa: N818 (a refusal is an answer, not a fault)
    """The request was refused."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)

    @property
    def message(self) -> str:
        """The sentence for the caller."""
        return str(self.args[0])


class Unauthenticated(Refusal):
    """Sign in: send a valid token."""


class TokenUnchecked(Unauthenticated):
    """The identity provider cannot be reached to check your token. Try again later."""


class Forbidden(Refusal):
    """Engineer or admin access required"""  # noqa: D415 (the contract's exact sentence)


class BadInput(Refusal):
    """An argument cannot be used."""


class NotFound(Refusal):
    """Nothing in your account has this id."""


class RateLimited(Refusal):
    """Too many at once. Wait, and try again."""

    def __init__(self, retry_after_seconds: float) -> None:
        self.retry_after_seconds = math.ceil(retry_after_seconds)
        super().__init__(f"Too many at once. Try again in {self.retry_after_seconds} s.")


class SessionNotFound(Refusal):
    """No session of your account has this id."""


class SessionResolved(Refusal):
    """This session is resolved. Start a new one."""


class SessionAlreadyHandedOff(Refusal):
    """This session waits in the queue already."""

    def __init__(self, handoff_id: UUID) -> None:
        super().__init__()
        self.handoff_id = handoff_id


class HandoffNotFound(Refusal):
    """No handoff of your account has this id."""


class HandoffNotOpen(Refusal):
    """This handoff is closed: its session was resolved or handed off again."""

    def __init__(self, state: HandoffState) -> None:
        super().__init__()
        self.state = state


class HandoffAlreadyClaimed(Refusal):
    """Somebody else claimed this handoff first."""

    def __init__(self, claimed_by_id: UUID, claimed_at: datetime) -> None:
        super().__init__()
        self.claimed_by_id = claimed_by_id
        self.claimed_at = claimed_at


class AssessmentNotReady(Refusal):
    """There is no assessment of this handoff to rate."""


class HandoffNotClaimedByYou(Refusal):
    """Only the one who claimed a handoff can release it, or an owner or admin."""


class PsaNotConnected(Refusal):
    """This session has no ticket in a connected PSA. Set its psaConnectionId and psaTicketId."""


class EmailTaken(Refusal):
    """Somebody has this address already."""

    def __init__(self, email: str, taken_by: UserRow | None, advice: str = "") -> None:
        super().__init__(f"There is a user with the address {email} already{advice}.")
        self.taken_by = taken_by  #: of the caller's account; None: somebody of another


class TeamNameTaken(Refusal):
    """Your account has a team of this name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a team named {name} already.")


class LastOwner(Refusal):
    """This is the account's only active owner. Make somebody else an owner first."""


class LoginLinkSpent(Refusal):
    """This link was used already, or has expired. Ask for a new one."""
