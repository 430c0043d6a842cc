"""/login: ask for a link by mail. /login/SECRET: the link; GET shows a button, POST exchanges it for a token.

Only where no identity provider is configured; elsewhere GET /login says so. What POST /login answers says
nothing about the address. A link that was asked for on the page of a handoff leads back to it.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from cross_web import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from db.session import Database
from resolvers import logins
from resolvers.errors import LoginLinkSpent, RateLimited, Refusal
from resolvers.inputs import MAX_EMAIL
from schema.context import utc_now
from server.auth import Tokens
from server.http_rules import BoundedRequest, refuse
from server.login_mails import LoginMails
from server.rate_limits import RateLimits
from server.web_pages import PAGE_HEADERS, in_outages, show_page, show_refusal, wants_json

_TITLE = "Sign in to Handoff"
_ASKED = "If somebody has this address, a link to sign in is on its way. It is valid for 10 minutes."


class LoginPages:
    """The pages, with what they need."""

    def __init__(
        self,
        database: Database,
        mails: LoginMails,
        tokens: Tokens,
        rate_limits: RateLimits,
        *,
        valid_for: timedelta,
    ) -> None:
        """Describe the pages.

        Args:
            database: Where the links are.
            mails: Sends them.
            tokens: Signs what a link is exchanged for.
            rate_limits: Count the links that one network address asks for.
            valid_for: How long such a token is valid.
        """
        self._database = database
        self._mails = mails
        self._tokens = tokens
        self._rate_limits = rate_limits
        self._valid_for = valid_for

    def routes(self) -> list[Route]:
        """Return the routes of the pages."""
        return [
            Route("/login", self._ask_page, methods=["GET"]),
            Route("/login", self._ask, methods=["POST"]),
            Route("/login/{secret}", in_outages(self._show), methods=["GET"]),
            Route("/login/{secret}", in_outages(self._exchange), methods=["POST"]),
        ]

    async def _ask_page(self, _: Request) -> Response:
        return show_page("ask", title=_TITLE, by_mail=True, script="ask.js")

    async def _ask(self, request: Request) -> Response:
        try:
            email, handoff_id = await _read_asked(BoundedRequest(request.scope, request.receive))
        except HTTPException as error:
            return refuse(error)
        address = None if request.client is None else request.client.host
        wait = await self._rate_limits.hit_address("login", address)
        if wait is not None:
            refusal = RateLimited(wait)
            response = refuse(HTTPException(429, refusal.message))
            response.headers["Retry-After"] = str(refusal.retry_after_seconds)
            return response
        self._mails.ask(email, handoff_id)
        return JSONResponse({"message": _ASKED}, status_code=202, headers={"Cache-Control": "no-store"})

    async def _show(self, request: Request) -> Response:
        """Answer the page. Scanners open every link of a mail, so nothing is used up here."""
        try:
            async with self._database.system_reading() as tx:
                await logins.find_account(tx, request.path_params["secret"], now=utc_now())
        except LoginLinkSpent as refusal:
            return _refused(request, refusal)
        return show_page("login", title=_TITLE, token=None)

    async def _exchange(self, request: Request) -> Response:
        secret, now = request.path_params["secret"], utc_now()
        try:
            async with self._database.system_reading() as system_tx:
                account_id = await logins.find_account(system_tx, secret, now=now)
            async with self._database.transaction(account_id) as tx:
                user = await logins.use_link(tx, secret, now=now)
        except Refusal as refusal:
            return _refused(request, refusal)
        token = self._tokens.sign(user.id, valid_for=self._valid_for)
        if wants_json(request):
            body = {"token": token, "expiresAt": (now + self._valid_for).isoformat(timespec="seconds")}
            return JSONResponse(body, headers=PAGE_HEADERS)
        return show_page(
            "login",
            title=f"Signed in as {user.name}",
            token=token,
            handoff=_handoff_of(request),
            script="signed_in.js",
        )


async def show_no_login(_: Request) -> Response:
    """Say that no links are mailed here."""
    return show_page("ask", title=_TITLE, by_mail=False)


async def _read_asked(request: BoundedRequest) -> tuple[str, UUID | None]:
    """Return the address of a request, and the handoff to go on to, if any.

    Raises:
        HTTPException: 415, 413 or 400. A form is refused: pages of other sites can send one.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send the request as application/json.")
    try:
        body: Any = await request.json()
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON.") from None
    email = body.get("email") if isinstance(body, dict) else None
    if not isinstance(email, str) or not 0 < len(email.strip()) <= MAX_EMAIL or not email.isprintable():
        raise HTTPException(400, 'Send {"email": "you@example.com"}.')
    return email, _read_id(body.get("handoffId"))


def _read_id(given: object) -> UUID | None:
    """Return an id; None for anything else. Nothing but an id gets into a link."""
    try:
        return UUID(given) if isinstance(given, str) else None
    except ValueError:
        return None


def _refused(request: Request, refusal: Refusal) -> Response:
    status_code = 410 if isinstance(refusal, LoginLinkSpent) else 403
    if wants_json(request):
        body = {"errors": [{"message": refusal.message, "extensions": {"code": "UNAUTHENTICATED"}}]}
        return JSONResponse(body, status_code=status_code, headers=PAGE_HEADERS)
    handoff = _handoff_of(request)
    way = ("/login", "Sign in") if handoff is None else (handoff, "Go on to the handoff")
    return show_refusal("This is not possible", refusal.message, status_code=status_code, way=way)


def _handoff_of(request: Request) -> str | None:
    """Return the path of the handoff that a link goes on to, if any."""
    handoff_id = _read_id(request.query_params.get("handoff"))
    return None if handoff_id is None else f"/handoffs/{handoff_id}"
