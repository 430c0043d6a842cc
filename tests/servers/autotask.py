"""An Autotask PSA: zones, picklists with labels of the tenant's own, and ticket notes."""

import json
import re
from pathlib import Path
from typing import Any

from tests.servers.psa import Asked, PsaServer, Reply

CREDENTIALS = {"userName": "api@northwind.example", "secret": "at-secret", "integrationCode": "TRACK1"}
PUBLISH = {"1": "All Autotask Users", "2": "Internal Only", "4": "Internal & Co-Managed"}
NOTE_TYPES = {"1": "Task Detail", "3": "Task Notes", "13": "System Workflow Note"}
_PAGE = 3


class AutotaskServer(PsaServer):
    """See the module."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.zone = "zone5"
        self.zone_host: str | None = None  #: another host that it says the zone is at
        self.publish = dict(PUBLISH)
        self.stores_publish: int | None = None  #: what it makes of every `publish`

    def answer(self, asked: Asked) -> Reply:
        """Carry out a request."""
        if asked.path.endswith("/v1.0/zoneInformation"):
            if asked.query.get("user") != CREDENTIALS["userName"]:
                return Reply(500, {"errors": ["Zone information could not be determined"]})
            return Reply(200, {"zoneName": "Zone", "url": f"{self.zone_host or self.url}/{self.zone}/"})
        keys = {"apiintegrationcode": "integrationCode", "username": "userName", "secret": "secret"}
        is_known = all(asked.headers.get(header) == CREDENTIALS[name] for header, name in keys.items())
        if not asked.path.startswith(f"/{self.zone}/v1.0/") or not is_known:
            return Reply(401, {"errors": ["The logged in Resource does not have access."]})
        return self._answer(asked, asked.path.removeprefix(f"/{self.zone}/v1.0"))

    def _answer(self, asked: Asked, path: str) -> Reply:
        if path == "/TicketNotes/entityInformation/fields":
            return Reply(200, {"fields": [_list("publish", self.publish), _list("noteType", NOTE_TYPES)]})
        if path == "/TicketNotes/query":
            return self._query(asked)
        if match := re.fullmatch(r"/TicketNotes/(\d+)", path):
            found = [note for note in self.notes if note["id"] == int(match[1])]
            return Reply(200, {"item": found[0] if found else None})
        match = re.fullmatch(r"/Tickets/(\d+)/Notes", path)
        if match is None or not 1 <= int(match[1]) <= 99 or asked.method != "POST":
            return Reply(404, {"errors": ["Resource not found"]})
        return self._add(int(match[1]), asked.json())

    def _query(self, asked: Asked) -> Reply:
        (condition,) = json.loads(asked.query["search"])["filter"]
        assert (condition["op"], condition["field"]) == ("eq", "ticketID")
        mine = [note for note in self.notes if note["ticketID"] == condition["value"]]
        start = int(asked.query.get("start", "0"))
        following = None
        if len(mine) > start + _PAGE:
            search = asked.query["search"].replace('"', "%22").replace(" ", "%20")
            base = f"{self.url}/{self.zone}/v1.0/TicketNotes/query"
            following = f"{base}?search={search}&start={start + _PAGE}"
        page = {"items": mine[start : start + _PAGE], "pageDetails": {"nextPageUrl": following}}
        return Reply(200, page)

    def _add(self, ticket: int, given: dict[str, Any]) -> Reply:
        if not {"title", "description", "noteType", "publish"} <= given.keys():
            return Reply(500, {"errors": ["Missing Required Field"]})
        if str(given["publish"]) not in self.publish or str(given["noteType"]) not in NOTE_TYPES:
            return Reply(500, {"errors": ["Picklist value does not exist"]})
        note = given | {"id": 29000 + len(self.notes), "ticketID": ticket}
        if self.stores_publish is not None:
            note["publish"] = self.stores_publish
        self.notes.append(note)
        return Reply(200, {"itemId": note["id"]})


def _list(name: str, values: dict[str, str]) -> dict[str, Any]:
    entries = [{"value": value, "label": label, "isActive": True} for value, label in values.items()]
    return {"name": name, "isPickList": True, "picklistValues": entries}
