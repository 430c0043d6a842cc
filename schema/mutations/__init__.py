"""The root fields that write. Each opens the one transaction of its request."""

import strawberry

from schema.guard import Guard
from schema.mutations.api_keys import ApiKeyMutations
from schema.mutations.assessments import AssessmentMutations
from schema.mutations.handoffs import HandoffMutations
from schema.mutations.policies import PolicyMutations
from schema.mutations.psa import PsaMutations
from schema.mutations.sessions import SessionMutations
from schema.mutations.teams import TeamMutations
from schema.mutations.users import UserMutations


@strawberry.type(
    description="What can be changed. All but one's own preferences needs an owner, admin or engineer."
)
class Mutation(
    HandoffMutations,
    AssessmentMutations,
    SessionMutations,
    PolicyMutations,
    UserMutations,
    TeamMutations,
    ApiKeyMutations,
    PsaMutations,
):
    """The mutations."""


# Here and not at each field, so that no mutation can be without it. The last is the outermost.
for _field in Mutation.__strawberry_definition__.fields:  # type: ignore[attr-defined]  # set by Strawberry
    _field.extensions = [*_field.extensions, Guard()]
