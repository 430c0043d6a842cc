"""What a session consists of: messages and branches, as they are and as a snapshot kept them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

from db.enums import ConfidenceTier, MessageRole, SessionStatus
from db.session_messages import MessageRow
from db.sessions import BranchRow
from schema.context import Info
from schema.ids import show_id
from schema.types.node import Node, present


@strawberry.type(description="One thing said in a session.")
class SessionMessage:
    """A message."""

    index: int = strawberry.field(description="Its place in the session: 0, 1, 2 …")
    role: MessageRole = strawberry.field(description="Who said it.")
    content: str = strawberry.field(description="What was said.")
    at: datetime = strawberry.field(description="When.")

    @classmethod
    def from_row(cls, row: MessageRow) -> SessionMessage:
        """Show a stored message."""
        return cls(index=row.index, role=row.role, content=row.content, at=row.at)


@strawberry.type(description="One line of investigation in a session.")
class SessionBranch(Node):
    """A branch."""

    label: str = strawberry.field(description="What is being investigated.")
    status: str = strawberry.field(
        description="Where it stands, in the words of the one who feeds the session."
    )
    status_reason: str | None = strawberry.field(description="Why it stands there; null if nobody said.")
    order: int = strawberry.field(description="0, 1, 2 … in the order of creation.")
    parent_id: strawberry.Private[UUID | None]

    @strawberry.field(description="The branch that it grew from; null for one that grew from the session.")
    async def parent_branch(self, info: Info) -> SessionBranch | None:
        """Load the parent."""
        return await load_branch(info, self.parent_id)

    @classmethod
    def from_row(cls, row: BranchRow) -> SessionBranch:
        """Show a stored branch."""
        return cls(
            id=show_id(row.id),
            label=row.label,
            status=row.status,
            status_reason=row.status_reason,
            order=row.order,
            parent_id=row.parent_branch_id,
        )


@strawberry.type(description="A branch as it stood at the moment of handoff.")
class BranchSnapshot:
    """A branch in a snapshot."""

    id: strawberry.ID = strawberry.field(description="The branch's id.")
    label: str = strawberry.field(description="What was being investigated.")
    status: str = strawberry.field(description="Where it stood.")
    status_reason: str | None = strawberry.field(description="Why it stood there; null if nobody said.")
    parent_branch_id: strawberry.ID | None = strawberry.field(
        description="The branch that it grew from; null for one that grew from the session."
    )


@strawberry.type(description="The session as it stood at the moment of handoff. It never changes.")
class SessionSnapshot:
    """A snapshot."""

    problem_summary: str | None = strawberry.field(description="The problem in one sentence.")
    problem_domain: str | None = strawberry.field(description="The field.")
    status: SessionStatus = strawberry.field(description="Where the session stood just before the handoff.")
    step_count: int = strawberry.field(description="How many steps had been taken.")
    confidence_tier: ConfidenceTier | None = strawberry.field(description="How sure they were.")
    branches: list[BranchSnapshot] = strawberry.field(
        description="Every branch in order; empty unless the session was branching."
    )
    active_branch_id: strawberry.ID | None = strawberry.field(
        description="The branch that was being worked on; null unless the session was branching."
    )

    @classmethod
    def from_stored(cls, stored: dict[str, object]) -> SessionSnapshot:
        """Show a snapshot as `resolvers/snapshots.py` stored it."""
        values = dict(stored)
        branches = values.pop("branch_map")
        values["status"] = SessionStatus(str(values["status"]))
        tier = values["confidence_tier"]
        values["confidence_tier"] = None if tier is None else ConfidenceTier(str(tier))
        shown = [BranchSnapshot(**branch) for branch in branches]  # type: ignore[attr-defined]  # a stored list
        return cls(branches=shown, **values)  # type: ignore[arg-type]  # the keys are those of `take`


async def load_branch(info: Info, branch_id: UUID | None) -> SessionBranch | None:
    """Load a branch, None for none."""
    if branch_id is None:
        return None
    return SessionBranch.from_row(present(await info.context.loaders.branches.load(branch_id)))
