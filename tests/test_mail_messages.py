"""What a mail about an escalation says, and that nothing a person typed can break it."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP, SMTPUTF8, default
from email.utils import getaddresses
from html.parser import HTMLParser
from textwrap import wrap
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assist.redaction import redact
from notify.escalation_mails import BranchLine, EscalationMail
from notify.mail_headers import UnusableAddress
from notify.messages import render

NOW = datetime(2026, 11, 21, 12, 15, tzinfo=UTC)
SENDER = "Handoff <handoff@mail.example.org>"
DELIVERY_ID = UUID("0193c1e2-7b5b-7000-8000-000000000001")
HANDOFF_ID = UUID("0193c1e2-7b5b-7000-8000-000000000002")
LINK = "https://handoff.example.org/claim/abc?x=1&y=2"
WHY = "You get this because you are a responder of Demo and no dashboard of yours was open."

ESCALATION = EscalationMail(
    delivery_id=DELIVERY_ID,
    handoff_id=HANDOFF_ID,
    kind="ESCALATION",
    round=1,
    is_back=False,
    account_name="Demo",
    team_name="Network",
    recipient_name="Bob Meyer",
    recipient_email="bob@example.org",
    handed_off_by="Alice Weber",
    claimed_by=None,
    priority="URGENT",
    problem_summary="VPN drops every 20 minutes",
    problem_domain="networking",
    notes="I think the phase 2 lifetimes differ.",
    step_count=14,
    confidence_tier="LOW",
    status="ESCALATED",
    branches=(),
    assessment=None,
    psa_ticket_id="T-42",
    created_at=datetime(2026, 11, 21, 12, 14, tzinfo=UTC),
    link=LINK,
    why=WHY,
)


def written(mail: EscalationMail, sender: str = SENDER) -> EmailMessage:
    return render(mail, sender=sender, now=NOW, redact=redact)


def send(mail: EscalationMail = ESCALATION, sender: str = SENDER) -> EmailMessage:
    """Render, and read what travels as a mail program would."""
    message = BytesParser(policy=default).parsebytes(bytes(written(mail, sender)))
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def text_of(message: EmailMessage) -> str:
    return content_of(message, "plain")


def html_of(message: EmailMessage) -> str:
    return content_of(message, "html")


def folded_why() -> str:
    """Return the reason as it stands at the end of a text."""
    return "\n".join(wrap(WHY, 72))


def content_of(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    content = part.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


class Page(HTMLParser):
    """What a reader sees, and the elements and links that make it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(source)
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(  # noqa: D102  # html.parser's
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:  # noqa: D102  # html.parser's
        self.words.append(data)


def folded(text: str) -> str:
    return " ".join(text.split())


# --- headers


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({}, "[URGENT] Escalation: VPN drops every 20 minutes"),
        ({"priority": "NORMAL"}, "Escalation: VPN drops every 20 minutes"),
        ({"is_back": True}, "[URGENT] Escalation again: VPN drops every 20 minutes"),
        ({"priority": "LOW"}, "[LOW] Escalation: VPN drops every 20 minutes"),
        ({"kind": "REMINDER", "round": 2}, "[URGENT] Reminder 2: VPN drops every 20 minutes"),
        ({"kind": "CLAIMED", "claimed_by": "Bob"}, "Claimed by Bob: VPN drops every 20 minutes"),
        ({"kind": "CLAIMED"}, "Claimed by a colleague: VPN drops every 20 minutes"),
        ({"problem_summary": None}, "[URGENT] Escalation: Untitled problem"),
        ({"problem_summary": " \n\t "}, "[URGENT] Escalation: Untitled problem"),
        ({"problem_summary": "Drucker\n  läuft\u3000nicht"}, "[URGENT] Escalation: Drucker läuft nicht"),
        ({"problem_summary": "メールが届かない 😀"}, "[URGENT] Escalation: メールが届かない 😀"),
        ({"problem_summary": "x" * 300}, f"[URGENT] Escalation: {'x' * 119}…"),
    ],
)
def test_the_subject_names_what_happened_and_the_problem(changes: dict[str, str], subject: str) -> None:
    message = send(replace(ESCALATION, **changes))  # type: ignore[arg-type]  # any field may be changed

    assert message["Subject"] == subject


def test_a_mail_is_dated_addressed_and_marked_as_automatic() -> None:
    message = send()

    assert message["From"] == "Handoff <handoff@mail.example.org>"
    assert message["To"] == "Bob Meyer <bob@example.org>"
    assert message["Date"].datetime == NOW
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["X-Handoff-Id"] == str(HANDOFF_ID)
    assert message["MIME-Version"] == "1.0"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    ("kind", "priority", "importance"),
    [
        ("ESCALATION", "URGENT", "high"),
        ("REMINDER", "HIGH", "high"),
        ("ESCALATION", "NORMAL", None),
        ("ESCALATION", "LOW", "low"),
        ("CLAIMED", "URGENT", None),
    ],
)
def test_the_importance_follows_the_priority_until_it_is_claimed(
    kind: str, priority: str, importance: str | None
) -> None:
    assert send(replace(ESCALATION, kind=kind, priority=priority))["Importance"] == importance


@pytest.mark.parametrize("domain", ["example.org", f"{'mail.' * 20}example.org"])
def test_all_mails_of_a_handoff_make_one_thread(domain: str) -> None:
    other = replace(ESCALATION, kind="REMINDER", delivery_id=UUID(int=7), recipient_email="eve@example.org")

    first, second = (send(mail, f"handoff@{domain}") for mail in (ESCALATION, other))

    assert first["Message-ID"] == f"<delivery-{DELIVERY_ID}@{domain}>"
    assert second["Message-ID"] == f"<delivery-{UUID(int=7)}@{domain}>"
    for message in (first, second):
        assert message["References"] == message["In-Reply-To"] == f"<handoff-{HANDOFF_ID}@{domain}>"


def test_the_same_mail_is_the_same_bytes() -> None:
    assert bytes(written(ESCALATION)) == bytes(written(replace(ESCALATION)))


@pytest.mark.parametrize(
    ("sender", "name", "email"),
    [
        ("handoff@example.org", "", "handoff@example.org"),
        ("<handoff@example.org>", "", "handoff@example.org"),
        ('"Demo, Inc." <handoff@example.org>', "Demo, Inc.", "handoff@example.org"),
        ("Übergabe <handoff@münchen.example>", "Übergabe", "handoff@xn--mnchen-3ya.example"),
    ],
)
def test_the_sender_may_have_a_name(sender: str, name: str, email: str) -> None:
    [origin] = send(sender=sender)["From"].addresses

    assert (origin.display_name, origin.addr_spec) == (name, email)


# --- addresses


def test_a_domain_in_other_letters_travels_in_ascii() -> None:
    [recipient] = send(replace(ESCALATION, recipient_email="bob@münchen.example"))["To"].addresses

    assert recipient.addr_spec == "bob@xn--mnchen-3ya.example"


def test_a_mailbox_in_other_letters_travels_as_utf8() -> None:
    message = written(replace(ESCALATION, recipient_email="böb@example.org"))

    assert b"<b\xc3\xb6b@example.org>" in message.as_bytes(policy=SMTPUTF8)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "bob",
        "@example.org",
        "bob@",
        "bob@example..org",
        "bob@-example.org",
        "bob@exa_mple.org",
        f"bob@{'a' * 64}.org",
        f"bob@{'a.' * 130}org",
        f"{'b' * 65}@example.org",
        ".bob@example.org",
        "bob.@example.org",
        "b@b@example.org",
        "bob meyer@example.org",
        "bob\u3000@example.org",
        '"bob"@example.org',
        "bob@[127.0.0.1]",
        "bob@example.org, eve@example.org",
        "bob@example.org\r\nBcc: eve@example.org",
        "<bob@example.org>",
        "bob\x00@example.org",
        "bob\ud800@example.org",
        "=?utf-8?q?bob?=@example.org",
        "bob@example.org\n",
    ],
)
def test_an_address_that_cannot_take_mail_is_refused(email: str) -> None:
    with pytest.raises(UnusableAddress):
        written(replace(ESCALATION, recipient_email=email))


@pytest.mark.parametrize("sender", ["", "Handoff", "Handoff <>", "<a@b@c>", "a@example.org>"])
def test_a_sender_without_an_address_is_refused(sender: str) -> None:
    with pytest.raises(UnusableAddress):
        written(ESCALATION, sender)


# --- hostile words

PIECES = [
    *("\r\n", "\n", "\r", "\0", "\u2028", "\u202e", "\ud800", "\x00why\x00"),
    *("Bcc: eve@example.org", "=?utf-8?q?=0d=0aBcc:_eve@example.org?=", "=?", "?="),
    *("ä", "😀", '"', "\\", "<", ">", ",", ";", "(", "@", " ", "a" * 90),
]
HOSTILE = st.text(st.characters(codec=None), max_size=120) | st.lists(
    st.sampled_from(PIECES), max_size=12
).map("".join)

TAGS = {
    *("html", "head", "meta", "title", "body", "table", "tbody", "tr", "td"),
    *("div", "span", "font", "a", "b", "br"),
}
HEADERS = {
    *(
        "From",
        "To",
        "Date",
        "Message-ID",
        "Subject",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "Importance",
    ),
    *("X-Auto-Response-Suppress", "X-Handoff-Id", "MIME-Version", "Content-Type"),
}


@given(
    name=HOSTILE,
    claimer=HOSTILE,
    summary=HOSTILE,
    notes=HOSTILE,
    kind=st.sampled_from(["ESCALATION", "CLAIMED"]),
)
def test_no_words_can_add_a_header_or_a_recipient(
    name: str, claimer: str, summary: str, notes: str, kind: str
) -> None:
    mail = replace(
        ESCALATION, recipient_name=name, claimed_by=claimer, problem_summary=summary, notes=notes, kind=kind
    )

    for policy in (SMTP, SMTPUTF8):
        content = written(mail).as_bytes(policy=policy)
        message = BytesParser(policy=default).parsebytes(content)

        assert set(message.keys()) <= HEADERS
        assert len(message.keys()) == len(set(message.keys()))
        assert [address.addr_spec for address in message["To"].addresses] == ["bob@example.org"]
        assert max(map(len, content.split(b"\r\n"))) <= 998


@given(words=st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=110))
def test_a_summary_and_a_name_arrive_as_they_were_typed(words: str) -> None:
    words = folded(words).replace("=?", "") or "x"

    name = words[:100].strip()
    assume(redact(words) == words and redact(name) == name)

    message = written(replace(ESCALATION, problem_summary=words, recipient_name=name))

    # The older reader: the newer one of Python 3.11.7 adds a blank between the parts of a long name.
    raw = message_from_bytes(bytes(message))
    [(phrase, _)] = getaddresses([raw["To"]])
    assert str(make_header(decode_header(raw["Subject"]))) == f"[URGENT] Escalation: {words}"
    assert str(make_header(decode_header(phrase))) == name


@given(words=HOSTILE)
def test_no_words_can_add_an_element_to_the_page(words: str) -> None:
    branch = BranchLine(label=words, status=words, status_reason=words, is_active=False, depth=1)
    mail = replace(
        ESCALATION,
        account_name=words,
        team_name=words,
        handed_off_by=words,
        problem_summary=words,
        problem_domain=words,
        notes=words,
        psa_ticket_id=words,
        branches=(branch,),
    )

    page = Page(html_of(send(mail)))

    assert page.tags <= {
        "html",
        "head",
        "meta",
        "title",
        "body",
        "div",
        "table",
        "tbody",
        "tr",
        "td",
        "a",
        "b",
    } | {
        "span",
        "font",
        "br",
    }


def test_markup_in_words_is_shown_and_not_obeyed() -> None:
    evil = "<script>alert('x')</script>&amp;\"><img src=https://evil.example/x.png>"

    source = html_of(send(replace(ESCALATION, notes=evil, handed_off_by=evil, why=evil, link=f'{LINK}"><b>')))

    page = Page(source)
    assert not {"script", "img"} & page.tags
    assert evil in page.text
    assert ("href", f'{LINK}"><b>') in page.attributes


# --- bodies


@pytest.mark.parametrize("priority", ["LOW", "NORMAL", "HIGH", "URGENT"])
def test_text_and_page_both_hold_what_a_responder_needs(priority: str) -> None:
    message = send(replace(ESCALATION, priority=priority))

    page = Page(html_of(message))
    for body in (folded(text_of(message)), page.text):
        assert "VPN drops every 20 minutes" in body
        assert "I think the phase 2 lifetimes differ." in body
        assert "Alice Weber is stuck" in body
        assert priority.capitalize() in body
        assert "Demo" in body
        assert "Network" in body
        assert "networking" in body
        assert "Escalated, 14 steps" in body
        assert "T-42" in body
        assert "21 Nov 2026, 12:14 UTC by Alice Weber" in body
        assert WHY in body
    assert f"\n{LINK}\n" in text_of(message)
    assert [value for name, value in page.attributes if name == "href"] == [LINK]


def test_the_page_needs_nothing_from_elsewhere() -> None:
    source = html_of(send())

    assert not re.search(r"<(img|link|script|style)\b|@import|url\(|\bsrc=", source)
    assert "{" not in source
    assert "\x00" not in source


def test_what_came_back_into_the_queue_says_so() -> None:
    message = send(replace(ESCALATION, is_back=True))

    for body in (folded(text_of(message)), Page(html_of(message)).text):
        assert "It was claimed, and is back in the queue. Somebody has to take over." in body
        assert "is stuck" not in body


def test_a_reminder_says_that_nobody_came() -> None:
    message = send(replace(ESCALATION, kind="REMINDER", round=3))

    for body in (text_of(message), Page(html_of(message)).text):
        assert "Nobody has picked this up yet." in body
        assert "Reminder 3" in body


def test_a_reminder_shows_where_each_recipient_stops_reminders() -> None:
    reminder = replace(ESCALATION, kind="REMINDER", unsubscribe="https://x.example/quiet/bob?a=1&b=2")
    other = replace(reminder, recipient_email="eve@example.org", unsubscribe="https://x.example/quiet/eve")

    first, second = send(reminder), send(other)

    assert text_of(first).endswith(
        f"{folded_why()}\n\nStop reminders:\nhttps://x.example/quiet/bob?a=1&b=2\n"
    )
    assert 'href="https://x.example/quiet/bob?a=1&amp;b=2"' in html_of(first)
    assert Page(html_of(first)).text.endswith("Stop reminders")
    for body in (text_of(second), html_of(second)):
        assert "https://x.example/quiet/eve" in body
        assert "quiet/bob" not in body


@pytest.mark.parametrize("kind", ["ESCALATION", "CLAIMED", "UNREACHED"])
def test_no_other_mail_offers_to_stop_reminders(kind: str) -> None:
    message = send(replace(ESCALATION, kind=kind, claimed_by="Bob"))

    for body in (text_of(message), html_of(message)):
        assert "Stop reminders" not in body


def test_a_claim_names_the_winner() -> None:
    message = send(replace(ESCALATION, kind="CLAIMED", claimed_by="Bob\nMeyer"))

    for body in (text_of(message), Page(html_of(message)).text):
        assert "Bob Meyer has picked this up." in body
        assert "CLAIMED" in body


def test_what_people_wrote_runs_as_its_language_does() -> None:
    page = html_of(
        send(replace(ESCALATION, problem_summary="\u0644\u0627 \u064a\u0639\u0645\u0644", notes="Help"))
    )

    for words in ("\u0644\u0627 \u064a\u0639\u0645\u0644", "Help"):
        assert re.search(rf'<td[^>]* dir="auto"[^>]*>{words}<', page)


def test_what_is_unknown_is_left_out_or_said() -> None:
    bare = replace(
        ESCALATION,
        team_name=None,
        problem_summary=None,
        problem_domain=None,
        notes=None,
        confidence_tier=None,
        psa_ticket_id=None,
        step_count=1,
        priority="SOMETHING NEW",
    )

    message = send(bare)

    for body in (text_of(message), Page(html_of(message)).text):
        assert "Untitled problem" in body
        assert "Alice Weber left no notes." in body
        assert "The session did not branch." in body
        assert "Escalated, 1 step" in body
        assert "None" not in body
        assert "Ticket" not in body


BRANCHES = (
    BranchLine(label="Restart the gateway", status="FAILED", status_reason="same", is_active=False, depth=0),
    BranchLine(label="Wired client", status="confirmed", status_reason=None, is_active=False, depth=1),
    BranchLine(label="Lifetimes", status="in_progress", status_reason=None, is_active=True, depth=2),
    BranchLine(label="Provider", status="open", status_reason="waiting", is_active=False, depth=99),
)


def test_the_branches_are_a_tree_with_a_mark_for_each_outcome() -> None:
    message = send(replace(ESCALATION, branches=BRANCHES))

    tree = (
        "✗ Restart the gateway — failed: same\n"
        "  ✓ Wired client — confirmed\n"
        "    → Lifetimes — in progress\n"
        "            • Provider — open: waiting\n"
    )
    assert tree in text_of(message)
    assert folded(tree.replace("—", " — ").replace("\n", " ")) in Page(html_of(message)).text.replace(
        "\xa0", " "
    )


def test_a_long_list_of_branches_is_cut_and_counted() -> None:
    message = send(replace(ESCALATION, branches=BRANCHES[:1] * 53))

    for body in (text_of(message), Page(html_of(message)).text):
        assert body.count("Restart the gateway") == 50
        assert "And 3 more in the handoff." in body


def test_long_notes_are_kept_whole() -> None:
    notes = "\n".join(f"{number:04} the quick brown fox jumps over the lazy dog" for number in range(200))

    message = send(replace(ESCALATION, notes=notes))

    assert notes in text_of(message)
    assert folded(notes) in Page(html_of(message)).text


def test_endless_notes_are_cut_and_say_so() -> None:
    message = send(replace(ESCALATION, notes="word " * 10_000))

    for body in (text_of(message), Page(html_of(message)).text):
        assert "[Cut here: 30,000 more characters are in the handoff.]" in body
    assert len(html_of(message)) < 102_000


def test_the_lines_and_indents_of_notes_stay() -> None:
    message = send(replace(ESCALATION, notes="First:\n\tshow vpn\r\n\r\nThen <x>"))

    assert "First:\n    show vpn\n\nThen <x>\n" in text_of(message)
    assert "First:<br>\n&nbsp;&nbsp;&nbsp;&nbsp;show vpn<br>\n<br>\nThen &lt;x&gt;" in html_of(message)


def test_the_text_fits_a_terminal_and_cuts_no_link() -> None:
    url = f"https://example.org/{'x' * 200}"
    notes = f"{'word ' * 100}\n{'w' * 200}\n    {'indented ' * 30}\nsee {url} there\n{'日本語' * 60}"

    lines = text_of(send(replace(ESCALATION, notes=notes))).split("\n")

    assert url in lines
    assert max(len(line) for line in lines if "https" not in line) == 72
    assert max(len(line) for line in lines if "日" in line) == 36
    assert len([line for line in lines if line.startswith("    indented")]) > 1


def test_a_long_problem_is_whole_in_the_page_below_its_short_headline() -> None:
    problem = "The quick brown fox jumps over the lazy dog. " * 10

    message = send(replace(ESCALATION, problem_summary=problem))

    for body in (folded(text_of(message)), Page(html_of(message)).text):
        assert problem.strip() in body


def test_each_recipient_has_an_own_link_and_reason_in_the_same_words() -> None:
    first = written(ESCALATION)
    other = replace(
        ESCALATION, recipient_email="eve@example.org", link="https://other.example/", why="Because."
    )

    second = send(other)

    assert LINK in text_of(first)
    for body in (text_of(second), html_of(second)):
        assert "https://other.example/" in body
        assert "Because." in body
        assert LINK not in body
        assert WHY not in body
