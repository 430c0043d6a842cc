"""ConnectWise PSA (Manage): notes on the Internal tab of a service ticket.

Source: ConnectWise PSA REST API, service/tickets/{id}/notes. A note shows where its flags say:
`detailDescriptionFlag` is the Discussion, which customers read; `internalAnalysisFlag` is Internal.
"""

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit

from notify.psa.faults import NoteVisible, PsaAmbiguous, PsaFault, PsaRefused, TicketRefused, unconfirmed
from notify.psa.http import Web
from notify.psa.moving import MovingPsa
from notify.psa.port import Access, of_ticket, ticket_number

_ACCEPT = "application/vnd.connectwise.com+json; version=2022.1"
_CODEBASE = re.compile(r"[A-Za-z0-9_.-]+/?")
_PAGE = 250
_MOST_PAGES = 40
_CLOUD = ".myconnectwise.net"
_INTERNAL = {"internalAnalysisFlag": True, "detailDescriptionFlag": False, "resolutionFlag": False}


class ConnectWise(MovingPsa):
    """One turn with a ConnectWise PSA.

    config: company_id, client_id. credentials: public_key, private_key.
    """

    _memory_key = "api"
    _moved_code = 404

    def __init__(self, access: Access, web: Web) -> None:
        company, keys = access.config["company_id"], access.credentials
        user = f"{company}+{keys['public_key']}:{keys['private_key']}"
        headers = {
            "Authorization": f"Basic {b64encode(user.encode()).decode()}",
            "clientId": access.config["client_id"],
            "Accept": _ACCEPT,
        }
        super().__init__(access, web, headers)

    async def check(self) -> str:
        """Read one ticket."""
        found = await self._read("/service/tickets", pageSize=1)
        if not isinstance(found.json(), list):
            raise found.nonsense()
        return "Signed in, and tickets can be read."

    async def find_note(self, ticket: str, marker: str) -> str | None:
        """Look through the notes of the ticket."""
        async for note in self._notes(ticket_number(ticket)):
            if marker in str(note.get("text") or ""):
                return await self._confirmed(ticket_number(ticket), note)
        return None

    async def add_note(self, ticket: str, text: str) -> str:
        """Create the note with every flag said: a flag that is left out has a default of its own."""
        number = ticket_number(ticket)
        document = {"text": text, **_INTERNAL, "processNotifications": False}
        made = await of_ticket(self._write(f"/service/tickets/{number}/notes", document))
        note = made.json()
        if not isinstance(note, dict):
            raise made.nonsense()
        return await self._confirmed(number, note)

    async def _confirmed(self, ticket: int, note: dict[str, Any]) -> str:
        note_id = note.get("id")
        if not isinstance(note_id, int):
            raise PsaAmbiguous("ConnectWise did not say which note it made.")
        if any(flag not in note for flag in _INTERNAL):
            try:
                read = (await self._read(f"/service/tickets/{ticket}/notes/{note_id}")).json()
            except PsaFault as fault:
                raise unconfirmed(fault, f"Note {note_id} of ticket {ticket}") from None
            note = read if isinstance(read, dict) else {}
        if note.get("externalFlag") or any(note.get(flag) is not on for flag, on in _INTERNAL.items()):
            raise NoteVisible(f"Note {note_id} of ticket {ticket} is not internal alone. Look at it now.")
        return str(note_id)

    async def _notes(self, ticket: int) -> AsyncIterator[dict[str, Any]]:
        path = f"/service/tickets/{ticket}/notes"
        for page in range(1, _MOST_PAGES + 1):
            try:
                answer = await self._read(path, pageSize=_PAGE, page=page)
            except PsaRefused as fault:
                if fault.code not in (404, 405) or page > 1:
                    raise
                path = f"/service/tickets/{ticket}/allNotes"  # where some versions have them
                answer = await of_ticket(self._read(path, pageSize=_PAGE, page=page))
            notes = answer.json()
            if not isinstance(notes, list):
                raise answer.nonsense()
            for note in notes:
                yield note if isinstance(note, dict) else {}
            if len(notes) < _PAGE:
                return
        raise TicketRefused("The ticket has more notes than can be looked through.")

    async def _find_api(self) -> str:
        """Ask for the path, which changes with each version of the server: the old one answers 404 then."""
        base, company = self._access.base_url, quote(self._access.config["company_id"], safe="")
        found = await self._web.read(f"{base}/login/companyinfo/{company}", {})
        info = found.json()
        codebase = info.get("Codebase") if isinstance(info, dict) else None
        if not isinstance(codebase, str) or not _CODEBASE.fullmatch(codebase) or ".." in codebase:
            raise PsaRefused("ConnectWise knows no such company: it did not say where its API lies.")
        return f"{_api_host(base)}/{codebase.rstrip('/')}/apis/3.0"


def _api_host(base_url: str) -> str:
    """Return the address of the API: in the cloud, `api-na.` for `na.`; else the server's own."""
    host = urlsplit(base_url).hostname or ""
    if host.endswith(_CLOUD) and not host.startswith("api-"):
        return base_url.replace(f"//{host}", f"//api-{host}", 1)
    return base_url
