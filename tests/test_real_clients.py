"""The clients that dashboards use, of graphql-ws and graphql-sse, against a started server."""

from typing import Any

from tests.npm import Npm
from tests.servers.processes import HandoffProcess, free_port

ME = {"data": {"me": {"email": "senior@demo.test"}}}


def pushed(notes: str) -> dict[str, Any]:
    """Return what is seen of an escalation."""
    return {"seen": "pushed", "data": {"escalationCreated": {"handoff": {"notes": notes}}}}


def test_the_real_clients_see_what_the_protocols_promise(npm: Npm) -> None:
    port = free_port()
    env = {"HANDOFF_DEMO": "1", "HANDOFF_PORT": str(port)}
    with HandoffProcess("serve", env=env, ready_url=f"http://127.0.0.1:{port}/readyz") as handoff:
        people = {
            name.upper(): handoff.command("token", f"{name}@demo.test").stdout.strip()
            for name in ("engineer", "senior")
        }
        seen = npm.run("conformance.mjs", {"HANDOFF_URL": f"http://127.0.0.1:{port}"} | people)

    escalated = {"seen": "escalated", "__typename": "CreateHandoffSuccess"}
    assert seen == [
        {"seen": "socket refused", "code": 4403, "reason": "Forbidden"},
        {"seen": "socket refused", "code": 4403, "reason": "Forbidden"},
        *[{"seen": "operation refused", "results": [], "codes": ["BAD_USER_INPUT"]}] * 3,
        {"seen": "answered", "results": [ME]},
        escalated,
        pushed("over a socket"),
        {"seen": "events refused", "status": 401},
        {"seen": "events answered", "results": [ME]},
        {"seen": "events told", "codes": ["BAD_USER_INPUT"]},
        pushed("over a socket"),
        escalated,
        pushed("over events"),
    ]
    assert "Traceback" not in handoff.stderr
