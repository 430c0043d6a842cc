"""The closed sets of `db/enums.py` as GraphQL enums, with a description for every value."""

from enum import Enum
from typing import TypeVar

import strawberry

from db.enums import (
    ApiKeyScope,
    AssessmentStatus,
    Channel,
    ConfidenceTier,
    DeliveryKind,
    DeliveryStatus,
    HandoffIntent,
    HandoffPriority,
    HandoffState,
    MessageRole,
    PsaProvider,
    PsaStatus,
    ReminderAudience,
    Role,
    SessionStatus,
    SkipReason,
    Verdict,
)
from db.queue import QueueOrder
from db.statistics import StatsDimension

E = TypeVar("E", bound=Enum)


class QueueChangeKind(Enum):
    """What changed in the live queue."""

    ADDED = "ADDED"
    UPDATED = "UPDATED"
    ASSESSED = "ASSESSED"
    CLAIMED = "CLAIMED"
    RELEASED = "RELEASED"
    CLOSED = "CLOSED"


def _show(members: type[E], description: str, **values: str) -> None:
    """Make the enum known to the schema; `values` describe each member by name."""
    shown = strawberry.enum(members, description=description)
    for value in shown.__strawberry_definition__.values:  # type: ignore[attr-defined]  # set by Strawberry
        value.description = values[value.name]


_show(
    Role,
    "What a user may do in their account.",
    OWNER="Everything, and cannot be removed by an admin.",
    ADMIN="Manages users and policies, and does all that an engineer does.",
    ENGINEER="Creates, claims and releases handoffs, and is told of escalations.",
    VIEWER="Reads, and nothing else. Is never told of escalations.",
)
_show(
    ApiKeyScope,
    "What an API key may be used for, at most. The role of its user limits it further.",
    INGEST=(
        "Feeding sessions in: `me`, `session`, and the mutations that start, change and resolve sessions. A "
        "session may be started for any owner, admin or engineer. It "
        "reads any session of the account with its messages and branches, and the names and roles of its "
        "people. `Session.handoffs`, `Session.escalationPackage` and `User.email` are FORBIDDEN. "
        "Not for viewers."
    ),
    FULL="Whatever its user may do.",
)
_show(
    SessionStatus,
    "Where a troubleshooting session stands.",
    ACTIVE="Somebody is working on it.",
    PAUSED="Parked: it waits in the queue for anyone who has the time.",
    ESCALATED="Escalated: the responders of the account are being told.",
    RESOLVED="Finished. Nothing changes it any more.",
)
_show(
    ConfidenceTier,
    "How sure the author of a statement is.",
    LOW="A guess.",
    MEDIUM="Likely.",
    HIGH="Well founded.",
)
_show(
    MessageRole,
    "Who speaks.",
    USER="The engineer.",
    ASSISTANT="The AI assistant.",
    SYSTEM="The tool around them.",
)
_show(
    HandoffIntent,
    "Why a session is passed on.",
    PARK="Keep it for later. It stands in the queue; nobody is told.",
    ESCALATE="Somebody has to take over. Every responder but the one who escalates is told.",
)
_show(
    HandoffPriority,
    "How urgent a handoff is.",
    LOW="Can wait for days.",
    NORMAL="Today.",
    HIGH="Next.",
    URGENT="Now.",
)
_show(
    HandoffState,
    "The life of a handoff.",
    OPEN="In the queue: anyone may claim it.",
    CLAIMED="Exactly one responder has it.",
    CLOSED="Its session was resolved, or handed off again.",
)
_show(
    Channel,
    "How a delivery travels.",
    PUSH="The `escalationCreated` subscription on a live dashboard.",
    EMAIL="A mail to the recipient's address.",
    PSA_NOTE="An internal note in the session's ticket. It has no recipient.",
)
_show(
    DeliveryStatus,
    "Where a delivery stands. It says only what is known: sent is not delivered.",
    PENDING="Waits until it is due.",
    SENDING="A worker is talking to the mail server or the PSA.",
    SENT="The mail server accepted it, the push was written to a socket, or the note is in the ticket.",
    DELIVERED="The recipient's client confirmed it.",
    FAILED="Refused for good, or not confirmed in time. `error` says more.",
    SKIPPED="Not wanted any more. `reason` says why.",
)
_show(
    SkipReason,
    "Why a delivery was not made.",
    PUSH_DELIVERED="The recipient's dashboard confirmed the push, so no mail was needed.",
    CLAIMED="Somebody claimed the handoff first.",
    RELEASED="The handoff went back to the queue; the new round tells it.",
    CLOSED="The session was resolved or handed off again first.",
    RECIPIENT_INACTIVE="The recipient was deactivated or deleted meanwhile.",
    ROLE_CHANGED="The recipient is no responder any more.",
    OPTED_OUT="The recipient turned this channel, or reminders, off.",
    SUPERSEDED="A later round tells it again.",
)
_show(
    DeliveryKind,
    "What a delivery tells.",
    ESCALATION="A session was escalated, or an escalated one came back to the queue.",
    REMINDER="Nobody has claimed it yet.",
    CLAIMED="To the one who escalated: somebody has it.",
    UNREACHED="To the one who escalated: nobody could be told.",
    PSA_NOTE="To the ticket: what the session knows.",
)
_show(
    PsaProvider,
    "The ticketing systems that notes can be put into.",
    CONNECTWISE="ConnectWise PSA (Manage).",
    AUTOTASK="Autotask PSA.",
    HALOPSA="HaloPSA.",
)
_show(
    PsaStatus,
    "What is known of a PSA connection.",
    UNTESTED="Not used since it was made or given other credentials.",
    WORKING="The last test or note succeeded.",
    FAILING="The PSA refused the last test or note, or could not be reached. `lastError` says more.",
)
_show(
    ReminderAudience,
    "Whom reminders tell.",
    EVERYONE="Every responder but the one who escalated.",
    OWNERS_AND_ADMINS="The owners and admins but the one who escalated.",
)
_show(
    QueueOrder,
    "In which order the queue is read.",
    NEWEST_FIRST="The latest handoff first.",
    OLDEST_FIRST="The one that waits longest first.",
    PRIORITY_FIRST="The most urgent first, and among equals the one that waits longest.",
)
_show(
    AssessmentStatus,
    "Where the assessment of a handoff stands.",
    NOT_REQUESTED="The session was parked, or this service makes no assessments.",
    PENDING="It is being made. Nothing waits for it.",
    READY="It can be read.",
    FAILED="None could be made; `error` says why.",
)
_show(
    Verdict,
    "What came of an assessment.",
    CORRECT="The likely cause was the cause.",
    PARTLY="It pointed the right way.",
    WRONG="It was something else.",
)
_show(
    StatsDimension,
    "By what escalations are told apart in statistics, each as it was when the escalation was made.",
    DOMAIN="The domain of the problem.",
    TEAM="The session's team, by its id.",
    PRIORITY="The priority.",
    ENGINEER="Who escalated, by their id.",
    CLAIMER="Who claimed it first, by their id; null for those that nobody has claimed yet.",
)
_show(
    QueueChangeKind,
    "What changed in the queue.",
    ADDED="A session was parked or escalated.",
    UPDATED="The session of a waiting handoff changed.",
    ASSESSED="Its assessment is ready, or none can be made.",
    CLAIMED="Somebody took it: it left the queue.",
    RELEASED="It came back: released, its claim expired, or who had it may not go on.",
    CLOSED="Its session was resolved, or handed off again.",
)
