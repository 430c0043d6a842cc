"""Who makes assessments, by the settings. What a language model needs is imported only if one is wanted."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from assist.budget import AccountBudget, Budget, DailyLimits, Price
from assist.fallback import WithFallback
from assist.port import Assessor
from assist.quotes import Redact
from db.session import Database
from server.settings import Settings, SettingsError

if TYPE_CHECKING:
    from assist.language_models import Model, ProviderName
    from assist.llm import LlmAssessor

#: Returns who assesses the escalations of an account.
AssessorOf = Callable[[UUID], Assessor]

_PROVIDERS: tuple["ProviderName", ...] = ("openai", "anthropic", "ollama")
_PRICE_FORM = "HANDOFF_LLM_PRICE must be two prices for a million tokens, input and output: 0.40/1.60."


def make_assessors(
    settings: Settings, database: Database, *, rules: Assessor, redact: Redact, now: Callable[[], datetime]
) -> AssessorOf | None:
    """Make who assesses escalations; None where nobody is to.

    A language model is asked within the account's budget of the day, and `rules` while it is unavailable.

    Raises:
        SettingsError: the model cannot be asked with these settings.
    """
    if settings.assessor == "off":
        return None
    if settings.assessor == "rules":
        return lambda _: rules
    model, limits, price = _make_model(settings), _read_limits(settings), _read_price(settings)
    counted_as = settings.llm_model.strip()

    def assessor_of(account_id: UUID) -> Assessor:
        budget = AccountBudget(database, account_id, counted_as, limits=limits, price=price, now=now)
        return WithFallback(_make_assessor(settings, model, redact, budget), rules)

    return assessor_of


def check_assessor(settings: Settings) -> None:
    """Find out whether the assessor of the settings can be made.

    Raises:
        SettingsError: it cannot.
    """
    if settings.assessor == "llm":
        _make_model(settings)
        _read_limits(settings)
        _read_price(settings)


def make_llm_assessor(settings: Settings, *, redact: Redact) -> "LlmAssessor":
    """Make the assessor that asks the model of the settings, without budget and fallback, for measurements.

    Raises:
        SettingsError: the model cannot be asked with these settings.
    """
    return _make_assessor(settings, _make_model(settings), redact, None)


def _make_assessor(
    settings: Settings, model: "Model", redact: Redact, budget: Budget | None
) -> "LlmAssessor":
    from assist.llm import LlmAssessor

    return LlmAssessor(model, redact=redact, timeout=settings.llm_timeout, budget=budget)


def _make_model(settings: Settings) -> "Model":
    provider, name = _read_model(settings.llm_model)
    key = settings.llm_key.get_secret_value()
    if not key and not settings.llm_url and provider != "ollama":
        raise SettingsError(f"HANDOFF_LLM_KEY must be set for {provider}: without a key it answers nobody.")
    _check_address(settings.llm_url)
    try:
        from assist.language_models import make_model
    except ImportError:
        raise SettingsError(
            "HANDOFF_ASSESSOR=llm needs packages that are not installed. Install them, in the folder of "
            "Handoff's source, with: pip install '.[ai]'"
        ) from None
    return make_model(provider, name, url=settings.llm_url, key=key)


def _read_model(setting: str) -> tuple["ProviderName", str]:
    named, _, name = setting.strip().partition(":")
    for provider in _PROVIDERS:
        if provider == named and name:
            return provider, name
    raise SettingsError(
        "HANDOFF_LLM_MODEL must be openai:NAME (any server that speaks OpenAI's protocol), anthropic:NAME or "
        "ollama:NAME."
    )


def _check_address(url: str) -> None:
    """Refuse an address that sessions would travel to unprotected over networks of others."""
    address = urlsplit(url)
    if address.username or address.password:
        raise SettingsError("HANDOFF_LLM_URL must hold no password. Set HANDOFF_LLM_KEY instead.")
    if not url or (address.scheme == "https" and address.hostname):
        return
    if address.scheme != "http" or not _is_near(address):
        raise SettingsError(
            "HANDOFF_LLM_URL must begin with https:// (http:// is for this machine and private networks)."
        )


def _is_near(address: SplitResult) -> bool:
    """Tell whether an address is of this machine or a private network, or a name without a dot."""
    host = address.hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return bool(host) and "." not in host


def _read_limits(settings: Settings) -> DailyLimits:
    if settings.llm_daily_cost and not settings.llm_price:
        raise SettingsError("HANDOFF_LLM_DAILY_COST needs HANDOFF_LLM_PRICE: without it no cost is known.")
    return DailyLimits(
        tokens=settings.llm_daily_tokens or None,
        cost_micros=int(settings.llm_daily_cost * 1_000_000) or None,
    )


def _read_price(settings: Settings) -> Price:
    if not settings.llm_price:
        return Price(input=Decimal(0), output=Decimal(0))
    try:
        input_price, output_price = map(Decimal, settings.llm_price.split("/"))
    except (ValueError, InvalidOperation):
        raise SettingsError(_PRICE_FORM) from None
    if not all(price.is_finite() and price >= 0 for price in (input_price, output_price)):
        raise SettingsError(_PRICE_FORM)
    return Price(input=input_price, output=output_price)
