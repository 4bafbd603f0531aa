"""One self-contained HTML file: what it shows, its style, its code and the chart library are in it.

Nothing of a run becomes markup. What models wrote is in a JSON block, in which no ``<`` is left, and the code puts it
on the page as text. The page's own policy forbids every address but ``data:`` images, and every script but these.
"""

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import Any

LIBRARY = "chart-4.6.1.umd.min.js"
"""Chart.js, of the package chart.js on npm; MIT licence, in LICENSE-chart.js.txt beside it."""

_SCRIPTS = ("dom.js", "charts.js", "sections.js", "life.js", "questions.js", "main.js")


def page(content: dict[str, Any]) -> str:
    """
    Args:
        content: see `recipe.zppo.report.payload`; with ``live``, the page may ask the server that it comes from.
    """
    style, library = _asset("page.css"), _asset(LIBRARY)
    script = "\n".join(['(() => {\n"use strict";', *map(_asset, _SCRIPTS), "})();"])
    policy = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hashed(style),
        "script-src": f"{_hashed(library)} {_hashed(script)}",
        "connect-src": "'self'" if content.get("live") else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    parts = {
        "policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "title": html.escape(f"{content['runs'][0]['title']} · report"),
        "style": style,
        "library": library,
        "script": script,
        "payload": as_json(content),
    }
    before, *rest = _asset("page.html").split("{{")
    pieces = [before]
    for piece in rest:
        name, _, after = piece.partition("}}")
        pieces += [parts[name], after]
    return "".join(pieces)


def as_json(content: Any) -> str:
    """Without a ``<``, so that no text ends the block that it stands in."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").encode("utf-8", errors="replace").decode("utf-8")


def _asset(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
