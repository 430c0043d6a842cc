"""/claim/TOKEN and /quiet/TOKEN: the pages behind the links in mails. GET shows, POST acts."""

import logging
from asyncio import to_thread
from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from assist.redaction import redact
from db.session import Database
from resolvers import links as resolver
from resolvers.briefings import brief, keep
from resolvers.errors import Forbidden, Refusal
from schema.context import utc_now
from schema.errors import RETRY_SECONDS, is_unavailable
from server.links import ClaimLink, LinkExpired, LinkInvalid, Links

log = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent / "pages"
_PAGES = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
#: A link is a credential: no cache keeps its page, no other site learns its address.
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

#: Where a link leads on to that leads nowhere itself.
_SIGN_IN = ("/login", "Sign in")

Respond = Callable[[Request], Awaitable[Response]]


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


def _with_sorry(respond: Respond) -> Respond:
    """Answer a link that stands for nothing, a person who may not, or an outage, with a page that says so."""

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
            message = "Open the whole link from the mail, or sign in."
            return show_refusal("This link is not valid", message, status_code=404, way=_SIGN_IN)
        except Refusal as refusal:
            return show_refusal("This is not possible", refusal.message, status_code=403)
        except Exception as fault:
            if not is_unavailable(fault):
                raise
            log.exception("page not shown")
            message = "The service cannot reach its database. Open the link again in a moment."
            page = show_refusal("Please try again", message, status_code=503)
            page.headers["Retry-After"] = str(RETRY_SECONDS)
            return page

    return answer


def show_page(name: str, *, status_code: int = 200, script: str | None = None, **values: object) -> Response:
    """Answer a page of `server/pages`, with one of its scripts. No other script runs there."""
    headers = PAGE_HEADERS
    if script is not None:
        source = (_FOLDER / script).read_text(encoding="utf-8")
        values["script"] = Markup(source)  # noqa: S704 (a file of ours)
        headers = headers | {"Content-Security-Policy": _policy_for(source)}
    html = _PAGES.get_template(f"{name}.html.j2").render(values)
    return HTMLResponse(html, status_code=status_code, headers=headers)


def show_refusal(
    title: str, message: str, *, status_code: int, way: tuple[str, str] | None = None
) -> Response:
    """Answer a page that says what is not possible, with a link, its address and its words, that leads on."""
    return show_page("sorry", status_code=status_code, title=title, message=message, way=way)


def _policy_for(script: str) -> str:
    """Return the policy that lets this script run, and ask this service."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = PAGE_HEADERS["Content-Security-Policy"]
    return f"{policy}; script-src 'sha256-{digest}'; connect-src 'self'"
