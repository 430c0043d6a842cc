"""What cannot be taken in is refused with a code, and nothing of it is stored."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db import sessions
from db.enums import Role
from resolvers import admin
from resolvers.errors import BadInput
from resolvers.inputs import MAX_BRANCHES, clean_text
from tests.cast import Cast
from tests.client import Api

NOWHERE = "01890000-0000-7000-8000-000000000000"
GOOD = {"role": "USER", "content": "It is plugged in."}
BAD_MESSAGES: dict[str, list[dict[str, Any]]] = {
    "empty": [GOOD, {"role": "USER", "content": ""}],
    "white space": [GOOD, {"role": "USER", "content": " \n\t"}],
    "nothing to be seen": [GOOD, {"role": "USER", "content": "\u200b\u2060 \ufeff\x07\u00a0"}],
    "nothing but what turns text round": [GOOD, {"role": "USER", "content": "\u202e\u2066"}],
    "before 1970": [GOOD, {**GOOD, "at": "1969-12-31T23:59:59Z"}],
    "tomorrow": [GOOD, {**GOOD, "at": (datetime.now(UTC) + timedelta(days=1, hours=1)).isoformat()}],
    "too long": [GOOD, {"role": "USER", "content": "x" * 100_001}],
    "NUL": [GOOD, {"role": "USER", "content": "before \x00 after"}],
    "future": [GOOD, {**GOOD, "at": "2999-01-01T00:00:00Z"}],
    "naive": [GOOD, {**GOOD, "at": "2026-01-31T09:30:00"}],
    "before all time": [GOOD, {**GOOD, "at": "0001-01-01T00:00:00+14:00"}],
    "no time": [GOOD, {**GOOD, "at": "yesterday"}],
    "too many": [GOOD] * 501,
}
#: Of every mutation, what it cannot take. `$session`, `$branch` and `$foreign` stand for ids.
BAD: list[tuple[str, dict[str, Any]]] = [
    *(("startSession", {"problemSummary": text}) for text in ("", " \n", "\u200b", "x" * 501, "a\x00b")),
    ("startSession", {"problemSummary": "Fine", "problemDomain": "x" * 201}),
    ("startSession", {"problemSummary": "Fine", "psaTicketId": "T\x00"}),
    *(("startSession", {"problemSummary": "Fine", "messages": bad}) for bad in BAD_MESSAGES.values()),
    ("updateSession", {"sessionId": "$session", "stepCount": 4, "problemSummary": "x" * 501}),
    ("updateSession", {"sessionId": "$session", "stepCount": 4, "problemDomain": "a\x00b"}),
    ("updateSession", {"sessionId": "$session", "problemDomain": "dns", "stepCount": -1}),
    ("updateSession", {"sessionId": "$session", "problemDomain": "dns", "stepCount": 1_000_001}),
    ("updateSession", {"sessionId": "$session", "problemDomain": "dns", "stepCount": None}),
    ("updateSession", {"sessionId": "$session", "problemDomain": "dns", "stepCount": 2**31}),
    ("updateSession", {"sessionId": "$session", "problemDomain": "dns", "activeBranchId": "$foreign"}),
    ("updateSession", {"sessionId": "$session", "problemDomain": "dns", "activeBranchId": NOWHERE}),
    ("updateSession", {"sessionId": "$session", "problemDomain": "dns", "confidenceTier": "SURE"}),
    ("appendSessionMessages", {"sessionId": "$session", "messages": []}),
    *(("appendSessionMessages", {"sessionId": "$session", "messages": m}) for m in BAD_MESSAGES.values()),
    *(
        ("addSessionBranch", {"sessionId": "$session", "label": label})
        for label in ("", "  ", "x" * 201, "\x00")
    ),
    ("addSessionBranch", {"sessionId": "$session", "label": "Fine", "status": " "}),
    ("addSessionBranch", {"sessionId": "$session", "label": "Fine", "status": ""}),
    ("addSessionBranch", {"sessionId": "$session", "label": "Fine", "statusReason": "x" * 2_001}),
    ("addSessionBranch", {"sessionId": "$session", "label": "Fine", "parentBranchId": "$foreign"}),
    ("addSessionBranch", {"sessionId": "$session", "label": "Fine", "parentBranchId": NOWHERE}),
    *(
        ("updateSessionBranch", {"branchId": "$branch", "status": "fixed", "label": label})
        for label in ("", None, "x" * 201, "\x00")
    ),
    ("updateSessionBranch", {"branchId": "$branch", "label": "Other", "status": None}),
    ("updateSessionBranch", {"branchId": "$branch", "label": "Other", "statusReason": "x" * 2_001}),
    ("resolveSession", {"sessionId": "$session", "actualCause": "x" * 2_001}),
    ("resolveSession", {"sessionId": "$session", "actualCause": "\x00"}),
]
#: Of every mutation that changes a session, what it takes.
FINE: list[tuple[str, dict[str, Any]]] = [
    ("updateSession", {"sessionId": "$session", "stepCount": 4}),
    ("appendSessionMessages", {"sessionId": "$session", "messages": [GOOD]}),
    ("addSessionBranch", {"sessionId": "$session", "label": "Fine"}),
    ("updateSessionBranch", {"branchId": "$branch", "status": "fixed"}),
    ("resolveSession", {"sessionId": "$session"}),
]
MUTATIONS = [mutation for mutation, _ in FINE]


@pytest.mark.parametrize("mutation", ["startSession", *MUTATIONS])
async def test_what_cannot_be_stored_is_refused_and_nothing_is_written(api: Api, mutation: str) -> None:
    names = await _session_with_branch(api)
    before = await api.cast.all_rows()

    for given in (given for of, given in BAD if of == mutation):
        answer = await api.change(api.cast.alice, mutation, **_named(given, names))

        assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"]), given
        assert await api.cast.all_rows() == before, given


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ({"role": "USER", "content": " "}, "messages[1].content must not be empty."),
        ({**GOOD, "at": "2999-01-01T00:00:00Z"}, "messages[1].at lies in the future."),
        (
            {**GOOD, "at": "2026-01-31T09:30:00"},
            "messages[1].at needs a time zone, like 2026-01-31T09:30:00Z.",
        ),
    ],
)
async def test_of_many_messages_the_one_that_is_refused_is_named(
    api: Api, bad: dict[str, Any], sentence: str
) -> None:
    names = await _session_with_branch(api)
    append = {"sessionId": names["$session"], "messages": [GOOD, bad, GOOD]}

    for mutation, given in (
        ("appendSessionMessages", append),
        ("startSession", {"problemSummary": "No sound", "messages": append["messages"]}),
    ):
        answer = await api.change(api.cast.alice, mutation, **given)

        assert answer.refusal() == ("BAD_USER_INPUT", sentence)


@pytest.mark.parametrize("escaped", [r"\ud83d", r"\udc00 \ud83d"])
async def test_half_a_surrogate_pair_is_refused_wherever_it_stands(api: Api, escaped: str) -> None:
    headers = {"Authorization": f"Bearer {api.token(api.cast.alice)}", "Content-Type": "application/json"}
    mutation = (
        "mutation ($text: String!) { startSession(input: { problemSummary: $text }) { session { id } } }"
    )
    as_variable = f'{{"query": {json.dumps(mutation)}, "variables": {{"text": "{escaped}"}}}}'
    literal = mutation.replace("($text: String!)", "").replace("$text", f'"{escaped}"')
    before = await api.cast.last_event()

    for body in (as_variable, json.dumps({"query": literal})):
        answer = (await api.http.post("/graphql", content=body, headers=headers)).json()

        assert answer.get("data") is None
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]
    with pytest.raises(BadInput):
        clean_text("problemSummary", json.loads(f'"{escaped}"'), 500)
    assert await api.cast.last_event() == before


@pytest.mark.parametrize("team", ["foreign", NOWHERE, "no id at all"])
async def test_an_unknown_team_is_not_found(api: Api, team: str) -> None:
    cast = api.cast
    team_id = await _foreign_team(cast) if team == "foreign" else team
    before = await cast.last_event()

    answer = await api.change(cast.alice, "startSession", problemSummary="No sound", teamId=team_id)

    assert (answer.data, answer.codes) == (None, ["NOT_FOUND"])
    assert await cast.last_event() == before


@pytest.mark.parametrize("owner", ["charlie", NOWHERE, "no id at all"])
async def test_an_unknown_owner_is_not_found(api: Api, owner: str) -> None:
    cast = api.cast
    owner_id = str(cast.charlie.id) if owner == "charlie" else owner
    before = await cast.last_event()

    answer = await api.change(cast.adam, "startSession", problemSummary="No sound", ownerId=owner_id)

    assert (answer.data, answer.codes) == (None, ["NOT_FOUND"])
    assert await cast.last_event() == before


@pytest.mark.parametrize("who", ["ina", "bob"])
async def test_an_owner_who_cannot_sign_in_is_refused(api: Api, who: str) -> None:
    cast = api.cast
    await cast.change(cast.bob, deleted_at=datetime.now(UTC))
    before = await cast.all_rows()

    owner_id = str(getattr(cast, who).id)
    answer = await api.change(cast.adam, "startSession", problemSummary="No sound", ownerId=owner_id)

    assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"])
    assert answer.errors[0]["message"] == "ownerId is a user who cannot sign in any more."
    assert await cast.all_rows() == before


async def test_a_viewer_is_no_owner_of_a_session(api: Api) -> None:
    cast = api.cast
    before = await cast.all_rows()

    answer = await api.change(cast.adam, "startSession", problemSummary="No sound", ownerId=str(cast.vera.id))

    assert answer.refusal() == (
        "BAD_USER_INPUT",
        "ownerId is a viewer, who only reads. Name an owner, admin or engineer.",
    )
    assert await cast.all_rows() == before


async def test_an_engineer_is_forbidden_to_start_a_session_for_somebody_else(api: Api) -> None:
    cast = api.cast
    before = await cast.last_event()

    answer = await api.change(cast.alice, "startSession", problemSummary="No sound", ownerId=str(cast.bob.id))

    assert (answer.data, answer.codes) == (None, ["FORBIDDEN"])
    assert answer.errors[0]["message"] == "Admin access required to start a session for somebody else"
    assert await cast.last_event() == before


@pytest.mark.parametrize(("mutation", "given"), FINE, ids=MUTATIONS)
async def test_a_resolved_session_refuses_every_change(
    api: Api, mutation: str, given: dict[str, Any]
) -> None:
    names = await _session_with_branch(api)
    (await api.change(api.cast.alice, "resolveSession", sessionId=names["$session"])).only()
    before = await api.cast.all_rows()

    answer = await api.change(api.cast.alice, mutation, **_named(given, names))

    refusal = {"__typename": "SessionResolved", "message": "This session is resolved. Start a new one."}
    assert answer.only() == refusal
    assert await api.cast.all_rows() == before


@pytest.mark.parametrize(("mutation", "given"), FINE, ids=MUTATIONS)
async def test_a_session_of_another_account_is_not_found(
    api: Api, mutation: str, given: dict[str, Any]
) -> None:
    names = await _session_with_branch(api)
    before = await api.cast.all_rows()

    answer = await api.change(api.cast.charlie, mutation, **_named(given, names))

    if "branchId" in given:
        assert (answer.data, answer.codes) == (None, ["NOT_FOUND"])
    else:
        refusal = {"__typename": "SessionNotFound", "message": "No session of your account has this id."}
        assert answer.only() == refusal
    assert await api.cast.all_rows() == before


@pytest.mark.parametrize(
    ("mutation", "given"),
    [*FINE, ("startSession", {"problemSummary": "No sound"})],
    ids=[*MUTATIONS, "startSession"],
)
async def test_a_viewer_is_forbidden_and_a_stranger_unauthenticated(
    api: Api, mutation: str, given: dict[str, Any]
) -> None:
    names = await _session_with_branch(api)
    before = await api.cast.all_rows()

    viewer = await api.change(api.cast.vera, mutation, **_named(given, names))
    stranger = await api.change(None, mutation, **_named(given, names))

    assert (viewer.data, viewer.codes) == (None, ["FORBIDDEN"])
    assert viewer.errors[0]["message"] == "Engineer or admin access required"
    assert (stranger.data, stranger.codes) == (None, ["UNAUTHENTICATED"])
    assert await api.cast.all_rows() == before


async def _session_with_branch(api: Api) -> dict[str, str]:
    """Make two sessions with a branch each; return what the placeholders of `BAD` stand for."""
    names = {}
    for branch in ("$foreign", "$branch"):
        names["$session"] = str((await api.cast.start_session()).id)
        added = await api.change(
            api.cast.alice, "addSessionBranch", sessionId=names["$session"], label="Modem"
        )
        names[branch] = added.only()["session"]["branches"][0]["id"]
    return names


def _named(given: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {key: names.get(value, value) if isinstance(value, str) else value for key, value in given.items()}


async def _foreign_team(cast: Cast) -> str:

    async with cast.database.transaction(cast.other_account_id) as tx:
        return str(await admin.create_team(tx, "Theirs", [cast.charlie.id], now=datetime.now(UTC)))


TURNED = "".join(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))


async def test_what_turns_text_round_is_taken_out_of_all_that_is_shown(api: Api) -> None:
    cast = api.cast
    started = await api.change(
        cast.alice,
        "startSession",
        problemSummary=f"{TURNED}VPN\u202e drops{TURNED}",
        problemDomain="net\u2066work",
        psaTicketId="4\u202d2",
        messages=[{"role": "USER", "content": "It is\u202e plugged in. \u05e9\u05dc\u05d5\u05dd \u200f!"}],
    )
    session_id = started.only()["session"]["id"]
    await api.change(
        cast.alice, "addSessionBranch", sessionId=session_id, label="D\u202aNS", statusReason="why\u2069"
    )
    handoff_id = await api.escalate(cast.alice, session_id, notes="Call\u202e me")

    session, handoff = await api.session(session_id), await api.handoff(handoff_id)
    assert (session["problemSummary"], session["problemDomain"], session["psaTicketId"]) == (
        "VPN drops",
        "network",
        "42",
    )
    # What writes from right to left by itself, and the mark that says so, stay.
    assert session["messages"]["edges"][0]["node"]["content"] == (
        "It is plugged in. \u05e9\u05dc\u05d5\u05dd \u200f!"
    )
    assert [(branch["label"], branch["statusReason"]) for branch in session["branches"]] == [("DNS", "why")]
    assert handoff["notes"] == "Call me"


async def test_an_optional_text_of_which_nothing_can_be_seen_is_none(api: Api) -> None:
    session = await api.cast.start_session()

    handoff_id = await api.escalate(api.cast.alice, session.id, notes="\u200b \u2060")

    assert (await api.handoff(handoff_id))["notes"] is None


async def test_an_address_with_what_turns_text_round_is_refused(cast: Cast) -> None:
    with pytest.raises(BadInput, match="email must be an address"):
        async with cast.database.transaction(cast.account_id) as tx:
            await admin.add_user(
                tx, email="bo\u202e@x.example", name="Bo", role=Role.ENGINEER, now=datetime.now(UTC)
            )


async def test_a_message_of_1970_is_taken(api: Api) -> None:
    session = await api.cast.start_session()
    said = {"role": "USER", "content": "Hi", "at": "1970-01-01T00:00:00Z"}

    answer = await api.change(
        api.cast.alice, "appendSessionMessages", sessionId=str(session.id), messages=[said]
    )

    assert answer.only()["__typename"] == "SessionSuccess"


async def test_a_session_holds_so_many_branches_and_no_more(api: Api) -> None:
    cast = api.cast
    session_id = (await cast.start_session()).id
    async with cast.database.transaction(cast.account_id) as tx:
        await sessions.change(tx, session_id, {"branch_count": MAX_BRANCHES - 1})
    branch = {"sessionId": str(session_id), "label": "One more"}

    last = await api.change(cast.alice, "addSessionBranch", **branch)
    before = await cast.all_rows()
    one_more = await api.change(cast.alice, "addSessionBranch", **branch)

    assert len(last.only()["session"]["branches"]) == 1
    assert one_more.codes == ["BAD_USER_INPUT"]
    assert one_more.errors[0]["message"] == "The session has 200 branches; at most 200 are kept."
    assert await cast.all_rows() == before
