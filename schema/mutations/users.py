"""Managing the people of an account."""

from typing import Annotated

import strawberry

from resolvers import people
from resolvers.errors import Refusal
from schema.context import Info
from schema.ids import read_id
from schema.mutations.transaction import Argument, transaction
from schema.people_inputs import AddUserInput, DeleteUserInput, UpdateUserInput
from schema.people_payloads import (
    AddUserResult,
    AddUserSuccess,
    DeleteUserResult,
    DeleteUserSuccess,
    UpdateUserResult,
    UpdateUserSuccess,
    add_problem,
    delete_problem,
    update_problem,
)
from schema.permissions import admins
from schema.types.people import User


@strawberry.type
class UserMutations:
    """Add, update, delete."""

    @strawberry.mutation(
        description=(
            "Add a person to your account. Nothing is mailed to them. To make an owner takes an owner. For "
            "owners and admins."
        ),
        extensions=admins(),
    )
    async def add_user(
        self,
        info: Info,
        input: Annotated[AddUserInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> AddUserResult:
        """Add a person."""
        viewer = await info.context.viewer()
        try:
            async with transaction(info) as tx:
                user = await people.add(tx, viewer, input.new(), now=info.context.now)
        except Refusal as refusal:
            return add_problem(refusal)
        return AddUserSuccess(user=User.from_row(user))

    @strawberry.mutation(
        description=(
            "Change a person's name, address or role, deactivate them, or bring them back. It counts at "
            "once: who is deactivated or becomes a viewer is told nothing more, and what they had claimed "
            "goes back into the queue. With a higher role, those of their API keys are revoked that somebody "
            "else made who could not make one for that role: whoever made a key may know its token. Nobody "
            "changes their own role or deactivates themselves; to change an owner takes an owner. An unknown "
            "or foreign user is NOT_FOUND. For owners and admins."
        ),
        extensions=admins(),
    )
    async def update_user(
        self,
        info: Info,
        input: Annotated[UpdateUserInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> UpdateUserResult:
        """Change a person."""
        context, changes = info.context, input.changes()
        viewer, user_id = await context.viewer(), read_id(input.user_id)
        grace = context.services.push_grace
        try:
            async with transaction(info) as tx:
                user = await people.change(tx, viewer, user_id, changes, now=context.now, grace=grace)
        except Refusal as refusal:
            return update_problem(refusal)
        return UpdateUserSuccess(user=User.from_row(user))

    @strawberry.mutation(
        description=(
            "Delete a person: they cannot sign in, are told nothing and stand in no list; history keeps "
            "their name, and their address stays theirs. What they had claimed goes back into the queue. "
            "Repeated, it changes nothing. Nobody deletes themselves; to delete an owner takes an owner. An "
            "unknown or foreign user is NOT_FOUND. For owners and admins."
        ),
        extensions=admins(),
    )
    async def delete_user(
        self,
        info: Info,
        input: Annotated[DeleteUserInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> DeleteUserResult:
        """Delete a person."""
        context = info.context
        viewer, user_id = await context.viewer(), read_id(input.user_id)
        grace = context.services.push_grace
        try:
            async with transaction(info) as tx:
                user = await people.delete(tx, viewer, user_id, now=context.now, grace=grace)
        except Refusal as refusal:
            return delete_problem(refusal)
        return DeleteUserSuccess(user=User.from_row(user))
