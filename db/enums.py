"""The closed sets of the domain, stored by name and shown by name in the API.

A member's comment names what moves a row into it. `docs/glossary.md` defines the words.
"""

from enum import IntEnum, StrEnum


class Role(StrEnum):
    """What a user may do in their account. Everyone but a viewer is a responder while active."""

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    ENGINEER = "ENGINEER"
    VIEWER = "VIEWER"


#: Roles that may create, claim and be notified (a responder is also active and not deleted).
RESPONDER_ROLES = (Role.OWNER, Role.ADMIN, Role.ENGINEER)
#: Roles that may manage their account.
ADMIN_ROLES = (Role.OWNER, Role.ADMIN)


class ApiKeyScope(StrEnum):
    """What an API key may be used for, at most; the role of its user limits it further."""

    INGEST = "INGEST"  #: feeding sessions in, of whomever, and reading them, without their handoffs
    FULL = "FULL"  #: whatever its user may do


class SessionStatus(StrEnum):
    """Where a troubleshooting session stands."""

    ACTIVE = "ACTIVE"  #: being worked on; also set by a claim
    PAUSED = "PAUSED"  #: parked: waits in the queue without haste
    ESCALATED = "ESCALATED"  #: escalated: responders are being told
    RESOLVED = "RESOLVED"  #: finished; nothing changes it any more


class ConfidenceTier(StrEnum):
    """How sure the author of a statement is."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class MessageRole(StrEnum):
    """Who speaks in a session: the engineer, the assistant, or the tool around them."""

    USER = "USER"
    ASSISTANT = "ASSISTANT"
    SYSTEM = "SYSTEM"


class AssessmentStatus(StrEnum):
    """Where the assessment of a handoff stands."""

    NOT_REQUESTED = "NOT_REQUESTED"  #: parked, or the service makes none; never stored
    PENDING = "PENDING"  #: asked for with the escalation; a worker makes it
    READY = "READY"
    FAILED = "FAILED"  #: none could be made; the error says why


class Verdict(StrEnum):
    """What came of an assessment, in the words of the one who had the session in hand."""

    CORRECT = "CORRECT"  #: the likely cause was the cause
    PARTLY = "PARTLY"  #: it pointed the right way
    WRONG = "WRONG"


class HandoffIntent(StrEnum):
    """Why a session is passed on."""

    PARK = "PARK"  #: keep it for later; tells no one
    ESCALATE = "ESCALATE"  #: somebody has to take over; tells every responder


class HandoffPriority(IntEnum):
    """How urgent a handoff is. Stored as its rank, so that the database orders the most urgent first."""

    URGENT = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


class HandoffState(StrEnum):
    """The life of a handoff."""

    OPEN = "OPEN"  #: created, or released by its claimer; stands in the queue
    CLAIMED = "CLAIMED"  #: exactly one responder took it
    CLOSED = "CLOSED"  #: its session was resolved, or handed off again


class Channel(StrEnum):
    """How a delivery travels."""

    PUSH = "PUSH"  #: `escalationCreated` on a live dashboard connection
    EMAIL = "EMAIL"
    PSA_NOTE = "PSA_NOTE"  #: an internal note in the session's ticket; has no recipient


class DeliveryKind(StrEnum):
    """What a delivery tells."""

    ESCALATION = "ESCALATION"  #: a session was escalated, or came back to the queue
    REMINDER = "REMINDER"  #: nobody has claimed it yet
    CLAIMED = "CLAIMED"  #: to the one who escalated: somebody has it
    UNREACHED = "UNREACHED"  #: to the one who escalated: nobody could be told
    PSA_NOTE = "PSA_NOTE"  #: to the ticket: what the session knows


#: Kinds that ask a responder to take over; the others tell the one who escalated.
ASKING_KINDS = (DeliveryKind.ESCALATION, DeliveryKind.REMINDER)


class DeliveryStatus(StrEnum):
    """Where a delivery stands. Only what is known: sent is not delivered."""

    PENDING = "PENDING"  #: waits for `due_at`, or for its turn with the worker that leased it
    SENDING = "SENDING"  #: a worker checked it a last time and is talking to the mail server or the PSA
    SENT = "SENT"  #: the mail server accepted it; the push was written to a socket; the note is in the ticket
    DELIVERED = "DELIVERED"  #: the recipient's client confirmed it
    FAILED = "FAILED"  #: refused for good, or nobody confirmed it in time
    SKIPPED = "SKIPPED"  #: no longer wanted; `reason` says why


class SkipReason(StrEnum):
    """Why a delivery was not made."""

    PUSH_DELIVERED = "PUSH_DELIVERED"  #: the recipient's dashboard confirmed the push
    CLAIMED = "CLAIMED"  #: somebody claimed the handoff first
    RELEASED = "RELEASED"  #: the handoff went back to the queue; the new round tells it
    CLOSED = "CLOSED"  #: the session was resolved or handed off again first
    RECIPIENT_INACTIVE = "RECIPIENT_INACTIVE"  #: deactivated or deleted meanwhile
    ROLE_CHANGED = "ROLE_CHANGED"  #: no longer a responder
    OPTED_OUT = "OPTED_OUT"  #: the recipient turned this channel, or reminders, off
    SUPERSEDED = "SUPERSEDED"  #: a later round tells it again


class ReminderAudience(StrEnum):
    """Whom a reminder tells."""

    EVERYONE = "EVERYONE"  #: every responder, as the escalation did
    OWNERS_AND_ADMINS = "OWNERS_AND_ADMINS"


class PsaProvider(StrEnum):
    """The ticketing systems that notes can be put into."""

    CONNECTWISE = "CONNECTWISE"
    AUTOTASK = "AUTOTASK"
    HALOPSA = "HALOPSA"


class PsaStatus(StrEnum):
    """What is known of a PSA connection."""

    UNTESTED = "UNTESTED"  #: made, or given other credentials, and not used since
    WORKING = "WORKING"  #: the last test or note succeeded
    FAILING = "FAILING"  #: the PSA refused the last test or note, or could not be reached


class EventKind(StrEnum):
    """What happened in an account. The kinds are the vocabulary of timelines and subscriptions."""

    UNKNOWN = "UNKNOWN"  #: never stored: what a newer version of the service has stored

    @classmethod
    def _missing_(cls, value: object) -> "EventKind | None":
        """Read what a newer version has stored: the feed of an older process goes on past it."""
        return cls.UNKNOWN if isinstance(value, str) else None

    ACCOUNT_CREATED = "ACCOUNT_CREATED"
    TEAM_CREATED = "TEAM_CREATED"
    TEAM_CHANGED = "TEAM_CHANGED"
    USER_ADDED = "USER_ADDED"
    USER_CHANGED = "USER_CHANGED"
    USER_DEACTIVATED = "USER_DEACTIVATED"
    USER_REACTIVATED = "USER_REACTIVATED"
    USER_DELETED = "USER_DELETED"
    USER_SIGNED_OUT = "USER_SIGNED_OUT"
    API_KEY_CREATED = "API_KEY_CREATED"
    API_KEY_REVOKED = "API_KEY_REVOKED"
    SESSION_STARTED = "SESSION_STARTED"
    SESSION_UPDATED = "SESSION_UPDATED"
    MESSAGES_APPENDED = "MESSAGES_APPENDED"
    BRANCH_ADDED = "BRANCH_ADDED"
    BRANCH_UPDATED = "BRANCH_UPDATED"
    SESSION_RESOLVED = "SESSION_RESOLVED"
    HANDOFF_CREATED = "HANDOFF_CREATED"
    HANDOFF_CLAIMED = "HANDOFF_CLAIMED"
    HANDOFF_RELEASED = "HANDOFF_RELEASED"
    HANDOFF_CLOSED = "HANDOFF_CLOSED"
    HANDOFF_ACKNOWLEDGED = "HANDOFF_ACKNOWLEDGED"
    HANDOFF_ASSESSED = "HANDOFF_ASSESSED"
    ASSESSMENT_RATED = "ASSESSMENT_RATED"
    ESCALATION_REMINDED = "ESCALATION_REMINDED"
    ESCALATION_UNREACHED = "ESCALATION_UNREACHED"
    POLICY_UPDATED = "POLICY_UPDATED"
    PREFERENCES_UPDATED = "PREFERENCES_UPDATED"
    PSA_CONNECTION_CREATED = "PSA_CONNECTION_CREATED"
    PSA_CONNECTION_CHANGED = "PSA_CONNECTION_CHANGED"
    PSA_CONNECTION_DELETED = "PSA_CONNECTION_DELETED"
    PSA_NOTE_REQUESTED = "PSA_NOTE_REQUESTED"
    PSA_NOTE_PUSHED = "PSA_NOTE_PUSHED"
