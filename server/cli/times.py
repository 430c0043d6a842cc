"""Instants on the command line."""

from datetime import UTC, datetime

import click


class Instant(click.ParamType[datetime]):
    """An instant on the command line: a date, which begins in UTC, or a time with its offset."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read an instant; fail with a sentence."""
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time like 2026-01-31 or 2026-01-31T09:30:00+01:00.", param, ctx)
        if at.tzinfo is None and len(str(value)) > len("2026-01-31"):
            self.fail(f"{value!r} needs a time zone, like 2026-01-31T09:30:00Z.", param, ctx)
        return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
