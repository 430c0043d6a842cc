"""Laws of the house that no type checker and no linter holds."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import graphql
import pytest
import strawberry
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType
from strawberry.permission import PermissionExtension

from schema.build import print_schema
from schema.mutations import Mutation
from schema.queries import Query
from schema.subscriptions import Subscription
from server.settings import Settings
from tests.documents import SCHEMA
from tests.modules import ROOT, modules, name_of, tree_of

#: What git does not keep, by the name of its folder; hidden ones are passed over as well.
NOT_KEPT = {"node_modules", "__pycache__", "var", "dist", "build", "htmlcov"}
PLACES_OF_A_MACHINE = re.compile(r"(?<![\w.:/])/(?:home|root|Users|work)/\w")
WRITES = {"insert", "update", "delete", "merge"}
WRITES_EVENTS = re.compile(
    r"\b(?:insert\s+into|update|delete\s+from|merge\s+into|truncate)\s+events\b", re.IGNORECASE
)


def test_schema_graphql_is_the_schema_that_is_served() -> None:
    kept = (ROOT / "schema.graphql").read_text(encoding="utf-8")

    assert kept == print_schema(), "write it anew with: make schema"


def test_everything_in_the_schema_is_described() -> None:
    silent = [name for name, described in _descriptions() if not (described or "").strip()]

    assert silent == []


@pytest.mark.parametrize("root", [Query, Mutation, Subscription])
def test_every_root_field_has_a_permission(root: type) -> None:
    fields = strawberry.types.get_object_definition(root, strict=True).fields

    open_to_all = [
        field.python_name
        for field in fields
        if not any(isinstance(extension, PermissionExtension) for extension in field.extensions)
    ]

    assert fields
    assert open_to_all == []


def test_the_environment_is_read_by_the_settings_alone() -> None:
    readers = {name_of(file) for file in modules() if _reads_environment(tree_of(file))}

    assert readers <= {"server/settings.py"}
    assert _reads_environment(tree_of(ROOT / "tests/servers/postgres.py"))  # it would be noticed


def test_events_are_written_by_the_one_function_that_numbers_them() -> None:
    writers = {name_of(file) for file in modules() if _writes_events(tree_of(file))}

    assert writers == {"db/events.py"}


def test_every_setting_is_documented() -> None:
    operations = (ROOT / "docs/operations.md").read_text(encoding="utf-8")

    names = [f"HANDOFF_{setting.upper()}" for setting in Settings.model_fields]
    assert [name for name in names if not re.search(rf"\b{name}\b", operations)] == []


def test_the_readme_asks_for_nothing_that_holds_this_year_alone() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert re.findall(r"\b20[0-9]{2}-[0-9]{2}\b", readme) == []


def test_no_file_outside_the_documentation_speaks_of_one_machine() -> None:
    found = [
        f"{name_of(file)}: {match.group()}"
        for file in _kept_files()
        if file.relative_to(ROOT).parts[0] != "docs"
        for match in PLACES_OF_A_MACHINE.finditer(file.read_text(encoding="utf-8", errors="replace"))
    ]

    assert found == []


def test_what_language_models_need_is_imported_by_no_other_module() -> None:
    """Optional packages must not be missed by those who do without, nor slow their start down."""
    speakers = {"assist.llm", "assist.language_models"}
    names = {
        name_of(file).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in modules()
    }
    look = (
        "import sys, importlib; [importlib.import_module(name) for name in sys.argv[1:]]; print(*sys.modules)"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", look, *sorted(names - speakers)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert speakers < names
    assert {"server.assessors", "server.cli", "schema.build"} <= set(loaded)
    assert {"pydantic_ai", "openai", "anthropic", "httpx2"}.isdisjoint(loaded)


def test_the_lock_file_names_public_places_only() -> None:
    hosts = set(re.findall(r'"https?://([^/"]+)', (ROOT / "uv.lock").read_text(encoding="utf-8")))

    assert hosts == {"pypi.org", "files.pythonhosted.org"}


def _descriptions() -> Iterator[tuple[str, str | None]]:
    """Yield the name and the description of all that a client can see."""
    for kind in SCHEMA.type_map.values():
        if graphql.is_introspection_type(kind) or graphql.is_specified_scalar_type(kind):
            continue
        yield kind.name, kind.description
        if isinstance(kind, GraphQLEnumType):
            yield from ((f"{kind.name}.{name}", value.description) for name, value in kind.values.items())
        if isinstance(kind, GraphQLInputObjectType):
            yield from ((f"{kind.name}.{name}", field.description) for name, field in kind.fields.items())
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in kind.fields.items():
                yield f"{kind.name}.{name}", field.description
                for argument, given in field.args.items():
                    yield f"{kind.name}.{name}({argument})", given.description


def _reads_environment(tree: ast.Module) -> bool:
    forbidden = {"environ", "environb", "getenv", "getenvb", "putenv"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in forbidden and ast.unparse(node.value) == "os":
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            return any(alias.name in forbidden for alias in node.names)
    return False


def _writes_events(tree: ast.Module) -> bool:
    """Tell whether a module holds a statement that writes to the table, built or as text."""
    table = {"models.events"} | {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("db.models")
        for alias in node.names
        if alias.name == "events"
    }
    return any(_is_write(node, table) for node in ast.walk(tree))


def _is_write(node: ast.AST, table: set[str]) -> bool:
    """Recognise `insert(events)`, `postgresql.insert(events)`, `events.insert()` and SQL as text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return WRITES_EVENTS.search(node.value) is not None
    if not isinstance(node, ast.Call):
        return False
    called, targets = node.func, [ast.unparse(argument) for argument in node.args[:1]]
    if isinstance(called, ast.Attribute):
        return called.attr in WRITES and not table.isdisjoint([*targets, ast.unparse(called.value)])
    return isinstance(called, ast.Name) and called.id in WRITES and not table.isdisjoint(targets)


def _kept_files() -> Iterator[Path]:
    for folder, below, files in os.walk(ROOT):
        below[:] = [name for name in below if name not in NOT_KEPT and (name == ".ci" or name[0] != ".")]
        # In a work tree of its own, .git is a file that names another folder; .coverage names what it saw.
        yield from (
            Path(folder, name) for name in files if name != ".git" and not name.startswith(".coverage")
        )
