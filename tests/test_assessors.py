"""Who assesses is a setting; one with which no model can be asked ends the start with a sentence."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from assist.llm import LlmAssessor
from assist.port import Step
from db.session import Database, new_id
from server.assessors import make_assessors, make_llm_assessor
from server.settings import Settings, SettingsError
from tests.cases import Extract, make_case, take_out_secret
from tests.cast import Cast
from tests.client import make_settings
from tests.servers.language_model import LanguageModel

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
WRONG_MODEL = (
    "HANDOFF_LLM_MODEL must be openai:NAME (any server that speaks OpenAI's protocol), anthropic:NAME or "
    "ollama:NAME."
)
WRONG_PRICE = "HANDOFF_LLM_PRICE must be two prices for a million tokens, input and output: 0.40/1.60."
INSECURE = "HANDOFF_LLM_URL must begin with https:// (http:// is for this machine and private networks)."


def test_rules_assess_unless_something_else_is_set(unopened: Database) -> None:
    rules = Extract()

    assessor_of = make_assessors(
        make_settings("sqlite:///x", assessor="rules"),
        unopened,
        rules=rules,
        redact=take_out_secret,
        now=lambda: NOW,
    )

    assert Settings.model_fields["assessor"].default == "rules"
    assert assessor_of is not None
    assert assessor_of(new_id()) is rules


def test_nobody_assesses_where_it_is_off(unopened: Database) -> None:
    settings = make_settings("sqlite:///x", assessor="off")

    assert (
        make_assessors(settings, unopened, rules=Extract(), redact=take_out_secret, now=lambda: NOW) is None
    )


async def test_a_model_assesses_within_the_budget_and_the_rules_beyond_it(
    cast: Cast, language_model: LanguageModel
) -> None:
    settings = _settings(
        llm_url=f"{language_model.url}/v1",
        llm_price="0.40/1.60",
        llm_daily_tokens=0,
        llm_daily_cost="0.01",
    )
    language_model.input_tokens = 20_000  # nearly all of it
    assessor_of = make_assessors(
        settings, cast.database, rules=Extract(), redact=take_out_secret, now=lambda: NOW
    )
    assert assessor_of is not None

    drafts = [await assessor_of(cast.account_id).assess(make_case()) for _ in range(2)]
    other = await assessor_of(cast.other_account_id).assess(make_case())

    spent = "rules/1 (llm/small: the day's money is used up)"
    assert [draft.made_by for draft in drafts] == ["llm/small", spent]
    assert drafts[1].suggested_steps == (Step(text="Read the 2 messages."),)
    assert other.made_by == "llm/small"
    assert len(language_model.asked) == 2


async def test_a_model_can_be_measured_without_an_account(language_model: LanguageModel) -> None:
    settings = _settings(llm_url=f"{language_model.url}/v1", assessor="rules")

    assessor = make_llm_assessor(settings, redact=take_out_secret)

    assert isinstance(assessor, LlmAssessor)
    assert (await assessor.assess(make_case())).likely_cause == "The rekey timers of both ends differ."


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"llm_model": ""}, WRONG_MODEL),
        ({"llm_model": "small"}, WRONG_MODEL),
        ({"llm_model": "openai:"}, WRONG_MODEL),
        ({"llm_model": "google:small"}, WRONG_MODEL),
        (
            {"llm_key": SecretStr("")},
            "HANDOFF_LLM_KEY must be set for openai: without a key it answers nobody.",
        ),
        (
            {"llm_key": SecretStr(""), "llm_model": "anthropic:small"},
            "HANDOFF_LLM_KEY must be set for anthropic: without a key it answers nobody.",
        ),
        ({"llm_url": "http://models.example.com/v1"}, INSECURE),
        ({"llm_url": "http://203.0.113.9.nip.example/v1"}, INSECURE),
        ({"llm_url": "http://8.8.8.8/v1"}, INSECURE),
        ({"llm_url": "ftp://models/v1"}, INSECURE),
        ({"llm_url": "https://"}, INSECURE),
        ({"llm_url": "http:///v1"}, INSECURE),
        (
            {"llm_url": "https://me:hunter2@models.example.com/v1"},
            "HANDOFF_LLM_URL must hold no password. Set HANDOFF_LLM_KEY instead.",
        ),
        ({"llm_price": "0.40"}, WRONG_PRICE),
        ({"llm_price": "0.40/a"}, WRONG_PRICE),
        ({"llm_price": "0.40/-1"}, WRONG_PRICE),
        ({"llm_price": "0.40/nan"}, WRONG_PRICE),
        ({"llm_price": "1/2/3"}, WRONG_PRICE),
        (
            {"llm_daily_cost": "5"},
            "HANDOFF_LLM_DAILY_COST needs HANDOFF_LLM_PRICE: without it no cost is known.",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    unopened: Database, given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        make_assessors(_settings(**given), unopened, rules=Extract(), redact=take_out_secret, now=lambda: NOW)

    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"llm_model": "anthropic:small"},
        {"llm_model": "ollama:llama3.1:8b", "llm_key": SecretStr("")},
        {"llm_url": "https://models.example.com/v1", "llm_key": SecretStr("")},
        {"llm_url": "http://127.0.0.1:8001/v1"},
        {"llm_url": "http://[::1]:8001/v1"},
        {"llm_url": "http://10.1.2.3/v1"},
        {"llm_url": "http://vllm:8000/v1"},
    ],
)
def test_a_model_is_not_asked_before_there_is_something_to_assess(
    unopened: Database, given: dict[str, Any]
) -> None:
    assessor_of = make_assessors(
        _settings(**given), unopened, rules=Extract(), redact=take_out_secret, now=lambda: NOW
    )

    assert assessor_of is not None
    name = given.get("llm_model", "openai:small").partition(":")[2]
    assert assessor_of(new_id()).name == f"llm/{name}"


@pytest.mark.parametrize("missing", ["pydantic_ai", "openai", "anthropic"])
def test_without_the_optional_packages_the_start_ends_with_what_to_install(missing: str) -> None:
    start = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from server.assessors import make_llm_assessor\n"
        "from server.settings import Settings, SettingsError\n"
        "settings = Settings(_env_file=None, llm_model='ollama:small')\n"
        "try: make_llm_assessor(settings, redact=str)\n"
        "except SettingsError as refusal: print(refusal)"
    )

    said = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True).stdout

    assert said == (
        "HANDOFF_ASSESSOR=llm needs packages that are not installed. Install them, in the folder of "
        "Handoff's source, with: pip install '.[ai]'\n"
    )


def test_the_key_is_not_shown() -> None:
    settings = _settings()

    assert "sk-secret" not in f"{settings!r} {settings.model_dump_json()}"


@pytest.fixture
def unopened(tmp_path: Path) -> Database:
    """A database that nobody connects to."""
    return Database(f"sqlite:///{tmp_path / 'handoff.db'}")


def _settings(**given: Any) -> Settings:  # noqa: ANN401
    usual: dict[str, Any] = {
        "assessor": "llm",
        "llm_model": "openai:small",
        "llm_key": SecretStr("sk-secret"),
    }
    return make_settings("sqlite:///x", **usual | given)
