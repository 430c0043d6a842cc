"""What an account, and each of its people, decides about being told."""

from typing import Annotated

import strawberry

from resolvers import policies
from schema.context import Info
from schema.inputs import UpdateAccountPolicyInput, UpdateNotificationPreferencesInput
from schema.mutations.transaction import Argument, transaction
from schema.payloads import UpdateAccountPolicyPayload, UpdateNotificationPreferencesPayload
from schema.permissions import admins, signed_in
from schema.types.policies import AccountPolicy, NotificationPreferences


@strawberry.type
class PolicyMutations:
    """Policy and preferences."""

    @strawberry.mutation(
        description="Set what happens to an escalation that nobody claims. It counts at once.",
        extensions=admins(),
    )
    async def update_account_policy(
        self,
        info: Info,
        input: Annotated[UpdateAccountPolicyInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> UpdateAccountPolicyPayload:
        """Change the policy."""
        viewer = await info.context.viewer()
        async with transaction(info) as tx:
            policy = await policies.update_policy(tx, viewer, input.changes(), now=info.context.now)
        return UpdateAccountPolicyPayload(policy=AccountPolicy.from_stored(policy))

    @strawberry.mutation(
        description="Set how you want to be told. Only one channel can be turned off.", extensions=signed_in()
    )
    async def update_notification_preferences(
        self,
        info: Info,
        input: Annotated[UpdateNotificationPreferencesInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> UpdateNotificationPreferencesPayload:
        """Change the caller's preferences."""
        viewer = await info.context.viewer()
        async with transaction(info) as tx:
            user = await policies.update_preferences(tx, viewer, input.changes(), now=info.context.now)
        preferences = NotificationPreferences.from_row(user)
        return UpdateNotificationPreferencesPayload(preferences=preferences)
