"""Pages outside the chapters: the tests of the claims, and long programs.

A page a file of tests, as pytest runs it, each claim's test with the claim's
id: the ledger links to them. A page a program that is too long to stand under
its excerpts, which link to it. No sidebar lists them, no search finds them.
"""

from __future__ import annotations

import ast
import hashlib
import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handbook import boxes, claims, memory
from handbook.needs import FILES
from handbook.problem import Problem
from handbook.snippet import read_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sphinx.application import Sphinx
    from sphinx.builders.html import StandaloneHTMLBuilder
    from sphinx.util.typing import ExtensionMetadata

    from handbook.claims import Claim
    from handbook.snippet import Snippet


def address(made: Claim) -> str:
    """Give the address of a claim's test, from the top of the site."""
    file = made.path.relative_to(made.root).with_suffix(".html").as_posix()
    return f"{file}#claim-{made.id}"


def pieces(text: str, tests: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Cut a file where the test of a claim begins or ends.

    `tests` gives the claim's id by the name of its test. Yields the id, or "",
    and the lines; together they are the whole text.
    """
    lines = text.splitlines(keepends=True)
    done = 0
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name in tests:
            first = min(node.lineno, *(n.lineno for n in node.decorator_list)) - 1
            last = node.end_lineno or node.lineno
            yield "", "".join(lines[done:first])
            yield tests[node.name], "".join(lines[first:last])
            done = last
    yield "", "".join(lines[done:])


def body(app: Sphinx, path: Path, known: list[Claim]) -> str:
    """Write the page of one file of tests."""
    builder: StandaloneHTMLBuilder = app.builder  # type: ignore[assignment]
    where = path.relative_to(known[0].root).as_posix()
    ledger = f"../../{claims.LEDGER}{claims.ledger_of(known[0])}.html"
    tests = {made.test: made.id for made in known}
    written = [
        f"<section><h1>The tests in {escape(path.name)}</h1>"
        f"<p>This is <code>{escape(where)}</code>, as pytest runs it. What each claim "
        f'says, its sources and the last result stand in <a href="{ledger}">the '
        "ledger</a>.</p>"
    ]
    for identifier, text in pieces(path.read_text("utf-8"), tests):
        if identifier:
            written.append(
                f'<p class="ledger-id" id="claim-{identifier}">'
                f'<a href="{ledger}#claim-{identifier}">{identifier}</a></p>'
            )
        if text.strip():
            code = text.strip("\n") + "\n"
            written.append(builder.highlighter.highlight_block(code, "python"))
    return "".join([*written, "</section>"])


def program_body(app: Sphinx, program: Snippet) -> str:
    """Write the page of a long program."""
    builder: StandaloneHTMLBuilder = app.builder  # type: ignore[assignment]
    return "".join(
        [
            f"<section><h1>{escape(program.path.name)}, whole</h1>",
            f"<p>{escape(program.summary)}</p>" if program.summary else "",
            boxes.begin(
                program,
                boxes.anchor(program.id),
                f"whole {boxes.kind(program)}",
                "../../",
            ),
            '<div class="copy-source">',
            builder.highlighter.highlight_block(
                program.clean,
                FILES.get(program.path.suffix, "python"),
                linespans=boxes.lines(program),
            ),
            "</div>",
            boxes.end(program),
            "</section>",
        ]
    )


ALL = ""  # in what is kept of the pages: the state in which all of them were written


def _all_there(app: Sphinx, names: Iterable[str]) -> bool:
    return all((Path(app.outdir) / f"{name}.html").exists() for name in names)


def collect(  # noqa: C901 - two kinds of page, and three reasons to leave one
    app: Sphinx,
) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Add a page for each file of tests, where it or what is around it changed."""
    if app.builder.name != "html":
        return
    root = Path(app.srcdir).parent
    last = memory.of(app.env)
    around = [last.titles, last.digests]
    around += [app.config.handbook_machinery, app.config.handbook_live]
    kept = Path(app.doctreedir) / "handbook-source-pages.json"
    before = json.loads(kept.read_text()) if kept.exists() else {}
    files_now = repr((memory.state_of(root), around))
    if before.pop(ALL, None) == files_now and _all_there(app, before):
        return
    try:
        known = claims.collect(root)
        programs = read_all(root)
    except Problem:
        return  # the pages that show claims and programs tell of it
    files: dict[Path, list[Claim]] = {}
    for made in known.values():
        if made.test:
            files.setdefault(made.path, []).append(made)
    states = {}
    for path, mine in files.items():
        name = path.relative_to(mine[0].root).with_suffix("").as_posix()
        state = hashlib.sha256(repr((path.read_bytes(), around)).encode()).hexdigest()
        states[name] = state
        written = Path(app.outdir) / f"{name}.html"
        if before.get(name) == state and written.exists():
            continue
        context = {
            "title": f"The tests in {path.name}",
            "body": body(app, path, mine),
            "furo_hide_toc": True,
        }
        yield name, context, "page.html"
    for program in filter(boxes.has_own_page, programs):
        name = boxes.address(program).removesuffix(".html")
        state = hashlib.sha256(repr((program.source, around)).encode()).hexdigest()
        states[name] = state
        if before.get(name) == state and (Path(app.outdir) / f"{name}.html").exists():
            continue
        context = {
            "title": f"{program.path.name}, whole",
            "body": program_body(app, program),
            "furo_hide_toc": True,
        }
        yield name, context, "page.html"
    for gone in before.keys() - states.keys():
        (Path(app.outdir) / f"{gone}.html").unlink(missing_ok=True)
    kept.write_text(json.dumps({ALL: files_now, **states}))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.connect("html-collect-pages", collect)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
