"""The sessions with known answers: what is given to an assessor, and what is expected of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from assist.port import Case, CaseBranch, CaseMessage
from db.enums import MessageRole

SETS = ("tuning", "held-out")
_FILES = Path(__file__).parent / "sessions"
_BEGUN = datetime(2026, 11, 20, 8, tzinfo=UTC)
#: An index of a message or the key of a branch.
Place = int | str


@dataclass(frozen=True, slots=True)
class Expected:
    """A statement that is true of a session: words that it must hold, and where the session says so."""

    phrases: tuple[tuple[str, ...], ...]  #: of each group one must occur
    evidence: tuple[tuple[Place, ...], ...]  #: of each group one must be cited
    may_cite: frozenset[Place]  #: right as well, and not asked for
    outcomes: frozenset[str]  #: of a step: `positive`, `negative` or `open`, whichever count as right

    def is_said_by(self, text: str) -> bool:
        """Tell whether the text says it, by its words."""
        return all(any(holds(text, word) for word in group) for group in self.phrases)


@dataclass(frozen=True, slots=True)
class Trap:
    """What must not be said: see docs/assessment.md for the kinds."""

    kind: str
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """One session, and the truth about it."""

    name: str
    kept: str  #: one of SETS
    case: Case
    branch_ids: dict[UUID, str]
    cause: Expected | None
    tried: tuple[Expected, ...]
    also_tried: tuple[Expected, ...]  #: true as well, and not missed where left out
    traps: tuple[Trap, ...]


def load() -> tuple[Session, ...]:
    """Return all sessions in the order of their names."""
    return tuple(
        _session(json.loads(file.read_text(encoding="utf-8"))) for file in sorted(_FILES.glob("*.json"))
    )


def holds(text: str, words: str) -> bool:
    """Tell whether the words occur in the text, whatever the case and the white space."""
    return " ".join(words.lower().split()) in " ".join(text.lower().split())


def _session(given: dict[str, Any]) -> Session:
    name, expected = given["name"], given["expected"]
    ids = {branch["key"]: uuid5(NAMESPACE_URL, f"{name}/{branch['key']}") for branch in given["branches"]}
    return Session(
        name=name,
        kept=given["set"],
        case=Case(
            problem=given["problem"],
            domain=given["domain"],
            notes=given["notes"],
            branches=tuple(_branches(given, ids)),
            messages=tuple(_messages(given)),
        ),
        branch_ids={branch_id: key for key, branch_id in ids.items()},
        cause=_expected(expected["cause"]) if expected["cause"] else None,
        tried=tuple(map(_expected, expected["tried"])),
        also_tried=tuple(map(_expected, expected["also_tried"])),
        traps=tuple(Trap(trap["kind"], tuple(trap["phrases"])) for trap in given["traps"]),
    )


def _branches(given: dict[str, Any], ids: dict[str, UUID]) -> Iterator[CaseBranch]:
    for branch in given["branches"]:
        yield CaseBranch(
            id=ids[branch["key"]],
            label=branch["label"],
            status=branch["status"],
            status_reason=branch["status_reason"],
            parent_id=ids.get(branch["parent"]),
            is_active=branch["key"] == given["active_branch"],
        )


def _messages(given: dict[str, Any]) -> Iterator[CaseMessage]:
    for index, message in enumerate(given["messages"], given["first_index"]):
        at = _BEGUN + timedelta(minutes=5 * index)
        yield CaseMessage(index=index, role=MessageRole(message["role"]), content=message["content"], at=at)


def _expected(given: dict[str, Any]) -> Expected:
    return Expected(
        phrases=tuple(map(tuple, given["phrases"])),
        evidence=tuple(map(tuple, given["evidence"])),
        may_cite=frozenset(given["may_cite"]),
        outcomes=frozenset(given.get("outcome", ())),
    )
