"""A ConnectWise PSA: notes of service tickets, with its flags, its errors, and an API path that moves."""

import re
from base64 import b64encode
from pathlib import Path
from typing import Any

from tests.servers.psa import Asked, PsaServer, Reply

CREDENTIALS = {"publicKey": "pub", "privateKey": "cw-private-key"}
COMPANY = "northwind"
CLIENT_ID = "11111111-2222-4333-8444-555555555555"
_FLAGS = ("internalAnalysisFlag", "detailDescriptionFlag", "resolutionFlag")


class ConnectWiseServer(PsaServer):
    """See the module."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.codebase = "v2026_1/"
        self.shows_notes = "notes"  #: where notes are listed; some versions say allNotes
        self.ignores_flags = False  #: whether it makes every note a part of the discussion
        self.tells_flags = True  #: whether the answer to a new note holds its flags

    def answer(self, asked: Asked) -> Reply:
        """Carry out a request."""
        if asked.path == f"/login/companyinfo/{COMPANY}":
            return Reply(200, {"CompanyName": "Northwind", "Codebase": self.codebase, "IsCloud": True})
        api = f"/{self.codebase.rstrip('/')}/apis/3.0"
        if not asked.path.startswith(api):
            return Reply(404, None, raw=b"<html>Not Found</html>")
        return self._denied(asked) or self._answer(asked, asked.path.removeprefix(api))

    def _denied(self, asked: Asked) -> Reply | None:
        user = f"{COMPANY}+{CREDENTIALS['publicKey']}:{CREDENTIALS['privateKey']}"
        if asked.headers.get("clientid") != CLIENT_ID:
            return Reply(401, {"code": "Unauthorized", "message": "Please provide a valid clientId"})
        if asked.headers.get("authorization") != f"Basic {b64encode(user.encode()).decode()}":
            return Reply(
                401, {"code": "Unauthorized", "message": "Provided username or password is incorrect."}
            )
        if "application/vnd.connectwise.com+json" not in asked.headers.get("accept", ""):
            return Reply(415, {"code": "UnsupportedMediaType", "message": "Unsupported media type"})
        return None

    def _answer(self, asked: Asked, path: str) -> Reply:
        if path == "/service/tickets":
            return Reply(200, [{"id": 1, "summary": "VPN"}])
        match = re.fullmatch(r"/service/tickets/(\d+)/(notes|allNotes)(?:/(\d+))?", path)
        if match is None or not 1 <= int(match[1]) <= 99:
            return Reply(404, {"code": "NotFound", "message": "Entity of type 'Ticket' not found"})
        ticket, place, note_id = int(match[1]), match[2], match[3]
        if asked.method == "POST":
            return self._add(ticket, asked.json())
        mine = [note for note in self.notes if note["ticketId"] == ticket]
        if note_id:
            return Reply(200, next(note for note in mine if note["id"] == int(note_id)))
        if place != self.shows_notes:
            return Reply(404, {"code": "NotFound", "message": "No such resource"})
        size, page = int(asked.query["pageSize"]), int(asked.query["page"])
        return Reply(200, mine[(page - 1) * size : page * size])

    def _add(self, ticket: int, given: dict[str, Any]) -> Reply:
        if not any(given.get(flag) for flag in _FLAGS):
            where = "Please choose where to display the note."
            return Reply(
                400, {"code": "InvalidObject", "message": "note object is invalid", "errors": [where]}
            )
        note = {"id": 5000 + len(self.notes), "ticketId": ticket, "externalFlag": False} | given
        if self.ignores_flags:
            note |= {"detailDescriptionFlag": True, "externalFlag": True}
        self.notes.append(note)
        told = note if self.tells_flags else {name: note[name] for name in ("id", "ticketId", "text")}
        return Reply(201, told)
