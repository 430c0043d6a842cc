"""An assessment by a language model, asked over HTTP in the protocol of its server."""

import asyncio
import logging
from typing import Any

import pytest

from assist.fallback import AssessorUnavailable, WithFallback
from assist.language_models import ProviderName, make_model
from assist.llm import LlmAssessor
from assist.port import AssessmentError, Case, Draft, Evidence, Step
from assist.prompt import INSTRUCTIONS
from db.enums import ConfidenceTier
from server import logs
from tests.cases import ANSWER, BRANCH_ID, NONSENSE, Extract, make_case, take_out_secret
from tests.servers.language_model import Hangs, HangsUp, LanguageModel, Status

KEY = "sk-0123456789abcdef"
PROVIDERS: list[ProviderName] = ["openai", "anthropic", "ollama"]
DRAFT = Draft(
    likely_cause="The rekey timers of both ends differ.",
    evidence=(Evidence(quote="rekey after 3600 s", message_index=4),),
    confidence=ConfidenceTier.MEDIUM,
    already_tried=(
        Step(
            text="DNS was ruled out.", evidence=(Evidence(quote="resolves everywhere", branch_id=BRANCH_ID),)
        ),
    ),
    suggested_steps=(Step(text="Set the same lifetime on both ends."),),
)

each_provider = pytest.mark.parametrize("provider", PROVIDERS)


@each_provider
async def test_an_answer_becomes_a_draft(language_model: LanguageModel, provider: ProviderName) -> None:
    assessor = _assessor(language_model, provider)

    draft = await assessor.assess(make_case())

    assert assessor.name == "llm/small"
    assert draft == DRAFT
    (asked,) = language_model.asked
    assert asked.path == {"anthropic": "/v1/messages"}.get(provider, "/v1/chat/completions")
    assert asked.document["model"] == "small"
    assert KEY in str(asked.headers)
    assert KEY not in asked.body.decode()


@each_provider
async def test_an_answer_without_the_form_is_asked_for_once_more(
    language_model: LanguageModel, provider: ProviderName
) -> None:
    language_model.replies = [NONSENSE, ANSWER]

    draft = await _assessor(language_model, provider).assess(make_case())

    assert draft == DRAFT
    assert len(language_model.asked) == 2
    assert "retrograde" in language_model.asked[1].body.decode()  # it is told what was wrong


@each_provider
async def test_a_second_answer_without_the_form_is_the_last(
    language_model: LanguageModel, provider: ProviderName
) -> None:
    language_model.replies = [NONSENSE]

    with pytest.raises(AssessorUnavailable, match=r"^gave no valid answer$"):
        await _assessor(language_model, provider).assess(make_case())

    assert len(language_model.asked) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"confidence": "CERTAIN"},
        {"likely_cause": ""},
        {"likely_cause": "x" * 601},
        {"evidence": [{"source": "m4", "quote": "x" * 601}]},
        {"suggested_steps": [{"text": "Wait.", "evidence": []}] * 11},
        {"run": "format c:"},
    ],
)
async def test_an_answer_must_keep_to_the_form(language_model: LanguageModel, change: dict[str, Any]) -> None:
    language_model.replies = [ANSWER | change]

    with pytest.raises(AssessorUnavailable, match=r"^gave no valid answer$"):
        await _assessor(language_model).assess(make_case())


@each_provider
@pytest.mark.parametrize("code", [400, 401, 404, 429, 500, 529])
async def test_a_refusal_is_told_with_its_number_and_not_tried_again(
    language_model: LanguageModel, provider: ProviderName, code: int
) -> None:
    language_model.replies = [Status(code)]

    with pytest.raises(AssessorUnavailable, match=f"^refused with HTTP {code}$"):
        await _assessor(language_model, provider).assess(make_case())

    assert len(language_model.asked) == 1


@each_provider
async def test_an_answer_that_does_not_come_in_time_is_not_waited_for(
    language_model: LanguageModel, provider: ProviderName
) -> None:
    language_model.replies = [Hangs()]

    with pytest.raises(AssessorUnavailable, match=r"^timed out$"):
        await _assessor(language_model, provider, timeout=0.2).assess(make_case())

    assert len(language_model.asked) <= 1  # none, on a machine that is busy


async def test_the_time_counts_for_both_requests_together(language_model: LanguageModel) -> None:
    language_model.replies = [NONSENSE, Hangs()]

    with pytest.raises(AssessorUnavailable, match=r"^timed out$"):
        await _assessor(language_model, timeout=3).assess(make_case())

    assert len(language_model.asked) == 2


@each_provider
async def test_a_server_that_is_away_cannot_be_reached(
    language_model: LanguageModel, provider: ProviderName
) -> None:
    language_model.stop()

    with pytest.raises(AssessorUnavailable, match=r"^cannot be reached$"):
        await _assessor(language_model, provider).assess(make_case())


@each_provider
async def test_a_server_that_hangs_up_is_told_of(
    language_model: LanguageModel, provider: ProviderName
) -> None:
    language_model.replies = [HangsUp()]

    with pytest.raises(AssessorUnavailable, match=r"^broke the connection off$"):
        await _assessor(language_model, provider).assess(make_case())

    assert len(language_model.asked) == 1


@each_provider
async def test_one_assessor_serves_many_at_once(
    language_model: LanguageModel, provider: ProviderName
) -> None:
    assessor = _assessor(language_model, provider)

    drafts = await asyncio.gather(*(assessor.assess(make_case()) for _ in range(20)))

    assert drafts == [DRAFT] * 20


@each_provider
async def test_a_server_that_speaks_another_protocol_gave_no_answer(
    language_model: LanguageModel, provider: ProviderName
) -> None:
    language_model.replies = [Status(200)]

    with pytest.raises(AssessorUnavailable, match=r"^gave no valid answer$"):
        await _assessor(language_model, provider).assess(make_case())


@each_provider
async def test_a_server_cannot_send_the_session_elsewhere(
    language_model: LanguageModel, provider: ProviderName
) -> None:
    with LanguageModel([ANSWER]) as elsewhere:
        language_model.replies = [Status(307, location=f"{elsewhere.url}/v1/messages")]

        with pytest.raises(AssessorUnavailable):
            await _assessor(language_model, provider).assess(make_case())

        assert elsewhere.asked == []


@each_provider
async def test_every_request_has_the_same_instructions_and_nothing_of_the_session_in_them(
    language_model: LanguageModel, provider: ProviderName
) -> None:
    language_model.replies = [ANSWER | {"confidence": "The tunnel drops every hour."}, ANSWER]

    await _assessor(language_model, provider).assess(make_case())

    assert [asked.instructions for asked in language_model.asked] == [INSTRUCTIONS.strip()] * 2


async def test_citations_of_what_was_not_shown_are_left_out(language_model: LanguageModel) -> None:
    unknown = [{"source": source, "quote": "rekey"} for source in ("m99", "b9", "the log", "")]
    language_model.replies = [ANSWER | {"evidence": [*unknown, *ANSWER["evidence"]]}]

    draft = await _assessor(language_model).assess(make_case())

    assert draft == DRAFT


async def test_a_quote_with_the_escapes_that_the_model_saw_becomes_the_words_of_the_session(
    language_model: LanguageModel,
) -> None:
    language_model.replies = [
        ANSWER | {"evidence": [{"source": "m3", "quote": "net use &lt;drive&gt; &amp;&amp; dir"}]}
    ]

    draft = await _assessor(language_model).assess(make_case("Run net use <drive> && dir"))

    assert draft.evidence == (Evidence(quote="net use <drive> && dir", message_index=3),)


async def test_while_the_model_is_unavailable_another_assesses_and_says_why(
    language_model: LanguageModel, caplog: pytest.LogCaptureFixture
) -> None:
    language_model.replies = [Status(429, "You sent: The tunnel drops every hour.")]
    assessor = WithFallback(_assessor(language_model), Extract())

    draft = await assessor.assess(make_case())

    assert assessor.name == "llm/small"
    assert draft.made_by == "rules/1 (llm/small: refused with HTTP 429)"
    assert draft.suggested_steps == (Step(text="Read the 2 messages."),)
    (record,) = [record for record in caplog.records if record.name == "assist.fallback"]
    assert logs.WithFields("%(levelname)s %(message)s").format(record) == (
        "WARNING assessor unavailable assessor='llm/small' reason='refused with HTTP 429'"
    )


async def test_a_model_that_answers_has_made_the_draft(language_model: LanguageModel) -> None:
    draft = await WithFallback(_assessor(language_model), Extract()).assess(make_case())

    assert draft.made_by == "llm/small"


async def test_what_the_fallback_cannot_do_is_not_done() -> None:
    class Speechless(Extract):
        async def assess(self, case: Case) -> Draft:
            raise AssessorUnavailable("timed out")

    with pytest.raises(AssessmentError, match=r"^timed out$"):
        await WithFallback(Speechless(), Speechless()).assess(make_case())


@each_provider
async def test_neither_the_key_nor_the_session_is_logged(
    language_model: LanguageModel,
    provider: ProviderName,
    caplog: pytest.LogCaptureFixture,
    quiet_libraries: None,
) -> None:
    caplog.set_level(logging.DEBUG)
    language_model.replies = [
        NONSENSE,
        Status(401, f"{KEY} is no key. You sent: The tunnel drops every hour."),
    ]
    assessor = WithFallback(_assessor(language_model, provider), Extract())

    await assessor.assess(make_case())

    assert "assessor unavailable" in caplog.text
    for word in (KEY, "tunnel", "retrograde"):
        assert word not in caplog.text


@each_provider
def test_no_part_shows_the_key(language_model: LanguageModel, provider: ProviderName) -> None:
    assessor = _assessor(language_model, provider)

    parts = [assessor, *vars(assessor).values(), *vars(assessor._model).values()]
    assert [part for part in parts if KEY in f"{part!r} {part!s}"] == []


@pytest.fixture
def quiet_libraries() -> None:
    """Let the libraries log as the process lets them, at its most talkative level."""
    logs.set_up("debug")


def _assessor(
    server: LanguageModel, provider: ProviderName = "openai", *, timeout: float = 20
) -> LlmAssessor:
    url = server.url if provider == "anthropic" else f"{server.url}/v1"
    model = make_model(provider, "small", url=url, key=KEY)
    return LlmAssessor(model, redact=take_out_secret, timeout=timeout)
