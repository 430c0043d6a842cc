"""/claim/TOKEN and /quiet/TOKEN: the pages behind the links in mails. GET shows, POST acts."""

from asyncio import to_thread

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assist.redaction import redact
from db.session import Database
from resolvers import links as resolver
from resolvers.briefings import brief, keep
from resolvers.errors import Forbidden, Refusal
from schema.context import utc_now
from server.links import ClaimLink, LinkExpired, LinkInvalid, Links
from server.web_pages import Respond, in_outages, show_page, show_refusal

#: Where a link leads on to that leads nowhere itself.
_SIGN_IN = ("/login", "Sign in")


class LinkPages:
    """The pages, with what they need."""

    def __init__(self, database: Database, links: Links) -> None:
        self._database = database
        self._links = links

    def routes(self) -> list[Route]:
        """Return the routes of the pages."""
        return [
            Route("/claim/{token}", _with_sorry(self._show_claim), methods=["GET"]),
            Route("/claim/{token}", _with_sorry(self._claim), methods=["POST"]),
            Route("/quiet/{token}", _with_sorry(self._show_quiet), methods=["GET"]),
            Route("/quiet/{token}", _with_sorry(self._quiet), methods=["POST"]),
        ]

    async def _show_claim(self, request: Request) -> Response:
        return await self._claim_page(self._links.read_claim(request.path_params["token"]), refusal=None)

    async def _claim(self, request: Request) -> Response:
        link = self._links.read_claim(request.path_params["token"])
        lost: Refusal | None = None
        try:
            async with self._database.transaction(link.account_id) as tx:
                await resolver.claim_by_link(
                    tx, link.recipient_id, link.handoff_id, link.delivery_id, now=utc_now()
                )
        except Refusal as refusal:
            lost = refusal
        return await self._claim_page(link, refusal=lost)

    async def _claim_page(self, link: ClaimLink, *, refusal: Refusal | None) -> Response:
        async with self._database.reading(link.account_id) as tx:
            linked = await resolver.look(tx, link.recipient_id, link.handoff_id, link.delivery_id)
        briefing = None if linked.briefing is None else await brief(linked.briefing, now=utc_now())
        if briefing is not None and not briefing.is_kept:
            async with self._database.transaction(link.account_id) as tx:
                await keep(tx, link.handoff_id, briefing)
        return show_page(
            "claim",
            status_code=200 if refusal is None else 403 if isinstance(refusal, Forbidden) else 409,
            title="Claim a handoff",
            linked=linked,
            handoff=linked.handoff,
            page=self._links.handoff(link.handoff_id),
            notes=await to_thread(redact, linked.handoff.notes or ""),
            briefing=await to_thread(redact, "" if briefing is None else briefing.row.text),
            trouble=None if refusal is None else refusal.message,
        )

    async def _show_quiet(self, request: Request) -> Response:
        self._links.read_quiet(request.path_params["token"])
        return show_page("quiet", title="Stop reminders?", is_done=False)

    async def _quiet(self, request: Request) -> Response:
        """Turn reminders off; mail programs post here themselves (RFC 8058)."""
        account_id, user_id = self._links.read_quiet(request.path_params["token"])
        async with self._database.transaction(account_id) as tx:
            await resolver.quiet_reminders(tx, user_id, now=utc_now())
        return show_page("quiet", title="Reminders are off", is_done=True)


async def show_broken_link(_: Request) -> Response:
    """Answer that a link is not whole: mail programs break long ones, and people copy half of them."""
    message = "Open the whole link from the mail, or sign in."
    return show_refusal("This link is not valid", message, status_code=404, way=_SIGN_IN)


def _with_sorry(respond: Respond) -> Respond:
    """Answer a link that stands for nothing, or a person who may not, with a page that says so."""

    async def answer(request: Request) -> Response:
        try:
            return await respond(request)
        except LinkExpired as expired:
            way = (
                _SIGN_IN
                if expired.handoff_id is None
                else (f"/handoffs/{expired.handoff_id}", "Open the handoff")
            )
            message = "Links in mails are valid for a few days. Sign in to see what became of the handoff."
            return show_refusal("This link has expired", message, status_code=410, way=way)
        except LinkInvalid:
            return await show_broken_link(request)
        except Refusal as refusal:
            return show_refusal("This is not possible", refusal.message, status_code=403)

    return in_outages(answer)
