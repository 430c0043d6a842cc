"""The form that a language model answers in, and the draft that is made of it."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from assist.port import Draft, Evidence, Step
from assist.prompt import Prompt
from db.enums import ConfidenceTier

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]


class Citation(BaseModel):
    """Words of the session that a claim rests on."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(max_length=20, description="The message or branch, by its source: m12 or b1.")
    quote: Annotated[str, StringConstraints(min_length=1, max_length=600)] = Field(
        description="Words copied exactly from that source, at most 200 characters."
    )


class CitedStep(BaseModel):
    """Something to do, or that was done."""

    model_config = ConfigDict(extra="forbid")

    text: _Text = Field(description="One step, in a sentence. If it was done: and how it ended.")
    evidence: list[Citation] = Field(max_length=5, description="What it rests on; empty if on nothing.")


class Answer(BaseModel):
    """The assessment of a troubleshooting session."""

    model_config = ConfigDict(extra="forbid")

    likely_cause: _Text | None = Field(
        description="What is probably wrong; null if the session does not show."
    )
    evidence: list[Citation] = Field(max_length=8, description="What the likely cause rests on.")
    confidence: Literal["LOW", "MEDIUM", "HIGH"] = Field(description="How sure the likely cause is.")
    already_tried: list[CitedStep] = Field(max_length=20, description="What was done, in order.")
    suggested_steps: list[CitedStep] = Field(
        max_length=10, description="What to do next, the first thing first."
    )

    def to_draft(self, prompt: Prompt) -> Draft:
        """Return the draft; what cites no source of the prompt is left out of the evidence."""
        return Draft(
            likely_cause=self.likely_cause,
            suggested_steps=tuple(_steps(self.suggested_steps, prompt)),
            already_tried=tuple(_steps(self.already_tried, prompt)),
            confidence=ConfidenceTier(self.confidence),
            evidence=tuple(_evidence(self.evidence, prompt)),
        )


def _steps(steps: Iterable[CitedStep], prompt: Prompt) -> Iterator[Step]:
    for step in steps:
        yield Step(text=step.text, evidence=tuple(_evidence(step.evidence, prompt)))


def _evidence(citations: Iterable[Citation], prompt: Prompt) -> Iterator[Evidence]:
    for citation in citations:
        evidence = prompt.evidence(citation.source, citation.quote)
        if evidence is not None:
            yield evidence
