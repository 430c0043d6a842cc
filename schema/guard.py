"""Around every mutation: how often it may be tried, and a record of those that are refused."""

from typing import Any

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.extensions.field_extension import AsyncExtensionResolver

from db.audit_log import Refused
from schema.context import Context
from schema.errors import code_of


class Guard(FieldExtension):
    """Outermost of a mutation's extensions, so that it sees what its permission refuses too."""

    async def resolve_async(
        self,
        next_: AsyncExtensionResolver,
        source: Any,  # noqa: ANN401
        info: strawberry.Info,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 (whatever the mutation answers)
        """Count the attempt, run the mutation, and keep a record where it is refused."""
        context: Context = info.context
        try:
            await context.count("mutation")
            answer = await next_(source, info, **kwargs)
        except Exception as error:  # refused or failed: it changed nothing, and is known by its record
            if (code := code_of(error)) != "OUTCOME_UNKNOWN":  # which may have left its event
                await note(context, info.field_name, code)
            raise
        if hasattr(answer, "message"):  # a Problem: the unions hold successes without one
            await note(context, info.field_name, type(answer).__name__)
        return answer


async def note(context: Context, operation: str, outcome: str) -> None:
    """Keep a record of a mutation that was refused, unless its sender has left too many."""
    if not await _may_leave_a_record(context, outcome):
        return
    known = context.known_viewer
    context.services.refusals.note(
        Refused(
            account_id=None if known is None else known.account_id,
            user_id=None if known is None else known.id,
            at=context.now,
            address=context.address,
            operation=operation,
            outcome=outcome,
        )
    )


async def _may_leave_a_record(context: Context, outcome: str) -> bool:
    """Count what nothing else limits: what strangers try, and what is refused for its number."""
    limits, known = context.services.rate_limits, context.known_viewer
    if known is None:
        return await limits.hit_address("refused", context.address) is None
    return outcome != "RATE_LIMITED" or await limits.hit("refused", known.account_id, known.id) is None
