"""What language models cost an account is counted before they are asked, and never more than it may cost."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from assist.budget import AccountBudget, DailyLimits, Price, Reservation
from assist.fallback import AssessorUnavailable
from assist.language_models import make_model
from assist.llm import LlmAssessor
from db import assessor_usage
from db.assessor_usage import Usage
from db.session import Database
from tests.cases import ANSWER, NONSENSE, make_case, take_out_secret
from tests.cast import Cast
from tests.servers.language_model import Hangs, HangsUp, LanguageModel, Reply, Status

NOW = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
TODAY = date(2026, 1, 31)
#: 0.40 and 1.60 for a million tokens.
PRICE = Price(input=Decimal("0.4"), output=Decimal("1.6"))


async def test_what_an_answer_took_is_counted(cast: Cast, language_model: LanguageModel) -> None:
    language_model.input_tokens, language_model.output_tokens = 901, 80

    await _assess(cast, language_model)

    assert await _used(cast) == Usage(1, 901, 80, 489)  # 360.4 + 128, rounded up


async def test_asking_again_is_counted_as_well(cast: Cast, language_model: LanguageModel) -> None:
    language_model.replies = [NONSENSE, ANSWER]

    await _assess(cast, language_model)

    assert await _used(cast) == Usage(2, 1800, 160, 976)


async def test_the_usage_of_each_model_has_a_row_of_its_own(cast: Cast) -> None:
    for model in ("small", "large", "small"):
        await _budget(cast.database, cast, model=model).reserve(100, 10)

    async with cast.database.reading(cast.account_id) as tx:
        rows = await tx.connection.execute(
            text("SELECT model, requests, input_tokens, output_tokens FROM assessor_usage ORDER BY model")
        )
        assert [tuple(row) for row in rows] == [("large", 1, 100, 10), ("small", 2, 200, 20)]


@pytest.mark.parametrize("reply", [Status(429), Status(500), Status(401)])
async def test_a_refused_request_costs_nothing(
    cast: Cast, language_model: LanguageModel, reply: Reply
) -> None:
    language_model.replies = [reply]

    with pytest.raises(AssessorUnavailable, match="refused"):
        await _assess(cast, language_model)

    assert await _used(cast) == Usage(1, 0, 0, 0)


async def test_a_request_that_reached_nobody_costs_nothing(cast: Cast, language_model: LanguageModel) -> None:
    language_model.stop()

    with pytest.raises(AssessorUnavailable, match="cannot be reached"):
        await _assess(cast, language_model)

    assert await _used(cast) == Usage(1, 0, 0, 0)


@pytest.mark.parametrize("reply", [Hangs(), HangsUp()])
async def test_a_request_whose_outcome_nobody_knows_costs_what_was_reserved(
    cast: Cast, language_model: LanguageModel, reply: Reply
) -> None:
    language_model.replies = [reply]

    with pytest.raises(AssessorUnavailable, match=r"timed out|broke the connection off"):
        await _assess(cast, language_model, seconds=0.5)

    used = await _used(cast)
    assert (used.requests, used.output_tokens) == (1, 4000)
    assert 500 < used.input_tokens < 6000


async def test_an_answer_that_counts_no_tokens_costs_what_was_reserved(
    cast: Cast, language_model: LanguageModel
) -> None:
    language_model.input_tokens = language_model.output_tokens = 0

    await _assess(cast, language_model)

    assert (await _used(cast)).output_tokens == 4000


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (DailyLimits(tokens=4500), "tokens are"),
        (DailyLimits(cost_micros=6000), "money is"),  # the answer alone may cost 6400
    ],
)
async def test_a_request_beyond_the_budget_is_never_sent(
    cast: Cast, language_model: LanguageModel, limits: DailyLimits, reason: str
) -> None:
    with pytest.raises(AssessorUnavailable, match=f"^the day's {reason} used up$"):
        await _assess(cast, language_model, limits=limits)

    assert language_model.asked == []
    assert await _used(cast) == Usage(0, 0, 0, 0)


async def test_asking_again_is_not_done_beyond_the_budget(cast: Cast, language_model: LanguageModel) -> None:
    language_model.replies = [NONSENSE, ANSWER]
    language_model.input_tokens = 5000

    with pytest.raises(AssessorUnavailable, match=r"^the day's tokens are used up$"):
        await _assess(cast, language_model, limits=DailyLimits(tokens=8000))

    assert len(language_model.asked) == 1
    assert await _used(cast) == Usage(1, 5000, 80, 2128)


async def test_workers_that_reserve_at_once_do_not_overspend(cast: Cast, database_url: str) -> None:
    other = Database(database_url)
    budgets = [
        _budget(database, cast, model=model, limits=DailyLimits(tokens=1000))
        for database in (cast.database, other)
        for model in ("small", "large")
    ]

    answers = await asyncio.gather(
        *(budget.reserve(60, 40) for budget in budgets * 5), return_exceptions=True
    )
    await other.dispose()

    assert sum(isinstance(answer, Reservation) for answer in answers) == 10
    assert sum(isinstance(answer, AssessorUnavailable) for answer in answers) == 10
    assert await _used(cast) == Usage(10, 600, 400, 880)


@pytest.mark.parametrize("engine", ["postgresql"])  # SQLite has one writer
async def test_a_reservation_waits_for_another_that_is_not_committed_yet(cast: Cast) -> None:
    budget = _budget(cast.database, cast, model="large", limits=DailyLimits(tokens=100))

    async with cast.database.transaction(cast.account_id) as tx:
        await assessor_usage.lock_day(tx, TODAY)
        await assessor_usage.add(tx, TODAY, "small", Usage(1, 100, 0, 0))
        second = asyncio.create_task(budget.reserve(1, 0))
        while not second.done() and not await _is_waited_for(cast.database):
            pass

    with pytest.raises(AssessorUnavailable, match="tokens are used up"):
        await second


async def test_workers_that_settle_at_once_count_everything(cast: Cast, database_url: str) -> None:
    other = Database(database_url)
    budgets = [_budget(database, cast) for database in (cast.database, other)] * 5

    async def work(budget: AccountBudget) -> None:
        await budget.settle(await budget.reserve(1000, 1000), 10, 1)

    await asyncio.gather(*map(work, budgets))
    await other.dispose()

    assert await _used(cast) == Usage(10, 100, 10, 60)


async def test_what_was_reserved_and_not_used_can_be_reserved_again(cast: Cast) -> None:
    budget = _budget(cast.database, cast, limits=DailyLimits(tokens=100))
    first = await budget.reserve(60, 40)
    with pytest.raises(AssessorUnavailable):
        await budget.reserve(1, 0)

    await budget.settle(first, 10, 0)

    await budget.reserve(50, 40)
    assert await _used(cast) == Usage(2, 60, 40, 88)


async def test_each_day_and_each_account_has_a_budget_of_its_own(cast: Cast) -> None:
    limits = DailyLimits(tokens=100)
    await _budget(cast.database, cast, limits=limits).reserve(100, 0)

    tomorrow = AccountBudget(
        cast.database,
        cast.account_id,
        "small",
        limits=limits,
        price=PRICE,
        now=lambda: datetime(2026, 2, 1, tzinfo=UTC),
    )
    other = AccountBudget(
        cast.database, cast.other_account_id, "small", limits=limits, price=PRICE, now=lambda: NOW
    )
    await tomorrow.reserve(100, 0)
    await other.reserve(100, 0)

    for budget in (_budget(cast.database, cast, limits=limits), tomorrow, other):
        with pytest.raises(AssessorUnavailable):
            await budget.reserve(1, 0)


async def test_a_request_that_began_yesterday_is_settled_yesterday(cast: Cast) -> None:
    times = iter([NOW, datetime(2026, 2, 1, tzinfo=UTC)])
    budget = AccountBudget(
        cast.database,
        cast.account_id,
        "small",
        limits=DailyLimits(),
        price=PRICE,
        now=lambda: next(times),
    )

    await budget.settle(await budget.reserve(1000, 1000), 10, 1)

    assert await _used(cast) == Usage(1, 10, 1, 6)


async def test_an_answer_is_not_lost_because_it_cannot_be_counted(
    cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    budget = _budget(cast.database, cast)
    reservation = await budget.reserve(1000, 1000)
    async with cast.database.owning() as tx:
        await tx.connection.execute(text("DROP TABLE assessor_usage"))

    await budget.settle(reservation, 10, 1)

    assert [record.message for record in caplog.records] == ["usage not corrected"]


async def _assess(
    cast: Cast, server: LanguageModel, *, limits: DailyLimits | None = None, seconds: float = 20
) -> None:
    model = make_model("openai", "small", url=f"{server.url}/v1", key="")
    budget = _budget(cast.database, cast, limits=limits)
    assessor = LlmAssessor(model, redact=take_out_secret, timeout=seconds, budget=budget)
    await assessor.assess(make_case())


def _budget(
    database: Database, cast: Cast, *, model: str = "small", limits: DailyLimits | None = None
) -> AccountBudget:
    limits = limits or DailyLimits()
    return AccountBudget(database, cast.account_id, model, limits=limits, price=PRICE, now=lambda: NOW)


async def _used(cast: Cast) -> Usage:
    async with cast.database.reading(cast.account_id) as tx:
        return await assessor_usage.of_day(tx, TODAY)


async def _is_waited_for(database: Database) -> bool:
    """Tell whether a transaction of this database waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with database.owning() as tx:
        return int(await tx.fetch_value(text(waiting))) > 0
