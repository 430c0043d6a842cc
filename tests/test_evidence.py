"""What an assessor cites must stand in the session; what does not is dropped, and costs confidence."""

from dataclasses import replace
from uuid import UUID

import pytest

from assist.evidence import LONGEST_QUOTE, LONGEST_TEXT, MOST_EVIDENCE, MOST_STEPS, check
from assist.port import Case, CaseBranch, CaseMessage, Draft, Evidence, Step
from db.enums import ConfidenceTier, MessageRole
from schema.context import utc_now

DRIVER = UUID("01a20000-0000-7000-8000-000000000001")
SAID = "The event log shows  829,\nfour times."
CASE = Case(
    problem="VPN drops",
    domain="network",
    notes=None,
    branches=(
        CaseBranch(
            id=DRIVER,
            label="Wi-Fi driver",
            status="ruled_out",
            status_reason="A wired laptop drops as well.",
            parent_id=None,
            is_active=False,
        ),
    ),
    messages=(CaseMessage(index=7, role=MessageRole.USER, content=SAID, at=utc_now()),),
)
SHOWS = Evidence(quote="The event log shows 829", message_index=7)
WIRED = Evidence(quote="A wired laptop drops", branch_id=DRIVER)
INVENTED = Evidence(quote="The firewall was replaced", message_index=7)
DRAFT = Draft(
    likely_cause="The first rekey fails.",
    suggested_steps=(Step(text="Read the firewall's log", evidence=(SHOWS,)),),
    already_tried=(Step(text="Updated the driver: no change", evidence=(WIRED,)),),
    confidence=ConfidenceTier.HIGH,
    evidence=(SHOWS, WIRED),
)


def test_what_the_session_bears_out_stays_as_it_is() -> None:
    assert check(CASE, DRAFT) == DRAFT


@pytest.mark.parametrize(
    "false",
    [
        INVENTED,
        Evidence(quote="The event log shows 829", message_index=8),
        Evidence(quote="The event log shows 829", branch_id=DRIVER),
        Evidence(quote="A wired laptop drops", message_index=7, branch_id=DRIVER),
        Evidence(quote="8", message_index=7),
        Evidence(quote="The event log shows 829"),
        Evidence(quote="  ", message_index=7),
        Evidence(quote=SAID.ljust(LONGEST_QUOTE + 1, "x"), message_index=7),
    ],
)
def test_a_citation_that_does_not_hold_is_dropped(false: Evidence) -> None:
    draft = replace(DRAFT, evidence=(false, WIRED))

    assert check(CASE, draft) == replace(DRAFT, evidence=(WIRED,))


def test_a_step_whose_citations_all_fell_is_dropped_and_the_others_stay() -> None:
    false = Step(text="Replaced the firewall", evidence=(INVENTED,))
    draft = replace(DRAFT, already_tried=(false, *DRAFT.already_tried))

    assert check(CASE, draft) == DRAFT


def test_a_cause_whose_citations_all_fell_leaves_none() -> None:
    checked = check(CASE, replace(DRAFT, evidence=(INVENTED,)))

    assert checked == replace(DRAFT, likely_cause=None, confidence=ConfidenceTier.LOW, evidence=())


@pytest.mark.parametrize(("told", "left"), [("HIGH", "MEDIUM"), ("MEDIUM", "LOW"), ("LOW", "LOW")])
def test_a_statement_that_cites_nothing_costs_a_tier(told: str, left: str) -> None:
    bare = Step(text="Reboot")
    bare_cause = replace(DRAFT, confidence=ConfidenceTier(told), evidence=())
    bare_step = replace(DRAFT, confidence=ConfidenceTier(told), suggested_steps=(bare,))

    assert check(CASE, bare_cause) == replace(bare_cause, confidence=ConfidenceTier(left))
    assert check(CASE, bare_step) == replace(bare_step, confidence=ConfidenceTier(left))


def test_an_assessor_that_does_not_stop_is_cut() -> None:
    step = Step(text="x" * 2 * LONGEST_TEXT, evidence=(SHOWS,) * 2 * MOST_EVIDENCE)
    endless = replace(
        DRAFT, likely_cause="y" * 2 * LONGEST_TEXT, suggested_steps=(step,) * 2 * MOST_STEPS, already_tried=()
    )

    checked = check(CASE, endless)

    assert checked.likely_cause == "y" * (LONGEST_TEXT - 1) + "…"
    cut = Step(text="x" * (LONGEST_TEXT - 1) + "…", evidence=(SHOWS,) * MOST_EVIDENCE)
    assert checked.suggested_steps == (cut,) * MOST_STEPS


@pytest.mark.parametrize("nothing", [None, "", " \n"])
def test_no_cause_is_an_honest_answer_of_the_lowest_confidence(nothing: str | None) -> None:
    checked = check(CASE, replace(DRAFT, likely_cause=nothing))

    assert (checked.likely_cause, checked.confidence, checked.evidence) == (None, ConfidenceTier.LOW, ())
    assert checked.already_tried == DRAFT.already_tried


def test_a_step_without_words_is_dropped() -> None:
    assert check(CASE, replace(DRAFT, suggested_steps=(Step(text=" "),))).suggested_steps == ()
