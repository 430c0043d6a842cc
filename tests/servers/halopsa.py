"""A HaloPSA: tokens that expire, outcomes, and actions on tickets."""

import re
from pathlib import Path
from typing import Any

from tests.servers.psa import Asked, PsaServer, Reply

CREDENTIALS = {"clientId": "halo-client", "clientSecret": "halo-secret"}
TENANT = "northwind"


class HaloPsaServer(PsaServer):
    """See the module."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.outcomes = {7: "Internal Note", 1: "Email User"}
        self.tokens = 0
        self.ignores_hidden = False  #: whether it makes every action visible

    def expire_token(self) -> None:
        """Refuse the token that was given out last."""
        self.tokens += 1

    def answer(self, asked: Asked) -> Reply:
        """Carry out a request."""
        if asked.path == "/auth/token" and asked.method == "POST":
            return self._sign_in(asked)
        if asked.headers.get("authorization") != f"Bearer token-{self.tokens}":
            return Reply(401, None, raw=b"")
        if match := re.fullmatch(r"/api/outcome/(\d+)", asked.path):
            number = int(match[1])
            if number not in self.outcomes:
                return Reply(404, {"message": "Not found"})
            return Reply(200, {"id": number, "outcome": self.outcomes[number]})
        if match := re.fullmatch(r"/api/actions/(\d+)", asked.path):
            wanted = (int(match[1]), int(asked.query["ticket_id"]))
            found = [note for note in self.notes if (note["id"], note["ticket_id"]) == wanted]
            return Reply(200, found[0]) if found else Reply(404, {"message": "Not found"})
        if asked.path != "/api/actions":
            return Reply(404, {"message": "Not found"})
        return self._add(asked.json()) if asked.method == "POST" else self._list(asked)

    def _sign_in(self, asked: Asked) -> Reply:
        wanted = {
            "grant_type": "client_credentials",
            "client_id": CREDENTIALS["clientId"],
            "client_secret": CREDENTIALS["clientSecret"],
            "scope": "all",
        }
        if asked.form() != wanted or asked.query.get("tenant") != TENANT:
            return Reply(400, {"error": "invalid_client", "error_description": "The client is not known."})
        self.tokens += 1
        token = {"token_type": "Bearer", "expires_in": 3600, "access_token": f"token-{self.tokens}"}
        return Reply(200, token)

    def _list(self, asked: Asked) -> Reply:
        mine = [note for note in self.notes if note["ticket_id"] == int(asked.query["ticket_id"])]
        shown = mine[: int(asked.query["count"])]
        return Reply(200, {"record_count": len(mine), "actions": shown})

    def _add(self, given: list[dict[str, Any]]) -> Reply:
        (action,) = given
        if "outcome_id" not in action:
            return Reply(400, {"message": "An Outcome must be entered"})
        if not 1 <= action["ticket_id"] <= 99:
            return Reply(404, {"message": "The ticket could not be found"})
        plain = re.sub(r"<br>", "\n", action["note_html"])
        note = action | {"id": 300 + len(self.notes), "note": plain}
        if self.ignores_hidden:
            note["hiddenfromuser"] = False
        self.notes.append(note)
        return Reply(201, {name: note[name] for name in ("id", "ticket_id", "outcome_id")})
