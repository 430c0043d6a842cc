"""Scalars of our own."""

from dataclasses import replace
from datetime import timedelta

import strawberry
from pydantic import TypeAdapter, ValidationError
from strawberry.schema.types.base_scalars import DateTimeDefinition

from resolvers.errors import BadInput

_ADAPTER = TypeAdapter(timedelta)


def _read(value: object) -> timedelta:
    """Read a duration; only ISO 8601 text is one, though the library reads more.

    Months and years have no length. Taken for 30 days, P1M would stand for what was meant as PT1M.
    """
    try:
        if isinstance(value, str) and value.startswith("P") and not _has_months(value):
            return _ADAPTER.validate_python(value)
    except ValidationError:
        pass
    raise BadInput(
        "A duration is written as ISO 8601 has it, like PT5M or P1DT12H, without months and years."
    )


def _has_months(value: str) -> bool:
    days, _, _ = value.upper().partition("T")
    return "M" in days or "Y" in days


def _show(value: timedelta) -> str:
    return str(_ADAPTER.dump_python(value, mode="json"))


Duration = strawberry.scalar(
    name="Duration",
    description=(
        "A length of time as ISO 8601 writes it, like PT5M for five minutes. Not in months or years, which "
        "have no length of their own."
    ),
    specified_by_url="https://www.iso.org/iso-8601-date-and-time-format.html",
    serialize=_show,
    parse_value=_read,
)

DateTime = replace(
    DateTimeDefinition,
    description=(
        "An instant as ISO 8601 writes it, like 2026-01-31T09:30:00.123456+00:00: answers in UTC, to the "
        "microsecond, inputs in any time zone, which they must name."
    ),
)
