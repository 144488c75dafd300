"""Mends of a page's body, for keyboards, screen readers and the search."""

from __future__ import annotations

import html
import re

from handbook.colours import lighten

NARROW = 30
"""Columns of code that fit a phone of 320 pixels: such blocks never scroll."""

_BLOCK = re.compile(
    r'class="snippet-path"[^>]*>(?P<path>[^<]*)<'
    r'|<details class="snippet-whole"(?P<whole>)'
    r'|<div class="recorded(?P<recorded>)[" ]'
    r'|(?P<pre><pre(?: class="literal-block")?)>(?P<code>.*?)</pre>'
    r'|(?P<table><div class="table-wrapper[^"]*"(?: id="[^"]*")?)>',
    re.DOTALL,
)
_LINK = re.compile(r'href="#([^"]+)"')
_LINE = re.compile(
    r'<span id="([\w.-]+-\d+)">((?:[^<]|<(?!/?span)|<span class="\w+">[^<]*</span>)*)'
    r"</span>"
)
"""A line of code with an id; those that no picture of the page links to lose it."""
_INLINE = re.compile(
    r'<code class="docutils literal notranslate">(.*?)</code>', re.DOTALL
)
_TAG = re.compile(r"<[^>]*>")
_KOREAN_TEXT = re.compile(r">([^<]*[\uac00-\ud7a3][^<]*)<")
_KOREAN = re.compile(r"[\uac00-\ud7a3]+(?:[ -]+[\uac00-\ud7a3]+)*")
_SECTION = re.compile(
    r'<section id="([^"]+)">(\s*(?:<span id="[^"]+"></span>)*<h[2-6])>'
)
_ASIDE = re.compile(r"<aside (?![^>]*\b(?:role|aria-label)=)([^>]*)>")


def mend(body: str, *, every_line: bool = False) -> str:
    """Return a page's body so that keyboards and screen readers can use it.

    With `every_line` all lines of code keep their ids, for links from other pages.

    What scrolls sideways can be reached with the keyboard and has a name of its own;
    captions of toctrees are no headings without a level; an aside has a role that
    needs no name; an empty corner of a table is no heading; Korean words say that they
    are Korean; a heading has the id of its section, for the search to lead to it.
    """
    body = body.replace('<p class="caption" role="heading">', '<p class="caption">')
    body = _ASIDE.sub(_aside, body)
    body = body.replace('<th class="head"><p></p></th>', "<td></td>")
    body = _SECTION.sub(r'<section>\2 id="\1">', body)
    body = _INLINE.sub(_inline, body)
    body = _KOREAN_TEXT.sub(
        lambda text: ">" + _KOREAN.sub(r'<span lang="ko">\g<0></span>', text[1]) + "<",
        body,
    )
    if not every_line:
        linked = set(_LINK.findall(body))
        body = _LINE.sub(lambda line: line[0] if line[1] in linked else line[2], body)
    names: dict[str, int] = {}
    program = label = ""

    def region(opening: str, name: str) -> str:
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name = f"{name}, {names[name]}"
        label = html.escape(name)
        return f'{opening} tabindex="0" role="region" aria-label="{label}">'

    def replace(found: re.Match[str]) -> str:
        nonlocal program, label
        if found["path"] is not None:
            program = html.unescape(found["path"]).rpartition("/")[2]
            label = f"Program {program}"
        elif found["whole"] is not None:
            label = f"The whole program {program}"
        elif found["recorded"] is not None:
            label = f"Output of {program}" if program else "Output"
        elif found["table"] is not None:
            return region(found["table"], "Table")
        else:
            name, label = label or "Code", ""
            code = lighten(found["code"])
            text = html.unescape(_TAG.sub("", code))
            opening = found["pre"] + ">"
            if max(map(len, text.splitlines()), default=0) > NARROW:
                opening = region(found["pre"], name)
            return f"{opening}{code}</pre>"
        return found[0]

    return _BLOCK.sub(replace, body)


def _inline(found: re.Match[str]) -> str:
    return f'<code class="literal">{_TAG.sub("", found[1])}</code>'


def _aside(found: re.Match[str]) -> str:
    role = "none" if "footnote-list" in found[1] else "note"
    return f'<aside role="{role}" {found[1]}>'
