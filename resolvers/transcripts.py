"""Reading sessions that others wrote: records of an export, and chats in the form of OpenAI's messages.

Both come to the same: a `Transcript`, all of whose texts and times can be stored.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from db.enums import ConfidenceTier, MessageRole, SessionStatus
from resolvers.errors import BadInput
from resolvers.inputs import (
    MAX_BRANCHES,
    MAX_LABEL,
    MAX_MESSAGE,
    MAX_REASON,
    MAX_SUMMARY,
    clean_optional_text,
    clean_past,
    clean_steps,
    clean_text,
    is_blank,
)

#: Types of the records of an export that are no sessions.
_OTHER_RECORDS = {"export", "team", "user", "handoff", "event", "delivery", "attempt", "end"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of investigation of a transcript."""

    id: UUID  #: within the transcript; it is stored with another
    label: str
    status: str
    status_reason: str | None
    parent_id: UUID | None  #: a line that stands before this one


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A session as it was read."""

    source: str  #: the same whenever the same is read: an id, else a digest of the content
    exported_id: UUID | None  #: of the session that was exported; None for a chat
    problem_summary: str | None
    problem_domain: str | None
    team: str | None  #: its name
    step_count: int
    confidence_tier: ConfidenceTier | None
    psa_ticket_id: str | None
    actual_cause: str | None
    created_at: datetime
    resolved_at: datetime | None  #: None: it is not resolved
    messages: Sequence[tuple[MessageRole, str, datetime]]
    branches: Sequence[Line] = ()
    active_branch_id: UUID | None = None


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=False)


class _Message(_Read):
    role: MessageRole
    content: str
    at: AwareDatetime


class _Branch(_Read):
    id: UUID
    label: str
    status: str
    status_reason: str | None = None
    parent_branch_id: UUID | None = None


class _Session(_Read):
    """A record of the type `session`."""

    id: UUID
    status: SessionStatus
    problem_summary: str | None = None
    problem_domain: str | None = None
    team: str | None = None
    step_count: int = 0
    confidence_tier: ConfidenceTier | None = None
    active_branch_id: UUID | None = None
    psa_ticket_id: str | None = None
    actual_cause: str | None = None
    created_at: AwareDatetime
    resolved_at: AwareDatetime | None = None
    branches: list[_Branch] = []
    messages: list[_Message] = []


class _Part(_Read):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Function(_Read):
    name: str
    arguments: str = ""


class _ToolCall(_Read):
    function: _Function | None = None
    custom: dict[str, Any] | None = None


class _ChatMessage(_Read):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Chat(_Read):
    """OpenAI's form of a conversation, and what else it may say of itself."""

    messages: Annotated[list[_ChatMessage], Field(min_length=1)]
    problem_summary: str | None = None
    problem_domain: str | None = None
    psa_ticket_id: str | None = None
    created_at: AwareDatetime | None = None


_SPEAKERS = {"user": MessageRole.USER, "assistant": MessageRole.ASSISTANT}


def read(record: object, *, now: datetime) -> Transcript | None:
    """Return the session that a record holds, None for a record of an export that is no session.

    Raises:
        BadInput: it cannot be read, or holds what cannot be stored. The sentence names the place.
    """
    if not isinstance(record, dict):
        raise BadInput("it is no JSON object.")
    try:
        if "type" not in record and "messages" in record:
            return _from_chat(_Chat.model_validate(record), _digest(record), now=now)
        if record.get("type") == "session":
            return _from_session(_Session.model_validate(record), now=now)
    except ValidationError as error:
        raise BadInput(_explain(error)) from None
    if record.get("type") in _OTHER_RECORDS:
        return None
    raise BadInput('it is neither a record of an export nor a chat with "messages".')


def _from_session(read: _Session, *, now: datetime) -> Transcript:
    if (read.status == SessionStatus.RESOLVED) != (read.resolved_at is not None):
        raise BadInput("status and resolved_at do not agree.")
    branches = [
        Line(
            id=branch.id,
            label=clean_text("label", branch.label, MAX_LABEL),
            status=clean_text("status", branch.status, MAX_LABEL),
            status_reason=clean_optional_text("status_reason", branch.status_reason, MAX_REASON),
            parent_id=branch.parent_branch_id,
        )
        for branch in read.branches
    ]
    _check_branches(branches, read.active_branch_id)
    created_at = clean_past("created_at", read.created_at, now=now)
    return Transcript(
        source=f"session:{read.id}",
        exported_id=read.id,
        problem_summary=clean_optional_text("problem_summary", read.problem_summary, MAX_SUMMARY),
        problem_domain=clean_optional_text("problem_domain", read.problem_domain, MAX_LABEL),
        team=read.team,
        step_count=clean_steps(read.step_count),
        confidence_tier=read.confidence_tier,
        psa_ticket_id=clean_optional_text("psa_ticket_id", read.psa_ticket_id, MAX_LABEL),
        actual_cause=clean_optional_text("actual_cause", read.actual_cause, MAX_REASON),
        created_at=created_at,
        resolved_at=None
        if read.resolved_at is None
        else clean_past("resolved_at", read.resolved_at, now=now),
        messages=[
            (
                message.role,
                clean_text("content", message.content, MAX_MESSAGE),
                clean_past("at", message.at, now=now),
            )
            for message in read.messages
        ],
        branches=branches,
        active_branch_id=read.active_branch_id,
    )


def _check_branches(branches: Sequence[Line], active_id: UUID | None) -> None:
    if len(branches) > MAX_BRANCHES:
        raise BadInput(f"branches holds {len(branches)}; a session has at most {MAX_BRANCHES}.")
    known: set[UUID] = set()
    for branch in branches:
        if branch.id in known:
            raise BadInput("two branches have one id.")
        if branch.parent_id is not None and branch.parent_id not in known:
            raise BadInput("parent_branch_id is not a branch that stands before.")
        known.add(branch.id)
    if active_id is not None and active_id not in known:
        raise BadInput("active_branch_id is not a branch of this session.")


def _from_chat(chat: _Chat, digest: str, *, now: datetime) -> Transcript:
    said = [(message, _said(message)) for message in chat.messages]
    at = now if chat.created_at is None else clean_past("created_at", chat.created_at, now=now)
    messages = [
        (_SPEAKERS.get(message.role, MessageRole.SYSTEM), clean_text("content", text, MAX_MESSAGE), at)
        for message, text in said
        if not is_blank(text)
    ]
    if not messages:
        raise BadInput("messages hold no text.")
    return Transcript(
        source=f"sha256:{digest}",
        exported_id=None,
        problem_summary=clean_optional_text("problem_summary", chat.problem_summary, MAX_SUMMARY)
        or _first_words(messages),
        problem_domain=clean_optional_text("problem_domain", chat.problem_domain, MAX_LABEL),
        team=None,
        step_count=0,
        confidence_tier=None,
        psa_ticket_id=clean_optional_text("psa_ticket_id", chat.psa_ticket_id, MAX_LABEL),
        actual_cause=None,
        created_at=at,
        resolved_at=None,
        messages=messages,
    )


def _said(message: _ChatMessage) -> str:
    """Return all that a message says as text. What is no text, like an image, is named."""
    if isinstance(message.content, list):
        said = [part.text or part.refusal or f"[{part.type}]" for part in message.content]
    else:
        said = [message.content or ""]
    said += [message.refusal or ""]
    functions = [call.function for call in message.tool_calls or ()] + [message.function_call]
    said += [f"calls {function.name}({function.arguments})" for function in functions if function is not None]
    said += [f"calls {call.custom.get('name')}" for call in message.tool_calls or () if call.custom]
    return "\n".join(text for text in said if text)


def _first_words(messages: Sequence[tuple[MessageRole, str, datetime]]) -> str:
    """Return the first line that the engineer wrote, else the first of all, as the problem in a sentence."""
    by_engineer = (text for role, text, _ in messages if role == MessageRole.USER)
    lines = next(by_engineer, messages[0][1]).splitlines()
    line = next(line for line in lines if not is_blank(line)).strip()
    return line if len(line) <= MAX_SUMMARY else f"{line[: MAX_SUMMARY - 1]}…"


def _digest(record: dict[str, Any]) -> str:
    """Return a digest that does not depend on the order of keys, spaces, or how characters are escaped."""
    try:
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise BadInput("it is nested too deeply.") from None
    return hashlib.sha256(text.encode()).hexdigest()


def _explain(error: ValidationError) -> str:
    """Return what is wrong first, and where."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}."
