"""A law of the map: the architecture guide shows every module, and nothing that is gone."""

import re

import pytest

from tests.modules import PACKAGES, ROOT

NOT_SHOWN = {"__init__", "__pycache__"}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_house_shows_every_module(package: str) -> None:
    kept = {
        path.name.removesuffix(".py")
        for path in (ROOT / package).iterdir()
        if path.is_file() or any(child.name != "__pycache__" for child in path.iterdir())
    }

    shown = _shown(package)

    assert sorted(kept - NOT_SHOWN - shown) == []
    assert sorted(shown - kept) == []


def _shown(package: str) -> set[str]:
    """Return the names that stand behind a folder in the drawing of the house, its headings left out."""
    drawing = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    match = re.search(rf"^{package}/ .*\n(?: .*\n)*", drawing, re.MULTILINE)
    assert match is not None
    listed = " ".join(line[27:] for line in match[0].splitlines())
    return {word.removesuffix("/") for word in re.findall(r"[\w.]+/?", listed)}
