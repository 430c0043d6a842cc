"""Passing sessions on: each field maps the refusals of its resolver to the members of a union."""

from typing import Annotated

import strawberry

from resolvers import handing_off, handoffs
from resolvers.errors import Refusal
from schema.context import Info
from schema.ids import read_id, read_optional_id
from schema.inputs import (
    AcknowledgeEscalationInput,
    ClaimHandoffInput,
    CreateHandoffInput,
    ReleaseHandoffInput,
)
from schema.mutations.transaction import Argument, transaction
from schema.payloads import (
    AcknowledgeEscalationPayload,
    ClaimHandoffResult,
    ClaimHandoffSuccess,
    CreateHandoffResult,
    CreateHandoffSuccess,
    ReleaseHandoffResult,
    ReleaseHandoffSuccess,
    claim_problem,
    create_problem,
    release_problem,
)
from schema.permissions import responders
from schema.types.handoffs import Handoff
from schema.types.reach import Reach


@strawberry.type
class HandoffMutations:
    """Create, claim, release, acknowledge."""

    @strawberry.mutation(
        description=(
            "Park or escalate a session. The handoff is stored first, and whoever is to be told is told "
            "after that: no mail server and no broker can fail or delay it."
        ),
        extensions=responders(),
    )
    async def create_handoff(
        self,
        info: Info,
        input: Annotated[CreateHandoffInput, Argument],  # noqa: A002 (the contract's name)
    ) -> CreateHandoffResult:
        """Hand a session off."""
        context = info.context
        database, new, now = context.services.database, input.new(), context.now
        viewer = await context.viewer()
        try:
            foreseen = await handing_off.foresee(database, viewer, new, now=now)
            async with transaction(info) as tx:
                made = await handing_off.create(
                    tx,
                    viewer,
                    new,
                    now=now,
                    grace=context.services.push_grace,
                    assessment_wait=context.services.assessment_wait,
                    foreseen=foreseen,
                )
        except Refusal as refusal:
            return create_problem(refusal)
        return CreateHandoffSuccess(
            handoff=Handoff.from_row(made.handoff, made.session), reach=Reach.from_count(made.reach)
        )

    @strawberry.mutation(
        description=(
            "Take over an open handoff. Exactly one of any number who try gets it; the others learn who has "
            "it and since when. Repeated by the winner, it succeeds again."
        ),
        extensions=responders(),
    )
    async def claim_handoff(
        self,
        info: Info,
        input: Annotated[ClaimHandoffInput, Argument],  # noqa: A002 (the contract's name)
    ) -> ClaimHandoffResult:
        """Claim a handoff."""
        viewer = await info.context.viewer()
        try:
            async with transaction(info) as tx:
                claimed = await handoffs.claim(
                    tx, viewer, read_id(input.handoff_id), now=info.context.now, is_all=True
                )
        except Refusal as refusal:
            return claim_problem(refusal)
        return ClaimHandoffSuccess(handoff=Handoff.from_row(claimed.handoff, claimed.session))

    @strawberry.mutation(
        description=(
            "Put a handoff that you claimed back into the queue; owners and admins may do so with anybody's, "
            "and name in `claimedById` from whom they take it. An escalation is told again to every "
            "responder but you."
        ),
        extensions=responders(),
    )
    async def release_handoff(
        self,
        info: Info,
        input: Annotated[ReleaseHandoffInput, Argument],  # noqa: A002 (the contract's name)
    ) -> ReleaseHandoffResult:
        """Release a handoff."""
        context = info.context
        viewer = await context.viewer()
        try:
            async with transaction(info) as tx:
                handoff = await handoffs.release(
                    tx,
                    viewer,
                    read_id(input.handoff_id),
                    input.reason,
                    now=context.now,
                    grace=context.services.push_grace,
                    claimed_by_id=read_optional_id(input.claimed_by_id),
                )
        except Refusal as refusal:
            return release_problem(refusal)
        return ReleaseHandoffSuccess(handoff=Handoff.from_row(handoff))

    @strawberry.mutation(
        description=(
            "Tell that a person has seen an escalation. It is recorded once a round, and the mail that was "
            "still to be sent to them is skipped. Unknown or foreign: NOT_FOUND. Parked, which tells no one: "
            "BAD_USER_INPUT."
        ),
        extensions=responders(),
    )
    async def acknowledge_escalation(
        self,
        info: Info,
        input: Annotated[AcknowledgeEscalationInput, Argument],  # noqa: A002 (the contract's name)
    ) -> AcknowledgeEscalationPayload:
        """Acknowledge an escalation."""
        viewer = await info.context.viewer()
        async with transaction(info) as tx:
            handoff = await handoffs.acknowledge(tx, viewer, read_id(input.handoff_id), now=info.context.now)
        return AcknowledgeEscalationPayload(handoff=Handoff.from_row(handoff))
