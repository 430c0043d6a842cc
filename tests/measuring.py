"""In which runs of a test coverage is measured, and in which of the processes that it starts.

To trace every line takes as long as the test itself. What is not measured can only make the share of covered
code look smaller than it is:

- A test that runs on both engines is measured on one of them, some on this and some on that: what either
  engine has for itself is reached by many.
- A test with the mark `unmeasured` runs much, and nothing that no other test runs.
- A process is measured where its test has the mark `measured_processes`: it would trace all that it imports.
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
    if item.get_closest_marker("unmeasured") is not None:
        return False
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
def measuring(item: pytest.Item) -> Iterator[None]:
    """Measure in this process, and in those that it starts, what is to be measured of a test."""
    coverage = Coverage.current()
    here = is_measured(item)
    if coverage is None or (here and item.get_closest_marker("measured_processes") is not None):
        yield
        return
    kept = {name: os.environ.pop(name) for name in COVERAGE_VARIABLES if name in os.environ}
    if not here:
        coverage.stop()
    try:
        yield
    finally:
        if not here:
            coverage.start()
        os.environ.update(kept)
