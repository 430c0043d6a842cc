"""What every mutation does: one argument, one transaction."""

from contextlib import AbstractAsyncContextManager

import strawberry

from db.session import Transaction
from schema.context import Info

Argument = strawberry.argument(description="The one argument.")


def transaction(info: Info) -> AbstractAsyncContextManager[Transaction]:
    """Open the one transaction of a request, in the account of its caller."""
    return info.context.services.database.transaction(info.context.account_id)
