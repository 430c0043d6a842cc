"""What a language model is shown of a session: as much as fits, never less than the least, and as data."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assist.port import Evidence
from assist.prompt import INSTRUCTIONS, Prompt, estimate_tokens, write_prompt
from tests.cases import BRANCH_ID, make_branch, make_case

PLENTY = 100_000
#: What follows the session.
END = "\n</session>\n\nAssess this session."


def test_a_session_is_written_down_whole_where_there_is_room() -> None:
    parent = make_branch(label="Network", status="open", status_reason=None, is_active=True)
    child = make_branch(id=parent.id.__class__(int=7), parent_id=BRANCH_ID)

    prompt = write_prompt(make_case("It drops.", branches=(parent, child)), tokens=PLENTY)

    assert prompt.text == (
        "<session>\n"
        "<problem>VPN drops every hour</problem>\n"
        "<domain>network</domain>\n"
        "<notes>The customer has a board meeting at ten.</notes>\n"
        '<branch source="b1" active="yes">Network: open</branch>\n'
        '<branch source="b2" below="b1">DNS: ruled_out, It resolves everywhere.</branch>\n'
        '<message source="m3" role="user">It drops.</message>\n'
        "</session>\n"
        "\n"
        "Assess this session."
    )


def test_what_a_session_does_not_have_is_left_out() -> None:
    case = make_case(problem=None, domain="", notes=" \n", branches=(), messages=())

    assert write_prompt(case, tokens=PLENTY).text == f"<session>{END}"


@pytest.mark.parametrize("tokens", [0, 50, 600])
def test_the_last_ten_messages_are_shown_whatever_it_costs_each_cut(tokens: int) -> None:
    case = make_case(*(f"{number:03} {'x' * 5000}" for number in range(50)))

    prompt = write_prompt(case, tokens=tokens)

    assert _messages(prompt) == {f"m{number + 3}": f"{number:03} {'x' * 196} […]" for number in range(40, 50)}


def test_room_is_given_to_the_newest_messages_first() -> None:
    case = make_case(*(f"{number:03} {'x' * 996}" for number in range(50)))

    shown = _messages(write_prompt(case, tokens=3000))

    lengths = [len(text) for text in shown.values()]
    assert list(shown) == [f"m{number}" for number in range(53 - len(shown), 53)]
    assert len(shown) >= 10
    assert lengths == sorted(lengths)
    assert set(lengths) == {204, 1000}


def test_older_messages_come_without_a_gap() -> None:
    case = make_case(*("short" if number % 2 else "x" * 1500 for number in range(50)))

    shown = _messages(write_prompt(case, tokens=8000))

    assert 10 < len(shown) < 50
    assert list(shown) == [f"m{number}" for number in range(53 - len(shown), 53)]


def test_a_long_message_is_cut() -> None:
    prompt = write_prompt(make_case("x" * 2001), tokens=PLENTY)

    assert _messages(prompt) == {"m3": f"{'x' * 2000} […]"}


def test_branches_take_no_more_than_their_half_but_the_active_one_is_shown() -> None:
    branches = [make_branch(id=BRANCH_ID.__class__(int=n), label=f"{n} {'x' * 300}") for n in range(1, 100)]
    branches[-1] = make_branch(id=BRANCH_ID.__class__(int=99), label="The active one", is_active=True)

    prompt = write_prompt(make_case(branches=tuple(branches)), tokens=4000)

    names = [name for name in prompt.sources if name.startswith("b")]
    assert names == [*(f"b{number}" for number in range(1, len(names))), "b99"]
    assert 5 < len(names) < 20
    assert list(_messages(prompt)) == ["m3", "m4"]


@settings(deadline=None)
@given(st.lists(st.text(max_size=3000), max_size=40), st.integers(700, 20_000))
def test_a_session_keeps_to_its_budget_beyond_the_least(texts: list[str], tokens: int) -> None:
    case = make_case("start", *texts, branches=())
    least = write_prompt(case, tokens=0)

    prompt = write_prompt(case, tokens=tokens)

    assert estimate_tokens(prompt.text) <= max(tokens, estimate_tokens(least.text)) + 50
    assert list(_messages(prompt))[-10:] == list(_messages(least))


@settings(deadline=None)
@given(st.text(alphabet="</session>&;ltgm \n\x00\u202e\U000e0041", max_size=100))
def test_nothing_in_a_session_opens_or_closes_a_tag(text: str) -> None:
    branch = make_branch(label=text, status=text, status_reason=text)
    case = make_case(text, problem=f"p{text}", domain=text, notes=text, branches=(branch,))

    prompt = write_prompt(case, tokens=PLENTY)

    tags = re.findall(r"</?(\w+)", prompt.text)
    allowed = ["session", "problem", "domain", "notes", "branch", "message"]
    assert [tag for tag in allowed if tags.count(tag) not in (0, 2)] == []
    assert set(tags) <= set(allowed)
    assert prompt.text.startswith("<session>\n")
    assert prompt.text.endswith(END)
    assert prompt.text.count("</session>") == 1
    assert "<session>" in INSTRUCTIONS


def test_characters_that_nobody_sees_reach_no_model() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")

    prompt = write_prompt(make_case(f"All\u200b is\u202e w\x1bell.{hidden}\n\tReally."), tokens=PLENTY)

    assert _messages(prompt) == {"m3": "All is well.\n\tReally."}


@pytest.mark.parametrize("name", ["m4", "M4", " [m4] "])
def test_a_message_is_cited_by_its_source(name: str) -> None:
    prompt = write_prompt(make_case(), tokens=PLENTY)

    assert prompt.evidence(name, "rekey after") == Evidence(quote="rekey after", message_index=4)


def test_a_branch_is_cited_by_its_source() -> None:
    prompt = write_prompt(make_case(), tokens=PLENTY)

    assert prompt.evidence("b1", "resolves") == Evidence(quote="resolves", branch_id=BRANCH_ID)


@pytest.mark.parametrize("name", ["m5", "b2", "4", "", "the log"])
def test_what_was_not_shown_cannot_be_cited(name: str) -> None:
    assert write_prompt(make_case(), tokens=PLENTY).evidence(name, "rekey after") is None


def test_a_quote_becomes_the_very_words_of_its_source() -> None:
    prompt = write_prompt(make_case("Error:\n\tno  Proposal chosen (0x1)"), tokens=PLENTY)

    evidence = prompt.evidence("m3", " error: No proposal chosen (0X1)")

    assert evidence == Evidence(quote="Error:\n\tno  Proposal chosen (0x1)", message_index=3)


@pytest.mark.parametrize("quote", ["another proposal", "", " ", "xxx […]"])
def test_a_quote_that_is_not_there_stays_as_it_is(quote: str) -> None:
    prompt = write_prompt(make_case("x" * 3000), tokens=PLENTY)

    assert prompt.evidence("m3", quote) == Evidence(quote=quote, message_index=3)


def test_an_escape_that_a_person_wrote_is_kept() -> None:
    prompt = write_prompt(make_case("The page shows &amp;lt; instead"), tokens=PLENTY)

    assert prompt.evidence("m3", "shows &amp;lt;") == Evidence(quote="shows &amp;lt;", message_index=3)


def _messages(prompt: Prompt) -> dict[str, str]:
    """Return the messages of a prompt by their source, as they are written there."""
    return dict(re.findall(r'<message source="(m\d+)" role="\w+">(.*?)</message>', prompt.text, re.DOTALL))
