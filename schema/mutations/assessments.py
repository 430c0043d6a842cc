"""What came of assessments."""

from typing import Annotated

import strawberry

from resolvers import assessments
from resolvers.errors import Refusal
from schema.context import Info
from schema.ids import read_id
from schema.inputs import RateAssessmentInput
from schema.mutations.transaction import Argument, transaction
from schema.payloads import RateAssessmentResult, RateAssessmentSuccess, rate_problem
from schema.permissions import responders
from schema.types.handoffs import Handoff


@strawberry.type
class AssessmentMutations:
    """Rate."""

    @strawberry.mutation(
        description=(
            "Say what came of the assessment of a handoff that you claimed, while you have it or after its "
            "session was resolved. A later verdict takes the place of the one before."
        ),
        extensions=responders(),
    )
    async def rate_assessment(
        self,
        info: Info,
        input: Annotated[RateAssessmentInput, Argument],  # noqa: A002 (the contract's name)
    ) -> RateAssessmentResult:
        """Rate an assessment."""
        viewer = await info.context.viewer()
        try:
            async with transaction(info) as tx:
                handoff = await assessments.rate(
                    tx, viewer, read_id(input.handoff_id), input.verdict, now=info.context.now
                )
        except Refusal as refusal:
            return rate_problem(refusal)
        return RateAssessmentSuccess(handoff=Handoff.from_row(handoff))
