"""The colours of code: two Pygments styles, their CSS, and fewer elements."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pygments.style import Style  # type: ignore[import-untyped]
from pygments.token import (  # type: ignore[import-untyped]
    STANDARD_TYPES,
    Comment,
    Error,
    Generic,
    Keyword,
    Name,
    Number,
    Operator,
    String,
    Token,
)

LIGHT = {
    "text": "#1f2429",
    "quiet": "#59626d",
    "word": "#86258f",
    "string": "#1c662f",
    "number": "#8f4100",
    "name": "#00548a",
    "wrong": "#b3261e",
}
"""Colours of code on a light page: few hues, each with a contrast of 4.5 or more."""

DARK = {
    "text": "#d9dde2",
    "quiet": "#9aa5b1",
    "word": "#dca3ea",
    "string": "#9fd3a4",
    "number": "#ecb67e",
    "name": "#84c1f5",
    "wrong": "#ff9c92",
}
"""Colours of code on a dark page."""


def _style(colours: dict[str, str]) -> dict[Any, str]:
    text, quiet, wrong = colours["text"], colours["quiet"], colours["wrong"]
    word, name = colours["word"], colours["name"]
    string, number = colours["string"], colours["number"]
    return {
        Token: text,
        Comment: f"italic {quiet}",
        Comment.Preproc: f"noitalic {quiet}",
        Keyword: word,
        Operator.Word: word,
        Number: number,
        String: string,
        String.Doc: f"italic {quiet}",
        String.Escape: number,
        String.Interpol: number,
        Name.Builtin: name,
        Name.Builtin.Pseudo: f"italic {text}",
        Name.Class: name,
        Name.Decorator: quiet,
        Name.Exception: wrong,
        Name.Function: name,
        Name.Tag: name,
        Name.Attribute: word,
        Generic.Deleted: wrong,
        Generic.Inserted: string,
        Generic.Error: wrong,
        Generic.Traceback: wrong,
        Generic.Heading: f"bold {name}",
        Generic.Subheading: name,
        Generic.Emph: "italic",
        Generic.Strong: "bold",
        Generic.Prompt: quiet,
        Error: wrong,
    }


class LightCode(Style):  # type: ignore[misc]
    """Code on a light page."""

    name = "handbook-light"
    background_color = "#f5f6f8"
    highlight_color = "#e3ecf4"
    styles: ClassVar[dict[Any, str]] = _style(LIGHT)


class DarkCode(Style):  # type: ignore[misc]
    """Code on a dark page."""

    name = "handbook-dark"
    background_color = "#1c2024"
    highlight_color = "#263542"
    styles: ClassVar[dict[Any, str]] = _style(DARK)


def _looks() -> dict[str, list[str]]:
    """Return the looks of code in CSS, each with the classes that have it.

    Tokens that look like plain text are under the empty look.
    """
    names = {colour: f"var(--code-{name})" for name, colour in LIGHT.items()}
    looks: dict[str, list[str]] = {}
    for token, drawn in LightCode.list_styles():
        look = [] if drawn["color"] == LIGHT["text"][1:] else ["color"]
        look = [f"color:{names['#' + drawn['color']]}" for _ in look]
        look += ["font-style:italic"] if drawn["italic"] else []
        look += ["font-weight:600"] if drawn["bold"] else []
        if name := STANDARD_TYPES.get(token):
            looks.setdefault(";".join(look), []).append(name)
    return looks


def code_colours() -> str:
    """Return the CSS of both styles: one rule a look, its colour a property.

    What Pygments writes for two schemes is ten times as long.
    """
    rules = [
        "body{" + "".join(f"--code-{n}:{c};" for n, c in LIGHT.items()) + "}",
        '/* dark */@media not print{body[data-theme="dark"]{'
        + "".join(f"--code-{n}:{c};" for n, c in DARK.items())
        + "}}/* end of dark */",
        ".highlight{background:var(--color-code-background)}",
        ".highlight .hll{background:var(--accent-soft)}",
    ]
    for look, classes in _looks().items():
        if look:
            rules.append(f".highlight .{classes[0]}{{{look}}}")
    return "\n".join(rules)


_CLASS = {
    name: classes[0] if look else ""
    for look, classes in _looks().items()
    for name in classes
}
_SPAN = re.compile(r'<span class="(\w+)">([^<]*)</span>')
_TWINS = re.compile(r'(<span class="(\w+)">[^<]*)</span>(\s*)<span class="\2">')


def lighten(code: str) -> str:
    """Return highlighted code with one class a look, and none for plain text.

    It looks the same, and takes the browser half as many elements.
    """

    def span(found: re.Match[str]) -> str:
        name = _CLASS.get(found[1], found[1])
        return f'<span class="{name}">{found[2]}</span>' if name else found[2]

    code, twins = _SPAN.sub(span, code), 1
    while twins:
        code, twins = _TWINS.subn(r"\1\3", code)
    return code
