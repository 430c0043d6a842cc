"""What language models may cost an account in a day, counted in the database for all workers together."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Protocol
from uuid import UUID

from assist.fallback import AssessorUnavailable
from db import assessor_usage
from db.assessor_usage import Usage
from db.errors import DATABASE_FAULTS
from db.session import Database

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a million tokens cost, in units of the operator's currency."""

    input: Decimal
    output: Decimal

    def micros(self, input_tokens: int, output_tokens: int) -> int:
        """Return the cost in millionths of a unit: a price per million tokens is one of micros per token."""
        cost = self.input * input_tokens + self.output * output_tokens
        return int(cost.to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyLimits:
    """What an account may use from midnight to midnight, UTC. None: as much as it likes."""

    tokens: int | None = None  #: input and output together
    cost_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a request may use, counted before it is sent."""

    day: date
    usage: Usage


class Budget(Protocol):
    """Who must agree before a request is sent."""

    async def reserve(self, input_tokens: int, output_tokens: int) -> Reservation:
        """Count a request that may use so much.

        Raises:
            AssessorUnavailable: that would be too much for today. Nothing is counted.
        """

    async def settle(self, reservation: Reservation, input_tokens: int, output_tokens: int) -> None:
        """Correct the count to what the request did use."""


class AccountBudget:
    """The budget of one account for one model. Limits hold for all models together."""

    def __init__(
        self,
        database: Database,
        account_id: UUID,
        model: str,
        *,
        limits: DailyLimits,
        price: Price,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._account_id = account_id
        self._model = model
        self._limits = limits
        self._price = price
        self._now = now

    async def reserve(self, input_tokens: int, output_tokens: int) -> Reservation:
        """Count a request that may use so much; see `Budget`."""
        wanted = Reservation(self._now().date(), self._usage(input_tokens, output_tokens, requests=1))
        async with self._database.transaction(self._account_id) as tx:
            used = await assessor_usage.lock_day(tx, wanted.day)
            _refuse_too_much(used + wanted.usage, self._limits)
            await assessor_usage.add(tx, wanted.day, self._model, wanted.usage)
        return wanted

    async def settle(self, reservation: Reservation, input_tokens: int, output_tokens: int) -> None:
        """Correct the count to what the request did use. While the database is away, it stays as reserved."""
        used = self._usage(input_tokens, output_tokens, requests=1)
        try:
            async with self._database.transaction(self._account_id) as tx:
                await assessor_usage.correct(tx, reservation.day, self._model, used - reservation.usage)
        except DATABASE_FAULTS:
            log.warning("usage not corrected", exc_info=True, extra={"account_id": str(self._account_id)})

    def _usage(self, input_tokens: int, output_tokens: int, *, requests: int) -> Usage:
        cost = self._price.micros(input_tokens, output_tokens)
        return Usage(requests, input_tokens, output_tokens, cost)


def _refuse_too_much(used: Usage, limits: DailyLimits) -> None:
    if limits.tokens is not None and used.input_tokens + used.output_tokens > limits.tokens:
        raise AssessorUnavailable("the day's tokens are used up")
    if limits.cost_micros is not None and used.cost_micros > limits.cost_micros:
        raise AssessorUnavailable("the day's money is used up")
