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
    engine = None if callspec is None else callspec.params.get("engine")
    if callspec is None or engine is None or any(map(_names_engine, item.iter_markers("parametrize"))):
        return True
    others = callspec.id.split("-")
    others.remove(engine)
    test = f"{item.location[0]} {getattr(item, 'originalname', item.name)} {others}"
    return bool(engine == ENGINES[crc32(test.encode()) % 2])


def _names_engine(mark: pytest.Mark) -> bool:
    """Tell whether a test says itself on which engine it runs: then it may be one alone."""
    names = mark.args[0]
    return "engine" in (names.split(",") if isinstance(names, str) else names)


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
