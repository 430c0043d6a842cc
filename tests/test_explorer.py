"""The API explorer: in demo mode only, and from our own files, so that it works without the internet."""

import re
from html.parser import HTMLParser

import pytest

from server.endpoint import EXPLORER, EXPLORER_HEADERS
from tests.cast import Cast
from tests.client import Api, running_api

PAGE = {"Accept": "text/html"}
#: What makes a browser load something.
LOADING = {"src", "href", "srcset", "data", "action", "poster"}


class Page(HTMLParser):
    """Collects what a page loads, and the scripts that stand in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self._is_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Keep each address, and note handlers of events, which are scripts too."""
        self.loads += [value or "" for name, value in attributes if name in LOADING]
        self.inline += [name for name, _ in attributes if name.startswith("on")]
        self._is_script = tag == "script"

    def handle_data(self, text: str) -> None:
        """Keep what stands in a script."""
        if self._is_script and text.strip():
            self.inline.append(text)


async def test_the_explorer_loads_its_own_files_and_nothing_else(api: Api) -> None:
    response = await api.http.get("/graphql", headers=PAGE)
    page = Page(response.text)

    files = {address: await api.http.get(address) for address in page.loads}

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert page.inline == []  # its Content-Security-Policy would not run any
    assert sorted(files) == [f"/explorer/{name}" for name in LOADED]
    assert [file.status_code for file in files.values()] == [200] * len(LOADED)
    types = {address.rpartition(".")[2]: file.headers["content-type"] for address, file in files.items()}
    assert types["css"].startswith("text/css")
    assert types["js"].startswith("text/javascript")


LOADED = [
    "graphiql.min.css",
    "graphiql.min.js",
    "react-dom.production.min.js",
    "react.production.min.js",
    "start.js",
]


async def test_a_browser_is_told_to_load_nothing_from_elsewhere(api: Api) -> None:
    response = await api.http.get("/graphql", headers=PAGE)

    assert {name: response.headers[name] for name in EXPLORER_HEADERS} == EXPLORER_HEADERS
    policy = dict(
        part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "script-src" not in policy  # so that the default holds for scripts
    allowed = {source for sources in policy.values() for source in sources.split()}
    assert allowed == {"'self'", "'none'", "'unsafe-inline'", "data:", "blob:", "ws:", "wss:"}


def test_the_explorer_s_files_name_nothing_to_load() -> None:
    styles = (EXPLORER / "graphiql.min.css").read_text(encoding="utf-8")
    scripts = [file.read_text(encoding="utf-8") for file in EXPLORER.glob("*.js")]

    addresses = re.findall(r"url\(\s*[\"']?([^\"')]{1,40})", styles)
    assert [address for address in addresses if not address.startswith(("data:", "#"))] == []
    assert "@import" not in styles
    assert [script for script in scripts if "sourceMappingURL" in script or "importScripts(" in script] == []


@pytest.mark.parametrize("path", ["/graphql", "/explorer/index.html", "/explorer/start.js"])
async def test_outside_demo_mode_there_is_no_explorer(database_url: str, cast: Cast, path: str) -> None:
    async with running_api(database_url, cast, demo=False) as api:
        response = await api.http.get(path, headers=PAGE)

    assert response.status_code in {400, 404}
    assert "text/html" not in response.headers["content-type"]
    assert "graphiql" not in response.text.lower()


async def test_nothing_beside_the_explorer_s_files_is_served_there(api: Api) -> None:
    for path in ("", "../app.py", "%2e%2e/app.py", "..%2fapp.py", "nothing.js"):
        response = await api.http.get(f"/explorer/{path}")

        assert response.status_code in {404, 405}, path
