"""Autotask PSA: ticket notes that are published to internal users only.

Source: Autotask REST API, TicketNotes; zone information; "Notes published to All Autotask Users are visible
to customers, to Internal Users never". What the number of `publish` means differs between tenants and is
read from the tenant's own list, by its label. Each request counts towards 10,000 in an hour, which the
tenant's integrations share.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from notify.psa.addresses import clean_base_url
from notify.psa.faults import NoteVisible, PsaAmbiguous, PsaFault, PsaRefused, TicketRefused, unconfirmed
from notify.psa.http import Web, origin_of
from notify.psa.moving import MovingPsa
from notify.psa.port import Access, of_ticket, ticket_number

#: Labels that are taken where the admin chose none.
INTERNAL_LABELS = ("Internal Only", "Internal Users Only", "Internal Users", "Internal")
NOTE_TYPE_LABELS = ("Task Notes", "Ticket Notes", "Task Detail")
_TITLE = "Handoff"
_MOST_PAGES = 40


def is_internal_label(label: str) -> bool:
    """Tell whether a label of `publish` can mean that no customer reads the note.

    Not one that names co-managed users: they work for the customer.
    """
    words = label.lower().replace("-", "").replace(" ", "")
    return "intern" in words and "comanaged" not in words and not words.startswith("all")


class Autotask(MovingPsa):
    """One turn with an Autotask PSA.

    config: publish_label, note_type_label, impersonation_resource_id, each optional. credentials:
    user_name, secret, integration_code.
    """

    _memory_key = "zone"
    _moved_code = 401

    def __init__(self, access: Access, web: Web) -> None:
        keys = access.credentials
        headers = {
            "ApiIntegrationCode": keys["integration_code"],
            "UserName": keys["user_name"],
            "Secret": keys["secret"],
        }
        if impersonated := access.config.get("impersonation_resource_id"):
            headers["ImpersonationResourceId"] = impersonated
        super().__init__(access, web, headers)
        self._publish: tuple[int, str] | None = None
        self._note_type: tuple[int, str] | None = None

    async def check(self) -> str:
        """Read the lists of the tenant."""
        publish, note_type = await self._picks()
        return f"Signed in. Notes are published to “{publish[1]}”, with the type “{note_type[1]}”."

    async def find_note(self, ticket: str, marker: str) -> str | None:
        """Look through the notes of the ticket."""
        number = ticket_number(ticket)
        async for note in self._notes(number):
            if marker in str(note.get("description") or ""):
                publish, _ = await self._picks()
                return self._confirmed(number, note, publish[0])
        return None

    async def add_note(self, ticket: str, text: str) -> str:
        """Create the note, then read how it was published."""
        number = ticket_number(ticket)
        publish, note_type = await self._picks()
        document = {"title": _TITLE, "description": text, "noteType": note_type[0], "publish": publish[0]}
        made = await of_ticket(self._write(f"/Tickets/{number}/Notes", document))
        answer = made.json()
        note_id = answer.get("itemId") if isinstance(answer, dict) else None
        if not isinstance(note_id, int):
            raise made.nonsense()
        try:
            read = (await self._read(f"/TicketNotes/{note_id}")).json()
        except PsaFault as fault:
            raise unconfirmed(fault, f"Note {note_id} of ticket {number}") from None
        note = read.get("item") if isinstance(read, dict) else None
        if not isinstance(note, dict):
            raise PsaAmbiguous(f"Autotask made note {note_id} but does not show it.")
        return self._confirmed(number, note, publish[0])

    def _confirmed(self, ticket: int, note: dict[str, Any], publish: int) -> str:
        if note.get("publish") != publish:
            raise NoteVisible(
                f"Note {note.get('id')} of ticket {ticket} is not for internal users alone. Look at it now."
            )
        return str(note["id"])

    async def _picks(self) -> tuple[tuple[int, str], tuple[int, str]]:
        """Return value and label of `publish` and of `noteType`."""
        if self._publish is None or self._note_type is None:
            answer = await self._read("/TicketNotes/entityInformation/fields")
            document = answer.json()
            fields = document.get("fields") if isinstance(document, dict) else None
            if not isinstance(fields, list):
                raise answer.nonsense()
            config = self._access.config
            self._publish = _pick(fields, "publish", config.get("publish_label"), INTERNAL_LABELS)
            if not is_internal_label(self._publish[1]):
                raise PsaRefused(f"“{self._publish[1]}” is not for internal users alone.")
            self._note_type = _pick(fields, "noteType", config.get("note_type_label"), NOTE_TYPE_LABELS)
        return self._publish, self._note_type

    async def _notes(self, ticket: int) -> AsyncIterator[dict[str, Any]]:
        search = json.dumps({"filter": [{"op": "eq", "field": "ticketID", "value": ticket}]})
        answer = await self._read("/TicketNotes/query", search=search)
        for _ in range(_MOST_PAGES):
            document = answer.json()
            notes = document.get("items") if isinstance(document, dict) else None
            if not isinstance(notes, list):
                raise answer.nonsense()
            for note in notes:
                yield note if isinstance(note, dict) else {}
            following = (document.get("pageDetails") or {}).get("nextPageUrl")
            if not following:
                return
            answer = await self._web.read(await self._within_zone(str(following)), self._headers)
        raise TicketRefused("The ticket has more notes than can be looked through.")

    async def _within_zone(self, url: str) -> str:
        """Refuse a next page that lies elsewhere: the credentials go with the request."""
        try:
            is_own = origin_of(httpx.URL(url)) == origin_of(httpx.URL(await self._api()))
        except httpx.InvalidURL:
            is_own = False
        if not is_own:
            raise PsaRefused("Autotask names a next page that lies elsewhere.")
        return url

    async def _find_api(self) -> str:
        """Ask which zone the tenant is in; another than before may be why a request met 401."""
        user = self._access.credentials["user_name"]
        answer = await self._web.read(f"{self._access.base_url}/v1.0/zoneInformation", {}, user=user)
        document = answer.json()
        zone = document.get("url") if isinstance(document, dict) else None
        return f"{self._clean_zone(zone)}/v1.0"

    def _clean_zone(self, zone: object) -> str:
        try:
            url = clean_base_url(str(zone))
        except ValueError:
            raise PsaRefused("Autotask did not say which zone the user belongs to.") from None
        if _domain(url) != _domain(self._access.base_url):
            raise PsaRefused("Autotask names a zone that lies in another domain.")
        return url


def _pick(fields: list[Any], name: str, chosen: str | None, known: tuple[str, ...]) -> tuple[int, str]:
    """Return value and label of a list's one active entry that was chosen, or else of the first known.

    Raises:
        PsaRefused: there is none; the text names the labels that there are.
    """
    values = next(
        (f.get("picklistValues") for f in fields if isinstance(f, dict) and f.get("name") == name), None
    )
    entries = [v for v in values or () if isinstance(v, dict) and v.get("isActive", True)]
    for label in (chosen,) if chosen else known:
        wanted = label.strip().casefold()
        found = [v for v in entries if str(v.get("label", "")).strip().casefold() == wanted]
        if len(found) == 1 and str(found[0].get("value", "")).isdigit():
            return int(found[0]["value"]), str(found[0]["label"])
    labels = ", ".join(f"“{v.get('label')}”" for v in entries[:20]) or "none"
    raise PsaRefused(f"{name} has no entry “{chosen or known[0]}”. Autotask has: {labels}.")


def _domain(url: str) -> str:
    """Return the host without its first label: zones are neighbours."""
    host = httpx.URL(url).host.lower()
    rest = host.partition(".")[2]
    return rest if "." in rest and not host.replace(".", "").isdigit() else host
