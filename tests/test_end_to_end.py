"""The whole product as a stranger meets it: processes, files, and the client that dashboards use."""

import json
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from tests.npm import E2E, Npm
from tests.servers.processes import HandoffProcess, free_port


@pytest.fixture
def address() -> str:
    """Where the service is to listen."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def handoff(address: str) -> Iterator[HandoffProcess]:
    """The service in demo mode in a fresh folder, with nothing else set."""
    env = {"HANDOFF_DEMO": "1", "HANDOFF_PORT": address.rpartition(":")[2]}
    with HandoffProcess("serve", env=env, ready_url=f"http://{address}/readyz") as process:
        yield process


def token(handoff: HandoffProcess, name: str) -> str:
    """Get a token as a person at a terminal does."""
    printed = handoff.command("token", f"{name}@demo.test")
    assert printed.returncode == 0, printed.stderr
    return printed.stdout.strip()


def tell(npm: Npm, env: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Tell the story to its end and return what each step printed."""
    steps: dict[str, list[dict[str, Any]]] = {}
    for line in npm.run("story.mjs", env):
        steps.setdefault(line.pop("step"), []).append(line)
    return steps


def mails_about(handoff: HandoffProcess, handoff_id: str) -> list[EmailMessage]:
    """Return the mails about a handoff that lie in the folder."""
    files = (handoff.folder / "work" / "var" / "mail").glob("*.eml")
    mails = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
    return [mail for mail in mails if mail["X-Handoff-Id"] == handoff_id]


def test_an_escalation_reaches_the_dashboard_and_the_mailboxes_of_all_who_have_none(
    npm: Npm, handoff: HandoffProcess, address: str
) -> None:
    people = {name.upper(): token(handoff, name) for name in ("engineer", "senior", "admin")}

    steps = tell(npm, {"HANDOFF_URL": f"http://{address}"} | people)

    (escalated,), (pushed,), (claimed,) = steps["escalated"], steps["pushed"], steps["claimed"]
    handoff_id = escalated["id"]
    assert escalated["reach"] == {"online": 1, "email": 2, "unreachable": False}
    assert pushed["handoff"] == {"id": handoff_id, "state": "OPEN"}
    assert (pushed["round"], pushed["missedBefore"]) == (0, 0)
    assert claimed["claimedBy"] == {"email": "senior@demo.test"}
    assert (claimed["state"], claimed["session"]) == ("CLAIMED", {"status": "ACTIVE"})
    assert steps["refused"] == [
        {
            "__typename": "HandoffAlreadyClaimed",
            "message": "Somebody else claimed this handoff first.",
            "claimedBy": {"email": "senior@demo.test"},
            "claimedAt": claimed["claimedAt"],
        }
    ]
    assert steps["released"] == [{"state": "OPEN", "claimedBy": None, "session": {"status": "ESCALATED"}}]
    assert steps["queued"] == [{"id": handoff_id, "state": "OPEN"}]
    # Round 0 went to the two who had no dashboard open, round 1 to all but the senior, who released it.
    # The engineer, who escalated, was told of the claim in between.
    mails = mails_about(handoff, handoff_id)
    recipients = Counter(mail["To"].addresses[0].addr_spec for mail in mails)
    assert recipients == {"owner@demo.test": 2, "admin@demo.test": 2, "engineer@demo.test": 2}
    of_claims = [mail for mail in mails if mail["Subject"].startswith("Claimed by Sam Senior: ")]
    assert [mail["To"].addresses[0].addr_spec for mail in of_claims] == ["engineer@demo.test"]


def test_the_lock_file_pins_every_package_and_names_no_registry() -> None:
    lock = json.loads((E2E / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}

    assert {"node_modules/graphql", "node_modules/graphql-ws", "node_modules/ws"} <= packages.keys()
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())
