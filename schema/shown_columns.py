"""Which columns the fields of the queue's types show, and how, for `schema/selections.py`.

What is not here is left to graphql-core. A field that is here must show what its type's class does.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shown:
    """A field that shows columns of its object."""

    columns: tuple[str, ...]
    source: str = "{}"  #: a Python expression of the columns' values, as the driver makes them


@dataclass(frozen=True, slots=True)
class Related:
    """A field that shows the object that another refers to."""

    step: str  #: in a path, see `db/queue.py`
    type_name: str
    is_nullable: bool = False


def _same(*columns: str) -> dict[str, Shown]:
    """Show columns as they are, under the names that the API has for them."""
    return {_camel(column): Shown((column,)) for column in columns}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


_ID = {"id": Shown(("id",), "str({})")}
FIELDS: dict[str, Mapping[str, Shown | Related]] = {
    "Handoff": {
        **_ID,
        **_same("intent", "state", "notes", "created_at", "claimed_at", "psa_note_id"),
        "priority": Shown(("priority",), "PRIORITIES[{}]"),
        "psaNotePushed": Shown(("psa_note_id",), "{} is not None"),
        "session": Related("session", "Session"),
        "sourceBranch": Related("source_branch", "SessionBranch", is_nullable=True),
        "handedOffBy": Related("handed_off_by", "User"),
        "claimedBy": Related("claimed_by", "User", is_nullable=True),
    },
    "Session": {
        **_ID,
        **_same(
            "status", "problem_summary", "problem_domain", "step_count", "confidence_tier", "handoff_count"
        ),
        **_same("psa_ticket_id", "actual_cause", "created_at", "resolved_at"),
        "branching": Shown(("active_branch_id",), "{} is not None"),
        "psaConnectionId": Shown(("psa_connection_id",), "None if {0} is None else str({0})"),
        "owner": Related("owner", "User"),
        "team": Related("team", "Team", is_nullable=True),
        "activeBranch": Related("active_branch", "SessionBranch", is_nullable=True),
        "escalatedTo": Related("escalated_to", "User", is_nullable=True),
    },
    "SessionBranch": {
        **_ID,
        **_same("label", "status", "status_reason", "order"),
        "parentBranch": Related("parent_branch", "SessionBranch", is_nullable=True),
    },
    "User": {
        **_ID,
        **_same("name", "email", "role"),
        "active": Shown(("active", "deleted_at"), "{} and {} is None"),
    },
    "Team": {**_ID, **_same("name")},
}
