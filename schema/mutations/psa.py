"""Notes in tickets, and the connections to the systems that hold them."""

from typing import Annotated

import strawberry

from resolvers import psa_connections, psa_notes
from resolvers.errors import Refusal
from schema.context import Info
from schema.ids import read_id
from schema.mutations.transaction import Argument, transaction
from schema.payloads import PushHandoffToPsaResult, PushHandoffToPsaSuccess, push_problem
from schema.permissions import admins, responders
from schema.psa_inputs import (
    CreatePsaConnectionInput,
    PsaConnectionInput,
    PushHandoffToPsaInput,
    RotatePsaCredentialsInput,
    SetPsaAutomaticInput,
)
from schema.psa_payloads import (
    DeletePsaConnectionPayload,
    PsaConnectionPayload,
    TestPsaConnectionPayload,
)
from schema.types.handoffs import Delivery
from schema.types.psa import PsaConnection

_FOR_ADMINS = "An unknown or foreign connection is NOT_FOUND. For owners and admins."
_One = Annotated[PsaConnectionInput, Argument]


@strawberry.type
class PsaMutations:
    """Push, connect, test, rotate, pause, delete."""

    @strawberry.mutation(
        description=(
            "Put a note about a handoff into its session's ticket: an internal one, which the customer never "
            "sees. A worker does it; `delivery` tells how it goes. Over a connection that has passed no test "
            "it waits, and `error` says so. Repeated, it answers the same delivery, and one that failed is "
            "tried again."
        ),
        extensions=responders(),
    )
    async def push_handoff_to_psa(
        self,
        info: Info,
        input: Annotated[PushHandoffToPsaInput, Argument],  # noqa: A002 (the contract's name)
    ) -> PushHandoffToPsaResult:
        """Ask for the note."""
        viewer = await info.context.viewer()
        try:
            async with transaction(info) as tx:
                note = await psa_notes.push(tx, viewer, read_id(input.handoff_id), now=info.context.now)
        except Refusal as refusal:
            return push_problem(refusal)
        return PushHandoffToPsaSuccess(delivery=Delivery.from_row(note))

    @strawberry.mutation(
        description=(
            "Connect a PSA. Test it next: no note goes before a test has succeeded. For owners and admins."
        ),
        extensions=admins(),
    )
    async def create_psa_connection(
        self,
        info: Info,
        input: Annotated[CreatePsaConnectionInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> PsaConnectionPayload:
        """Make a connection."""
        context, new = info.context, input.new()
        viewer = await context.viewer()
        async with transaction(info) as tx:
            row = await psa_connections.create(tx, context.services.psa, viewer, new, now=context.now)
        return PsaConnectionPayload.from_row(row)

    @strawberry.mutation(
        description=(
            "Try a connection now: its credentials, and that notes can be internal. Notes that wait for the "
            f"first success go then. {_FOR_ADMINS}"
        ),
        extensions=admins(),
    )
    async def test_psa_connection(self, info: Info, input: _One) -> TestPsaConnectionPayload:  # noqa: A002
        """Try a connection."""
        context = info.context
        viewer, services = await context.viewer(), context.services
        key = read_id(input.connection_id)
        found = await psa_connections.check(services.database, services.psa, viewer, key, now=context.now)
        return TestPsaConnectionPayload(
            psa_connection=PsaConnection.from_row(found.connection), works=found.works, message=found.message
        )

    @strawberry.mutation(
        description=f"Replace the credentials of a connection. What waits is tried with them. {_FOR_ADMINS}",
        extensions=admins(),
    )
    async def rotate_psa_credentials(
        self,
        info: Info,
        input: Annotated[RotatePsaCredentialsInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> PsaConnectionPayload:
        """Replace credentials."""
        context = info.context
        viewer, key = await context.viewer(), read_id(input.connection_id)
        async with transaction(info) as tx:
            row = await psa_connections.rotate(
                tx, context.services.psa, viewer, key, input.new, now=context.now
            )
        return PsaConnectionPayload.from_row(row)

    @strawberry.mutation(
        description=f"Send nothing over a connection; what is to be sent waits. {_FOR_ADMINS}",
        extensions=admins(),
    )
    async def pause_psa_connection(self, info: Info, input: _One) -> PsaConnectionPayload:  # noqa: A002
        """Pause a connection."""
        return await _set_paused(info, input, paused=True)

    @strawberry.mutation(
        description=f"Go on sending over a connection, at once. {_FOR_ADMINS}", extensions=admins()
    )
    async def resume_psa_connection(self, info: Info, input: _One) -> PsaConnectionPayload:  # noqa: A002
        """Resume a connection."""
        return await _set_paused(info, input, paused=False)

    @strawberry.mutation(
        description=f"Set whether each escalation gets a note over a connection. {_FOR_ADMINS}",
        extensions=admins(),
    )
    async def set_psa_automatic(
        self,
        info: Info,
        input: Annotated[SetPsaAutomaticInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> PsaConnectionPayload:
        """Set what happens at an escalation."""
        viewer, key = await info.context.viewer(), read_id(input.connection_id)
        async with transaction(info) as tx:
            row = await psa_connections.set_automatic(
                tx, viewer, key, automatic=input.automatic, now=info.context.now
            )
        return PsaConnectionPayload.from_row(row)

    @strawberry.mutation(
        description=(
            f"Delete a connection that no session or note uses; others are BAD_USER_INPUT. {_FOR_ADMINS}"
        ),
        extensions=admins(),
    )
    async def delete_psa_connection(self, info: Info, input: _One) -> DeletePsaConnectionPayload:  # noqa: A002
        """Delete a connection."""
        viewer, key = await info.context.viewer(), read_id(input.connection_id)
        async with transaction(info) as tx:
            row = await psa_connections.remove(tx, viewer, key, now=info.context.now)
        return DeletePsaConnectionPayload.from_row(row)


async def _set_paused(info: Info, given: PsaConnectionInput, *, paused: bool) -> PsaConnectionPayload:
    viewer, key = await info.context.viewer(), read_id(given.connection_id)
    async with transaction(info) as tx:
        row = await psa_connections.set_paused(tx, viewer, key, paused=paused, now=info.context.now)
    return PsaConnectionPayload.from_row(row)
