"""Pages for people: how they are made, which headers they have, and what they say in an outage."""

import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from schema.errors import RETRY_SECONDS, code_of, is_unavailable

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

Respond = Callable[[Request], Awaitable[Response]]


def show_page(name: str, *, status_code: int = 200, script: str | None = None, **values: object) -> Response:
    """Answer a page of `server/pages`, with one of its scripts. No other script runs there."""
    headers = PAGE_HEADERS
    if script is not None:
        values["script"], policy = _script(script)
        headers = headers | {"Content-Security-Policy": policy}
    html = _PAGES.get_template(f"{name}.html.j2").render(values)
    return HTMLResponse(html, status_code=status_code, headers=headers)


def show_refusal(
    title: str, message: str, *, status_code: int, way: tuple[str, str] | None = None
) -> Response:
    """Answer a page that says what is not possible, with a link, its address and its words, that leads on."""
    return show_page("sorry", status_code=status_code, title=title, message=message, way=way)


@cache
def _script(name: str) -> tuple[Markup, str]:
    """Return a script of `server/pages`, and the policy that lets it run, and ask this service."""
    source = (_FOLDER / name).read_text(encoding="utf-8")
    digest = b64encode(sha256(source.encode()).digest()).decode()
    policy = PAGE_HEADERS["Content-Security-Policy"]
    return Markup(source), f"{policy}; script-src 'sha256-{digest}'; connect-src 'self'"  # noqa: S704 (ours)


def in_outages(respond: Respond) -> Respond:
    """Answer an outage of the database with a page that says so, or in JSON for who asks for that."""

    async def answer(request: Request) -> Response:
        try:
            return await respond(request)
        except Exception as fault:
            if not is_unavailable(fault):
                raise
            log.exception("page not shown")
            response = _try_again(request, code_of(fault))
            response.headers["Retry-After"] = str(RETRY_SECONDS)
            return response

    return answer


def _try_again(request: Request, code: str) -> Response:
    message = "The service cannot reach its database. Open the link again in a moment."
    if code == "OUTCOME_UNKNOWN":  # a link that is good once may be used up
        message += " If it leads nowhere then, ask for a new one."
    if not wants_json(request):
        return show_refusal("Please try again", message, status_code=503)
    body = {"errors": [{"message": message, "extensions": {"code": code}}]}
    return JSONResponse(body, status_code=503, headers=PAGE_HEADERS)


def wants_json(request: Request) -> bool:
    """Tell whether a program asks, not a person."""
    return "application/json" in request.headers.get("accept", "").lower()
