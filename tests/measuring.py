"""In which runs of a test coverage is measured.

To trace every line takes as long as the test itself. A test that runs on both engines is measured on one of
them, some on this and some on that: what either engine has for itself is reached by many.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import pytest
from coverage import Coverage

from tests.servers.processes import COVERAGE_VARIABLES

ENGINES = ("sqlite", "postgresql")


def is_measured(item: pytest.Item) -> bool:
    """Tell whether coverage is measured in a test; always the same for the same test."""
    callspec = getattr(item, "callspec", None)
    engine: str | None = None if callspec is None else callspec.params.get("engine")
    if engine is None:
        return True
    return engine == ENGINES[crc32(item.nodeid.replace(engine, "").encode()) % 2]


@contextmanager
def unmeasured() -> Iterator[None]:
    """Measure nothing while the block runs, neither here nor in processes that it starts."""
    coverage = Coverage.current()
    if coverage is None:
        yield
        return
    kept = {name: os.environ.pop(name) for name in COVERAGE_VARIABLES if name in os.environ}
    coverage.stop()
    try:
        yield
    finally:
        coverage.start()
        os.environ.update(kept)
