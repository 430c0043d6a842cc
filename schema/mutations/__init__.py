"""The root fields that write. Each opens the one transaction of its request."""

import strawberry

from schema.mutations.handoffs import HandoffMutations
from schema.mutations.policies import PolicyMutations
from schema.mutations.sessions import SessionMutations


@strawberry.type(
    description="What can be changed. All but one's own preferences needs an owner, admin or engineer."
)
class Mutation(HandoffMutations, SessionMutations, PolicyMutations):
    """The mutations."""
