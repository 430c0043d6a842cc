"""Scalars of our own."""

from datetime import timedelta

import strawberry
from pydantic import TypeAdapter, ValidationError

from resolvers.errors import BadInput

_ADAPTER = TypeAdapter(timedelta)


def _read(value: object) -> timedelta:
    """Read a duration; only ISO 8601 text is one, though the library reads more."""
    try:
        if isinstance(value, str) and value.startswith("P"):
            return _ADAPTER.validate_python(value)
    except ValidationError:
        pass
    raise BadInput("A duration is written as ISO 8601 has it, like PT5M or P1DT12H.")


def _show(value: timedelta) -> str:
    return str(_ADAPTER.dump_python(value, mode="json"))


Duration = strawberry.scalar(
    name="Duration",
    description="A length of time as ISO 8601 writes it, like PT5M for five minutes.",
    specified_by_url="https://www.iso.org/iso-8601-date-and-time-format.html",
    serialize=_show,
    parse_value=_read,
)
