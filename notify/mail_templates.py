"""The two templates of each mail, text and HTML, compiled once, and the filters that they use."""

import unicodedata
from collections.abc import Callable
from textwrap import wrap

from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

COLUMNS = 72  #: of the text part


def wrapped(text: str, indent: int = 0) -> str:
    """Wrap for a terminal; the writer's own lines and their indentation stay, links are never cut.

    The first line is not indented: it follows a label.
    """
    lines = [part for line in text.split("\n") for part in _wrapped_line(line, COLUMNS - indent)]
    return ("\n" + " " * indent).join(lines)


def underlined(heading: str) -> str:
    """Mark a heading in plain text."""
    return f"{heading}\n{'-' * len(heading)}"


def broken(text: str) -> Markup:
    """Keep the writer's lines in HTML: Outlook knows no ``white-space: pre-wrap``."""
    return Markup("<br>\n").join(_indented_by_entities(line) for line in text.split("\n"))


def _wrapped_line(line: str, columns: int) -> list[str]:
    line = line.expandtabs(4)
    wide = 0 if line.isascii() else sum(unicodedata.east_asian_width(char) in "WF" for char in line)
    hanging = line[: min(len(line) - len(line.lstrip()), columns // 3)]
    width = max(len(hanging) + 1, columns * len(line) // max(1, len(line) + wide))
    cut = "://" not in line
    return wrap(line, width, subsequent_indent=hanging, break_long_words=cut, break_on_hyphens=False) or [""]


def _indented_by_entities(line: str) -> Markup:
    line = line.expandtabs(4)
    text = line.lstrip(" ")
    return Markup("&nbsp;") * (len(line) - len(text)) + escape(text)


class _StyledLoader(PackageLoader):
    """Inlines the style sheet into the template itself, so that no mail pays for it."""

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool] | None]:
        source, path, is_fresh = super().get_source(environment, template)
        inliner = CSSInliner(minify_css=True, load_remote_stylesheets=False)
        return inliner.inline(source), path, is_fresh


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("notify"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(wrapped=wrapped, underlined=underlined, broken=broken)
    return environment


_TEXTS = _environment()
# An HTML parser moves bare statements out of a table, but leaves comments where they are.
_PAGES = _TEXTS.overlay(
    loader=_StyledLoader("notify"),
    block_start_string="<!--%",
    block_end_string="%-->",
    comment_start_string="<!--#",
    comment_end_string="#-->",
)

TEXT = _TEXTS.get_template("escalation.txt.j2")
PAGE = _PAGES.get_template("escalation.html.j2")
LOGIN_TEXT = _TEXTS.get_template("login.txt.j2")
LOGIN_PAGE = _PAGES.get_template("login.html.j2")
