"""The assessor that asks a language model. Needs the optional packages `handoff[ai]`."""

import asyncio
from collections.abc import Iterator

import httpx2
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import (
    AgentRunError,
    ContentFilterError,
    ModelConnectionError,
    ModelHTTPError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from assist.answer import Answer
from assist.budget import Budget, Reservation
from assist.fallback import AssessorUnavailable
from assist.port import Case, Draft
from assist.prompt import INSTRUCTIONS, estimate_tokens, write_prompt
from assist.quotes import Redact, without_secrets

#: How often a model is asked again when its answer has not the form.
_ASKED_AGAIN = 1
_SESSION_TOKENS = 6000
_ANSWER_TOKENS = 4000  # a model that reasons first needs most of them for that
_SETTINGS = ModelSettings(
    max_tokens=_ANSWER_TOKENS,
    max_retries=0,  # each request is reserved before it is sent; meanwhile the rules serve better
    framing_announcement="never",  # it would give words among the session authority
)


class LlmAssessor:
    """Asks a language model for an assessment, within a time and a budget."""

    def __init__(
        self,
        model: Model,
        *,
        redact: Redact,
        timeout: float,
        budget: Budget | None = None,
        session_tokens: int = _SESSION_TOKENS,
    ) -> None:
        """Make the assessor, without connecting.

        Args:
            model: Who is asked.
            redact: Takes secrets out of text. Everything passes it before it leaves the process.
            timeout: Seconds that an assessment may take, asking again included.
            budget: Who must agree to each request; None: nobody.
            session_tokens: About how long the session may be that is sent.
        """
        self._model = model
        self._redact = redact
        self._timeout = timeout
        self._budget = budget
        self._session_tokens = session_tokens
        # Ollama's models differ in whether they know tools; all of them can be held to a form.
        form = NativeOutput(Answer) if model.system == "ollama" else Answer
        self._agent = Agent(
            output_type=form, instructions=INSTRUCTIONS, retries={"output": _ASKED_AGAIN, "tools": 0}
        )

    @property
    def name(self) -> str:
        """Who makes it: `llm/` and the model's name."""
        return f"llm/{self._model.model_name}"

    async def assess(self, case: Case) -> Draft:
        """Return what the model says of the case, without its secrets.

        Raises:
            AssessorUnavailable: the model cannot be asked, or gave no answer that can be used.
        """
        clean = await asyncio.to_thread(without_secrets, case, self._redact)
        prompt = write_prompt(clean, tokens=self._session_tokens)
        deadline = asyncio.get_running_loop().time() + self._timeout
        metered = _Metered(self._model, self._budget, deadline)
        try:
            run = await self._agent.run(prompt.text, model=metered, model_settings=_SETTINGS)
        except (AgentRunError, UserError) as error:
            # The cause stays out of the log: providers repeat in their errors what they were sent.
            raise AssessorUnavailable(_reason(error)) from None
        return run.output.to_draft(prompt)


class _Metered(WrapperModel):
    """The model of one assessment: requests are reserved before they are sent, and end at the deadline."""

    def __init__(self, model: Model, budget: Budget | None, deadline: float) -> None:
        super().__init__(model)
        self._budget = budget
        self._deadline = deadline

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the model. What a request costs whose outcome nobody knows is taken to be what was reserved."""
        reservation = await self._reserve(messages)
        try:
            # Around the network alone: a statement that is broken off costs its connection.
            async with asyncio.timeout_at(self._deadline):
                response = await super().request(messages, model_settings, model_request_parameters)
        except TimeoutError:
            raise AssessorUnavailable("timed out") from None
        except _UNREADABLE:
            raise AssessorUnavailable("gave no valid answer") from None
        except (ModelHTTPError, ModelConnectionError) as error:
            if isinstance(error, ModelHTTPError) or _was_never_sent(error):
                await self._settle(reservation, 0, 0)
            raise
        if response.usage.input_tokens:  # some servers do not count
            await self._settle(reservation, response.usage.input_tokens, response.usage.output_tokens)
        return response

    async def _reserve(self, messages: list[ModelMessage]) -> Reservation | None:
        if self._budget is None:
            return None
        return await self._budget.reserve(_FORM_TOKENS + _tokens(messages), _ANSWER_TOKENS)

    async def _settle(self, reservation: Reservation | None, input_tokens: int, output_tokens: int) -> None:
        if self._budget is not None and reservation is not None:
            await self._budget.settle(reservation, input_tokens, output_tokens)


#: What reading an answer raises that has not even the protocol's form (pydantic-ai 2.68, Anthropic).
_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError)

_FORM_TOKENS = estimate_tokens(str(Answer.model_json_schema()))


def _tokens(messages: list[ModelMessage]) -> int:
    return estimate_tokens(ModelMessagesTypeAdapter.dump_json(messages).decode())


def _was_never_sent(error: BaseException) -> bool:
    return any(isinstance(cause, httpx2.ConnectError) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _reason(error: Exception) -> str:
    """Say why there is no answer, in words of our own: nothing of what was sent or came back."""
    if isinstance(error, ModelHTTPError):
        return f"refused with HTTP {error.status_code}"
    if isinstance(error, ModelConnectionError) and _was_never_sent(error):
        return "cannot be reached"
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return "failed"


#: The narrower kinds first.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (ModelTimeoutError, "timed out"),
    (ModelConnectionError, "broke the connection off"),
    (ContentFilterError, "refused to answer"),
    (UnexpectedModelBehavior, "gave no valid answer"),
    (UserError, "cannot answer in the form that is asked for"),
)
