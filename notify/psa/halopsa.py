"""HaloPSA: private actions on a ticket.

Source: HaloPSA API, /api/actions and /api/outcome; OAuth 2.0 client credentials (RFC 6749 section 4.4). What
an action does, and whether its outcome sends a mail, is set up by each tenant: the outcome is looked up, and
must carry the name that the admin gave.
"""

from html import escape
from typing import Any

from notify.psa.faults import NoteVisible, PsaAmbiguous, PsaFault, PsaRefused, TicketRefused, unconfirmed
from notify.psa.http import Answer, Web
from notify.psa.port import Access, of_ticket, ticket_number

#: The private note that HaloPSA comes with; a tenant may have removed or renamed it.
OUTCOME_ID = "7"
OUTCOME_LABEL = "Internal Note"
_MOST_ACTIONS = 1000


class HaloPsa:
    """One turn with a HaloPSA.

    config: auth_server, outcome_id, outcome_label; tenant, optional. credentials: client_id, client_secret.
    """

    def __init__(self, access: Access, web: Web) -> None:
        self._access = access
        self._web = web
        self._outcome: str | None = None

    async def check(self) -> str:
        """Sign in, and look the outcome up."""
        await self._confirm_outcome()
        return f"Signed in. Notes are made with the outcome “{self._outcome}”."

    async def find_note(self, ticket: str, marker: str) -> str | None:
        """Look through the actions of the ticket."""
        number = ticket_number(ticket)
        wanted: dict[str, str | int] = {
            "excludesys": "true",
            "includehtmlnote": "true",
            "count": _MOST_ACTIONS,
        }
        answer = await of_ticket(self._read("/api/actions", ticket_id=number, **wanted))
        document = answer.json()
        actions = document.get("actions") if isinstance(document, dict) else None
        if not isinstance(document, dict) or not isinstance(actions, list):
            raise answer.nonsense()
        for action in actions:
            if isinstance(action, dict) and marker in f"{action.get('note')}\n{action.get('note_html')}":
                return await self._confirmed(number, action)
        total = document.get("record_count", len(actions))
        if not isinstance(total, int) or total > len(actions):
            raise TicketRefused("The ticket has more actions than HaloPSA shows at once.")
        return None

    async def add_note(self, ticket: str, text: str) -> str:
        """Create the action, then read whether it is hidden."""
        number = ticket_number(ticket)
        await self._confirm_outcome()
        action = {
            "ticket_id": number,
            "outcome_id": int(self._access.config["outcome_id"]),
            "hiddenfromuser": True,
            "sendemail": False,
            "note_html": escape(text).replace("\n", "<br>"),
        }
        made = await of_ticket(self._write("/api/actions", [action]))
        found = made.json()
        first = found[0] if isinstance(found, list) and found else found
        if not isinstance(first, dict) or not isinstance(first.get("id"), int):
            raise made.nonsense()
        return await self._confirmed(number, {"id": first["id"]})

    async def _confirmed(self, ticket: int, action: dict[str, Any]) -> str:
        action_id = action.get("id")
        if not isinstance(action_id, int):
            raise PsaAmbiguous("HaloPSA did not say which action it made.")
        if "hiddenfromuser" not in action:
            try:
                read = (await self._read(f"/api/actions/{action_id}", ticket_id=ticket)).json()
            except PsaFault as fault:
                raise unconfirmed(fault, f"Action {action_id} of ticket {ticket}") from None
            action = read if isinstance(read, dict) else {}
        if action.get("hiddenfromuser") is not True:
            raise NoteVisible(f"Action {action_id} of ticket {ticket} is not hidden. Look at it now.")
        return str(action_id)

    async def _confirm_outcome(self) -> None:
        """Find the outcome that makes notes private, once a turn.

        Raises:
            PsaRefused: it is gone, or is another than the admin meant.
        """
        if self._outcome is not None:
            return
        number, label = self._access.config["outcome_id"], self._access.config["outcome_label"]
        found = (await self._read(f"/api/outcome/{int(number)}")).json()
        name = found.get("outcome") if isinstance(found, dict) and found.get("id") == int(number) else None
        if str(name).strip().casefold() != label.strip().casefold():
            raise PsaRefused(f"The outcome {number} is not “{label}”" + (f" but “{name}”." if name else "."))
        self._outcome = label

    async def _read(self, path: str, **params: str | int) -> Answer:
        url = f"{self._access.base_url}{path}"
        try:
            return await self._web.read(url, await self._headers(), **params)
        except PsaRefused as fault:
            if fault.code != 401:
                raise
        self._access.memory.pop("token", None)
        return await self._web.read(url, await self._headers(), **params)

    async def _write(self, path: str, document: object) -> Answer:
        url = f"{self._access.base_url}{path}"
        try:
            return await self._web.write(url, await self._headers(), document)
        except PsaRefused as fault:
            if fault.code != 401:
                raise
        self._access.memory.pop("token", None)
        return await self._web.write(url, await self._headers(), document)

    async def _headers(self) -> dict[str, str]:
        """Return what carries the token; a new one where there is none."""
        memory = self._access.memory
        if "token" not in memory:
            memory["token"] = await self._sign_in()
        return {"Authorization": f"Bearer {memory['token']}"}

    async def _sign_in(self) -> str:
        config, keys = self._access.config, self._access.credentials
        form = {
            "grant_type": "client_credentials",
            "client_id": keys["client_id"],
            "client_secret": keys["client_secret"],
            "scope": "all",
        }
        answer = await self._web.sign_in(f"{config['auth_server']}/token", form, tenant=config.get("tenant"))
        document = answer.json()
        token = document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise answer.nonsense()
        return token
