"""The laws of the API: how mutations end, and that the documentation speaks of the API that is served."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLUnionType,
    get_named_type,
    is_non_null_type,
    parse,
    validate,
)

import schema.errors
from schema.build import build_schema

ROOT = Path(__file__).parents[1]
SCHEMA = build_schema()._schema
GUIDE = ROOT / "docs" / "api.md"


def _documents() -> Iterator[tuple[str, str]]:
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for block in re.findall(
            r"^( *)```graphql\n(.*?)^ *```", file.read_text("utf-8"), re.DOTALL | re.MULTILINE
        ):
            yield file.name, block[1]


DOCUMENTS = list(_documents())


def test_the_documentation_asks_something() -> None:
    assert {name for name, _ in DOCUMENTS} >= {"api.md", "operations.md"}


@pytest.mark.parametrize("document", [text for _, text in DOCUMENTS], ids=[name for name, _ in DOCUMENTS])
def test_what_the_documentation_asks_is_a_valid_document(document: str) -> None:
    assert validate(SCHEMA, parse(document)) == []


def test_every_mutation_answers_a_payload_or_a_union_of_one_success_and_refusals() -> None:
    assert SCHEMA.mutation_type is not None

    lawless = [name for name, field in SCHEMA.mutation_type.fields.items() if not _ends_well(field.type)]

    assert lawless == []


def test_every_mutation_takes_one_input() -> None:
    assert SCHEMA.mutation_type is not None

    for name, field in SCHEMA.mutation_type.fields.items():
        assert list(field.args) == ["input"], name
        assert is_non_null_type(field.args["input"].type), name


def test_the_guide_explains_every_code() -> None:
    codes = re.findall(r"^([A-Z_]+)  +", schema.errors.__doc__ or "", re.MULTILINE)

    explained = re.findall(r"^\| `([A-Z_]+)` \|", GUIDE.read_text("utf-8"), re.MULTILINE)

    assert sorted(explained) == sorted(codes) != []


def test_the_guide_says_of_every_mutation_what_it_does_when_repeated() -> None:
    assert SCHEMA.mutation_type is not None
    table = GUIDE.read_text("utf-8").partition("| Mutation | Repeated |")[2]
    told = re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in table.splitlines() if "|" in row))

    assert sorted(told) == sorted(SCHEMA.mutation_type.fields)


def _ends_well(answered: GraphQLOutputType) -> bool:
    kind = get_named_type(answered)
    if not is_non_null_type(answered):
        return False
    if isinstance(kind, GraphQLUnionType):
        successes = [member.name for member in kind.types if not _is_refusal(member)]
        return kind.name.endswith("Result") and len(successes) == 1 and successes[0].endswith("Success")
    return isinstance(kind, GraphQLObjectType) and kind.name.endswith("Payload")


def _is_refusal(kind: GraphQLObjectType) -> bool:
    return "Problem" in [interface.name for interface in kind.interfaces]
