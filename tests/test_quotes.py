"""A quote is found in the words of the session, without its secrets, or it proves nothing."""

import pytest

from assist.port import Evidence
from assist.quotes import is_quote, rests_on_session, without_secrets
from tests.cases import BRANCH_ID, SECRET, make_branch, make_case, take_out_secret

LOG = "Jan 31 09:12 charon: rekey after 3600 s,\n\tno proposal\u00a0chosen (error 0x800B0109)"


@pytest.mark.parametrize(
    "quote",
    [
        "rekey after 3600 s",
        "REKEY after   3600 s, no proposal chosen",
        " no proposal chosen\n",
        "0x800B0109",
        "re\u200bkey after",
    ],
)
def test_words_that_stand_in_the_text_are_a_quote(quote: str) -> None:
    assert is_quote(quote, LOG)


@pytest.mark.parametrize(
    "quote",
    [
        "rekey after 28800 s",
        "proposal chosen no",
        "rekey … chosen",
        "",
        "  ",
        "s,",
        "(",
        "\u200b\u200b\u200b\u200b",
    ],
)
def test_other_words_and_too_few_are_none(quote: str) -> None:
    assert not is_quote(quote, LOG)


@pytest.mark.parametrize(
    ("evidence", "holds"),
    [
        (Evidence(quote="rekey after 3600 s", message_index=4), True),
        (Evidence(quote="rekey after 3600 s", message_index=3), False),
        (Evidence(quote="rekey after 3600 s", message_index=5), False),
        (Evidence(quote="rekey after 3600 s"), False),
        (Evidence(quote="rekey after 3600 s", message_index=4, branch_id=BRANCH_ID), False),
        (Evidence(quote="It resolves everywhere.", branch_id=BRANCH_ID), True),
        (Evidence(quote="DNS", branch_id=BRANCH_ID), True),
        (Evidence(quote="ruled_out", branch_id=BRANCH_ID), True),
        (Evidence(quote="DNS", branch_id=make_branch().id.__class__(int=1)), False),
    ],
)
def test_evidence_names_one_message_or_branch_that_exists_and_its_words(
    evidence: Evidence, holds: bool
) -> None:
    assert rests_on_session(evidence, make_case()) is holds


def test_secrets_leave_every_text_of_a_case_and_nothing_else_does() -> None:
    text = f"The password is {SECRET}."
    branch = make_branch(label=text, status=SECRET, status_reason=text)
    case = make_case(text, "Nothing here.", problem=text, domain=SECRET, notes=text, branches=(branch,))

    clean = without_secrets(case, take_out_secret)

    mark = "[password removed]"
    marked = f"The password is {mark}."
    assert clean == make_case(
        marked,
        "Nothing here.",
        problem=marked,
        domain=mark,
        notes=marked,
        branches=(make_branch(label=marked, status=mark, status_reason=marked),),
    )
    assert without_secrets(clean, take_out_secret) == clean


def test_a_case_without_problem_domain_and_notes_stays_without() -> None:
    case = make_case(problem=None, domain=None, notes=None, branches=(make_branch(status_reason=None),))

    assert without_secrets(case, take_out_secret) == case


def test_a_mark_can_be_quoted_and_a_secret_cannot() -> None:
    case = without_secrets(make_case(f"The password is {SECRET}."), take_out_secret)

    assert rests_on_session(Evidence(quote="is [password removed].", message_index=3), case)
    assert not rests_on_session(Evidence(quote=SECRET, message_index=3), case)
