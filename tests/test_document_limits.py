"""How much a document may ask: measured before it costs anything, and the same on every transport."""

import re
from typing import Any

import graphql
import pytest
from graphql import GraphQLNamedType, SelectionNode, parse
from hypothesis import given

from schema import documents
from schema.build import build_schema
from schema.documents import LIMITS
from schema.limits import Measure, Usage, check
from schema.remembered import Remembered
from tests import client, sockets
from tests.cast import Cast
from tests.client import Api, running_api
from tests.documents import Operation, request, root_fields
from tests.live import Live
from tests.selections import Drawn, WrittenOut, drawn_documents

SCHEMA = build_schema()._schema
OPERATIONS: tuple[Operation, ...] = ("query", "mutation", "subscription")


def nested(depth: int) -> str:
    return f'{{ session(id: "x") {{ activeBranch {"{ parentBranch " * (depth - 3)} {{ id {"}" * (depth)}'


def fields(count: int) -> str:
    """Spread the fields over a chain: the same ones often in one place are refused by themselves."""
    names = (["id", "label", "status", "order"] * 11 + [""]) * 20
    chain, left = "", count - 2
    for _ in range(14):
        here = min(44, left)
        chain += f"{' '.join(names[:here])} "
        left -= here
        if not left:
            break
        chain, left = f"{chain} parentBranch {{ ", left - 1
    closing = "}" * chain.count("{")
    return f'{{ session(id: "x") {{ activeBranch {{ {chain} {closing} }} }} }}'


def aliases(count: int) -> str:
    return f"{{ me {{ {' '.join(f'a{number}: name' for number in range(count))} }} }}"


def repeats(count: int) -> str:
    """Ask for one place of the answer in as many ways as it can be written."""
    spread = "... on Query { me { name } } "
    return f"{{ me {{ name ... on User {{ name }} }} {spread * (count - 2)} }}"


def root_names(count: int) -> str:
    return f"{{ {' '.join(f'a{number}: __typename' for number in range(count))} }}"


def directives(count: int) -> str:
    asked = [f"{name} @skip(if: false) @include(if: true)" for name in ("name", "email", "role") * 12]
    odd = " active @skip(if: false)" if count % 2 else ""
    return f"{{ me {{ {' '.join(asked[: count // 2])}{odd} }} }}"


def cost(asked: int) -> str:
    """Return a document that asks 25,000, with as many root fields more as that is exceeded by."""
    counted = f"{'totalCount ' * 12} pageInfo {{ {'hasNextPage ' * 12} {'endCursor ' * 4} }}"
    page = f"sessions(first: 39) {{ edges {{ node {{ messages(first: 22) {{ {counted} }} }} }} }}"
    return f"{{ {page} {'__typename ' * (asked - 25_000)} }}"


def characters(count: int) -> str:
    return "{ me { name } }".ljust(count)


#: A document for each limit, by how much of it is asked.
EDGES = {
    "depth": nested,
    "fields": fields,
    "aliases": aliases,
    "repeats": repeats,
    "root_fields": root_names,
    "directives": directives,
    "cost": cost,
}
TOO_MUCH = {name: document(getattr(LIMITS, name) + 1) for name, document in EDGES.items()} | {
    "characters": characters(LIMITS.characters + 1),
    "tokens": f"{{ queue(filter: [{'1 ' * (LIMITS.tokens - 10)}]) {{ totalCount }} }}",
}


@pytest.mark.parametrize("name", EDGES)
def test_a_limit_may_be_reached_and_not_passed(name: str) -> None:
    limit = getattr(LIMITS, name)

    at, beyond = (measured(EDGES[name](asked)) for asked in (limit, limit + 1))

    said = f"The document asks too much: {name.replace('_', ' ')} {limit + 1}, allowed {limit}."
    assert (getattr(at, name), check(at, LIMITS)) == (limit, [])
    assert [error.message for error in check(beyond, LIMITS)] == [said]


async def test_what_reaches_a_limit_is_answered_and_what_passes_it_is_refused(api: Api) -> None:
    for name, document in EDGES.items():
        at = await api.ask(api.cast.alice, document(getattr(LIMITS, name)))
        beyond = await api.ask(api.cast.alice, TOO_MUCH[name])

        assert (at.errors == []) == (name not in {"depth", "fields"}), at  # no session has the id
        assert set(at.codes) <= {"BAD_USER_INPUT", "NOT_FOUND"}
        assert (beyond.data, beyond.codes) == (None, ["BAD_USER_INPUT"])
    assert (await api.ask(api.cast.alice, characters(LIMITS.characters))).errors == []


async def test_a_document_is_refused_alike_on_both_transports(live: Live) -> None:
    alice = live.cast.alice
    async with live.dashboard(alice) as socket:
        for name, document in TOO_MUCH.items():
            over_http = await live.ask(alice, document)
            message = await (await socket.subscribe(document)).next_message()

            (said,) = [error["message"] for error in over_http.errors]
            assert re.search(rf"{name.replace('_', ' ').replace('characters', 'code points')}", said), said
            assert (message["type"], message["payload"]) == ("error", over_http.errors)
        assert (await (await socket.subscribe("{ me { name } }")).next_event()) == {"name": "Alice"}


async def test_what_is_too_large_to_be_followed_is_refused_in_words_of_the_api(api: Api) -> None:
    levels = "".join(
        f"fragment F{number} on Query {{ {'a { ' * 30} ...F{number + 1} {'}' * 30} }} "
        for number in range(20)
    )
    chain = "".join(f"fragment F{number} on Query {{ ...F{number + 1} }} " for number in range(240))
    unreadable = {
        f"{{ ...F0 }} {levels} fragment F20 on Query {{ me {{ id }} }}": "The document asks too much: depth ",
        f"{{ ...F0 }} {chain} fragment F240 on Query {{ me {{ id }} }}": "",
        f"{{ {'me { ' * 300} name {'}' * 301}": "Syntax Error: Document is nested too deeply.",
        f"{{ queue(first: {'9' * 5000}) {{ totalCount }} }}": "Expected value of type 'Int'",
        f"{{ queue(first: {'9' * 300}) {{ totalCount }} }}": "Int cannot represent non 32-bit signed integer",
    }

    for document, said in unreadable.items():
        answer = await api.ask(api.cast.alice, document)

        assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"])
        message = answer.errors[0]["message"]
        assert message.startswith(said)
        assert re.search(r"recursion|digits|sys\.|99999", message) is None


def test_a_fragment_counts_as_often_as_it_is_spread() -> None:
    fragment = "fragment Names on User { a: name name @skip(if: true) }"

    usage = measured(f"{{ me {{ {'...Names ' * 7} }} }} {fragment}")

    assert usage == Usage(depth=2, fields=15, aliases=7, repeats=7, root_fields=1, directives=7, cost=15)


def test_a_fragment_that_nothing_spreads_counts_since_validation_reads_it() -> None:
    usage = measured("{ me { name } } fragment Names on User { id name name email role }")

    assert usage == Usage(depth=2, fields=5, repeats=2, root_fields=1, cost=5)


def test_the_worst_operation_of_a_document_counts() -> None:
    usage = measured("query A { me { name } } query B { a: me { name } __typename }")

    assert (usage.root_fields, usage.aliases, usage.fields) == (2, 1, 3)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{ ...A } fragment A on Query { ...A }", "Cannot spread fragment 'A' within itself."),
        (
            "{ ...A } fragment A on Query { me { name } ...B } fragment B on Query { ...A ...A }",
            "Cannot spread fragment 'A' within itself via 'B'.",
        ),
        ("{ ...Nothing }", "Unknown fragment 'Nothing'."),
        ("{ ... on Nothing { a { b } } }", "Unknown type 'Nothing'."),
        ("{ me { name { first { letter } } } }", "Field 'name' must not have a selection"),
    ],
)
async def test_a_document_that_makes_no_sense_is_measured_and_then_refused(
    api: Api, document: str, said: str
) -> None:
    answer = await api.ask(api.cast.alice, document)

    assert answer.data is None
    assert set(answer.codes) == {"BAD_USER_INPUT"}
    assert any(error["message"].startswith(said) for error in answer.errors)


async def test_a_page_size_counts_wherever_it_is_written(api: Api) -> None:
    pages = "sessions(first: $n) { edges { node { messages(first: $n) { edges { node { index } } } } } }"
    plain, preset = f"query ($n: Int! = 20) {{ {pages} }}", f"query ($n: Int! = 100) {{ {pages} }}"
    literal = f"{{ {pages.replace('$n', '100')} }}"
    refused = ["The document asks too much: cost 30301, allowed 25000."]

    asked: list[tuple[str, dict[str, Any], list[str]]] = [
        (plain, {}, []),
        (plain, {"n": 100}, refused),
        (plain, {"n": 90}, []),
        (plain, {"n": 100.0}, refused),
        (preset, {}, refused),
        (preset, {"n": 20}, []),
        (literal, {}, refused),
    ]

    for document, variables, expected in asked * 2:  # the second time they are remembered
        answer = await api.ask(api.cast.alice, document, **variables)
        assert [error["message"] for error in answer.errors] == expected


def test_texts_that_may_be_long_count_for_more_than_other_fields() -> None:
    pages = "sessions(first: {}) {{ edges {{ node {{ {} }} }} }}"
    messages = "messages(first: 100) { edges { node { content } } }"
    notes = "handoffs(first: 100) { edges { node { notes } } }"

    for longest, inside in ((9, messages), (35, notes)):
        asked = [f"{{ {pages.format(length, inside)} }}" for length in (longest, longest + 1)]
        assert [bool(check(measured(document), LIMITS)) for document in asked] == [False, True]


def test_a_page_that_is_too_long_in_one_operation_hides_no_long_one_in_another() -> None:
    pages = "{ sessions(first: $n) { edges { node { messages(first: $n) { totalCount } } } } }"

    usage = measured(f"query A ($n: Int = 100) {pages} query B ($n: Int = 1000000) {pages}")

    assert usage.cost == 1 + 100 * (3 + 100)


def test_fragments_that_double_each_other_are_visited_once() -> None:
    doubling = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(20))
    node = graphql.parse(f"{{ ...F0 }} {doubling} fragment F20 on Query {{ me {{ name }} }}")
    measure = CountingMeasure(SCHEMA, node, {})

    usage = measure.worst()

    assert measure.visited == 43  # each selection that is written, once
    assert usage.root_fields == 2**20
    assert {error.message.split()[5] for error in check(usage, LIMITS)} == {"fields", "root", "cost"}


@given(drawn_documents(SCHEMA))
def test_a_document_is_measured_as_if_it_were_written_out(drawn: Drawn) -> None:
    node = graphql.parse(drawn.document)

    written_out = WrittenOut(SCHEMA, node, drawn.variables)
    assert Measure(SCHEMA, node, drawn.variables).worst() == written_out.usage()


async def test_the_introspection_query_passes(api: Api) -> None:
    whole = graphql.get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )

    answer = await api.ask(None, whole)

    assert answer.errors == []
    assert answer.data is not None
    assert len(answer.data["__schema"]["types"]) == len(SCHEMA.type_map)


def test_what_dashboards_and_these_tests_ask_passes() -> None:
    asked = [client.CREATE, client.CLAIM, client.RELEASE, client.HANDOFF]
    asked += [sockets.ESCALATIONS, sockets.QUEUE_CHANGES]
    asked += [f"query ($id: ID!) {{ session(id: $id) {{ {client.SESSION_FIELDS} }} }}"]
    asked += [
        request(operation, field, AnyId(), depth=2).document
        for operation in OPERATIONS
        for field in root_fields(operation)
    ]

    refused = {document: documents.read(SCHEMA, document).errors for document in asked}

    assert {document: errors for document, errors in refused.items() if errors} == {}


def test_what_is_remembered_is_bounded_by_its_number() -> None:
    remembered: Remembered[int] = Remembered(20)
    for number in range(50):
        remembered.keep(number, [parse("{ a }")], number)
        remembered.get(0)  # the newest from then on

    assert len(remembered) == 20
    assert [remembered.get(number) for number in (0, 30, 31, 49)] == [0, None, 31, 49]


def test_what_is_remembered_is_bounded_by_the_tokens_of_its_documents() -> None:
    remembered: Remembered[int] = Remembered(1_000, most_tokens=100)  # a token is a name, a bracket or an end
    for number in range(50):
        document = parse(f"{{ {'a ' * 16} }}")
        (operation,) = document.definitions
        remembered.keep((number, "document"), [document], number)
        remembered.keep((number, "operation"), [operation], number)

    assert (len(remembered), remembered.tokens) == (10, 100)
    assert [remembered.get((number, "operation")) for number in (44, 45, 49)] == [None, 45, 49]

    remembered.keep("long", [parse(f"{{ {'a ' * 500} }}")], 0)  # one is remembered however long it is

    assert (len(remembered), remembered.tokens) == (1, 504)


async def test_documents_of_a_user_are_remembered_up_to_so_many_tokens(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = documents._PARSED, documents._READ
    for each in known:
        monkeypatch.setattr(each, "_most_tokens", 5 * LIMITS.tokens)

    for number in range(10):
        await api.ask(api.cast.vera, f"{{ a{number} {'a ' * (LIMITS.tokens - 10)} }}")

    assert [each.tokens <= 5 * LIMITS.tokens for each in known] == [True, True]
    assert [len(each) for each in known] == [5, 5]


async def test_documents_of_strangers_are_not_remembered(database_url: str, cast: Cast) -> None:
    async with running_api(database_url, cast, demo=False) as api:
        before = len(documents._PARSED), len(documents._READ)

        for number in range(5):
            for kind in ("query", "mutation", "subscription"):
                answer = await api.ask(None, f"{kind} Stranger{number} {{ a }}")
                assert answer.codes == ["UNAUTHENTICATED"]

    assert (len(documents._PARSED), len(documents._READ)) == before


async def test_a_document_that_is_asked_again_is_not_read_again(api: Api) -> None:
    document = "query ($id: ID!) { session(id: $id) { id } once: me { name } }"
    await api.ask(api.cast.alice, document, id="a")
    before = documents._PARSED.get(document), documents._READ.get((SCHEMA, document))

    for id_ in ("b", "c"):
        await api.ask(api.cast.alice, document, id=id_)

    after = documents._PARSED.get(document), documents._READ.get((SCHEMA, document))
    assert None not in before
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, True]


async def test_of_many_mistakes_a_few_are_told_without_suggestions(api: Api) -> None:
    answer = await api.ask(
        api.cast.alice, f"{{ me {{ {' '.join(f'nam{number}' for number in range(100))} }} }}"
    )

    said = [f"Cannot query field 'nam{number}' on type 'User'." for number in range(5)]
    assert [error["message"] for error in answer.errors[:5]] == said
    assert len(answer.errors) == 6
    assert answer.errors[5]["message"].startswith("Too many validation errors")


def measured(document: str) -> Usage:
    return Measure(SCHEMA, graphql.parse(document), {}).worst()


class CountingMeasure(Measure):
    """Counts the selections that it visits."""

    visited = 0

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType | None) -> Usage:
        self.visited += 1
        return super()._selection(node, parent)


class AnyId(dict[str, str]):
    """Has an id for whatever is asked."""

    def __missing__(self, _: str) -> str:
        return "x"
