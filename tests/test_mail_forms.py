"""A mail that is filled into a form is, to the byte, the one that is written for its recipient alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assist.redaction import redact
from db.assessments import Statements
from notify import mail_forms
from notify.envelopes import Envelope, on_the_wire, sealed
from notify.escalation_mails import BranchLine, EscalationMail
from notify.mail_forms import write
from notify.mail_headers import UnusableAddress
from notify.messages import render
from tests.test_mail_messages import ESCALATION

SENDER = "Handoff <handoff@mail.example.org>"
NOW = datetime(2026, 11, 21, 12, 15, tzinfo=UTC)

#: What breaks lines, ends bodies, is encoded, or looks like a mark, a boundary or a soft line break.
PIECES = [
    *("\r\n", "\n", "\r", "\0", "\v", "\f", "\x1c", "\x85", "\u2028", "\ud800", "\x00why\x00", "=\n", "=20"),
    *(
        "--=_handoff",
        "=_plain",
        "=_html",
        ".",
        "\n.\n",
        " \n",
        "\t\n",
        " ",
        "=",
        "From ",
        "password: hunter2!",
    ),
    *("ä", "😀", "<", "&", "a" * 75, "a" * 76, "a" * 77, "ü" * 40),
]
WORDS = st.text(st.characters(codec=None), max_size=120) | st.lists(st.sampled_from(PIECES), max_size=12).map(
    "".join
)
LINKS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=300).map("https://".__add__)
KINDS = st.sampled_from(["ESCALATION", "REMINDER", "CLAIMED", "UNREACHED"])
EMAILS = st.from_regex(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9]{1,60}(\.example)?", fullmatch=True
).filter(lambda email: "=?" not in email)
BRANCHES = st.lists(
    st.builds(
        BranchLine,
        label=WORDS,
        status=WORDS,
        status_reason=st.none() | WORDS,
        is_active=st.booleans(),
        depth=st.integers(0, 8),
    ),
    max_size=3,
).map(tuple)
FOUND = st.builds(
    Statements,
    likely_cause=st.none() | WORDS,
    confidence=st.sampled_from(["LOW", "MEDIUM", "HIGH"]),
    suggested_steps=st.lists(WORDS, max_size=3).map(tuple),
    already_tried=st.lists(WORDS, max_size=3).map(tuple),
    generated_by=WORDS,
)
SHARED = st.fixed_dictionaries(
    {
        "kind": KINDS,
        "priority": st.sampled_from(["LOW", "NORMAL", "HIGH", "URGENT"]),
        "account_name": WORDS,
        "team_name": st.none() | WORDS,
        "handed_off_by": WORDS,
        "claimed_by": st.none() | WORDS,
        "problem_summary": st.none() | WORDS,
        "problem_domain": st.none() | WORDS,
        "notes": st.none() | WORDS,
        "psa_ticket_id": st.none() | WORDS,
        "branches": BRANCHES,
        "assessment": st.none() | FOUND,
    }
)
OWN = st.fixed_dictionaries(
    {
        "delivery_id": st.uuids(),
        "recipient_name": WORDS,
        "recipient_email": EMAILS,
        "link": LINKS,
        "why": WORDS,
    }
)


def plainly(mail: EscalationMail, now: datetime = NOW, sender: str = SENDER) -> Envelope:
    """Write a mail for its recipient alone."""
    return sealed(render(mail, sender=sender, now=now, redact=redact))


def by_form(mail: EscalationMail, now: datetime = NOW, sender: str = SENDER) -> Envelope:
    """Write a mail by filling in the form of all recipients."""
    return write(mail, sender=sender, now=now, redact=redact)


@settings(deadline=None)
@given(
    shared=SHARED,
    recipients=st.lists(OWN, min_size=1, max_size=4),
    unsubscribe=st.none() | LINKS,
    later=st.integers(0, 10**9),
)
def test_every_recipients_mail_is_the_one_written_for_them_alone(
    shared: dict[str, Any], recipients: list[dict[str, Any]], unsubscribe: str | None, later: int
) -> None:
    now = NOW + timedelta(seconds=later)

    for own in recipients:
        mail = replace(ESCALATION, **shared, **own, unsubscribe=unsubscribe)
        assert by_form(mail, now) == plainly(mail, now)
        assert on_the_wire(by_form(mail, now)) == on_the_wire(plainly(mail, now))


@pytest.mark.parametrize("email", ["böb@example.org", "bob@bücher.example"])
def test_an_address_in_other_letters_is_written_as_it_is_plainly(email: str) -> None:
    mail = replace(ESCALATION, recipient_email=email)

    assert by_form(mail) == plainly(mail)


def test_a_sender_in_other_letters_is_written_as_it_is_plainly() -> None:
    sender = "Übergabe <übergabe@example.org>"

    assert by_form(ESCALATION, sender=sender) == plainly(ESCALATION, sender=sender)


@pytest.mark.parametrize(
    "email", ["", "bob", "bob@", "bob@exam ple.org", "bob@example.org\r\nBcc: eve@example.org"]
)
def test_a_mail_to_no_usable_address_is_not_written(email: str) -> None:
    with pytest.raises(UnusableAddress):
        by_form(replace(ESCALATION, recipient_email=email))


def test_a_handoff_whose_words_have_changed_gets_a_form_of_its_own() -> None:
    found = Statements(
        likely_cause="DNS", confidence="HIGH", suggested_steps=(), already_tried=(), generated_by="rules"
    )
    before, assessed = ESCALATION, replace(ESCALATION, assessment=found)

    for mail in (before, assessed, before):
        assert by_form(mail) == plainly(mail)


def test_what_all_read_is_rendered_once_and_few_are_kept() -> None:
    mail_forms.make_form.cache_clear()
    for number in range(3 * mail_forms.KEPT):
        for name in ("Bob", "Olivia"):
            by_form(replace(ESCALATION, handoff_id=UUID(int=number), recipient_name=name))

    kept = mail_forms.make_form.cache_info()
    assert (kept.misses, kept.hits, kept.currsize) == (
        3 * mail_forms.KEPT,
        3 * mail_forms.KEPT,
        mail_forms.KEPT,
    )
