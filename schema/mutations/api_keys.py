"""Making and revoking API keys."""

from typing import Annotated

import strawberry

from resolvers import api_keys
from schema.context import Info
from schema.ids import read_id, read_optional_id
from schema.inputs import CreateApiKeyInput, RevokeApiKeyInput
from schema.mutations.transaction import Argument, transaction
from schema.payloads import CreateApiKeyPayload, RevokeApiKeyPayload
from schema.permissions import admins
from schema.types.api_keys import ApiKey


@strawberry.type
class ApiKeyMutations:
    """Make, revoke."""

    @strawberry.mutation(
        description=(
            "Make an API key. The answer holds the only copy of its token. To make an owner's takes an "
            "owner; one that you make for somebody else is revoked when they get a role for which you could "
            "not make it. An unknown or foreign user is NOT_FOUND. For owners and admins."
        ),
        extensions=admins(),
    )
    async def create_api_key(
        self,
        info: Info,
        input: Annotated[CreateApiKeyInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> CreateApiKeyPayload:
        """Make a key."""
        caller = await info.context.caller()
        async with transaction(info) as tx:
            made = await api_keys.create_as_admin(
                tx,
                caller.user,
                read_optional_id(input.user_id),
                input.name,
                input.scope,
                now=info.context.now,
                signed_in_with=caller.key,
            )
        return CreateApiKeyPayload(api_key=ApiKey.from_row(made.key), token=made.token)

    @strawberry.mutation(
        description=(
            "Refuse an API key from now on; what runs with it ends within seconds. Repeated, it changes "
            "nothing. An unknown or foreign key is NOT_FOUND. For owners and admins."
        ),
        extensions=admins(),
    )
    async def revoke_api_key(
        self,
        info: Info,
        input: Annotated[RevokeApiKeyInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> RevokeApiKeyPayload:
        """Revoke a key."""
        viewer = await info.context.viewer()
        async with transaction(info) as tx:
            key = await api_keys.revoke_as_admin(tx, viewer, read_id(input.key_id), now=info.context.now)
        return RevokeApiKeyPayload(api_key=ApiKey.from_row(key))
