"""Laws of the log: what an operator may read there stands in the operations guide."""

import ast
from collections.abc import Iterator

from tests.modules import ROOT, modules, name_of, tree_of

LOUD = {"warning", "error", "exception", "critical"}


def test_every_warning_and_error_is_explained_to_operators() -> None:
    table = (ROOT / "docs/operations.md").read_text(encoding="utf-8").partition("## Logs")[2]
    said = {message: name_of(file) for file in modules() for message in _messages(tree_of(file))}

    assert len(said) > 40
    assert {message: where for message, where in said.items() if f"`{message}`" not in table} == {}


def _messages(tree: ast.Module) -> Iterator[str]:
    """Yield the messages that a module logs as a warning or worse, or at a level that it finds out."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_log(node.func)):
            continue
        position = 1 if node.func.attr == "log" else 0
        message = node.args[position]
        assert isinstance(message, ast.Constant), f"no fixed message: {ast.unparse(node)}"
        yield str(message.value)


def _is_log(called: ast.Attribute) -> bool:
    names = ("log", "logger", "logging.getLogger(__name__)")
    return called.attr in LOUD | {"log"} and ast.unparse(called.value) in names
