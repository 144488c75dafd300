"""Find what would let a page go stale, and say how to mend it.

Each check reads files and returns Problems; nothing is run. `problems` gives
them all, for `make check` and for the tests.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.metadata
import re
import sys
from typing import TYPE_CHECKING

from handbook import claims, errors, facts, pages, recordings
from handbook.problem import Problem, place
from handbook.snippet import (
    ROOT,
    Snippet,
    companions,
    companions_of_pairs,
    find,
)
from handbook.snippet import read as read_snippet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handbook.pages import Block, Page

DRIFTING = ("lines", "emphasize-lines", "lineno-match", "lineno-start", "linenos")
SHORT = 28  # characters of a title in the sidebar
TITLE = 80  # characters of a title that a list of results still shows
ASKS = re.compile(
    r"(am|are|can|could|did|do|does|has|have|how|is|may|must|shall|should|was|were|what"
    r"|when|where|which|who|whom|whose|why|will|would)\b",
    re.IGNORECASE,
)
CLOCK = re.compile(
    r"time\.(time|ctime|strftime|localtime|gmtime)"
    r"|(datetime\.)?(datetime|date)\.(now|utcnow|today)"
)
OPENING = 60  # words in which the answer is given
LONG = (
    50  # words: about four lines, and no paragraph before the first program is longer
)
WORDS = (900, 1500)
BRIEF = 80  # words: half a minute of reading
DIRECTIVES_OF_CODE = ("code-block", "code", "sourcecode", "parsed-literal")
REFUSED = ("include", "raw", "eval-rst")
TYPED = (
    *("make", "python", "python3", "git", "ss", "apt", "cd", "curl", "nc", "strace"),
    *("sudo", "nstat", "lsof", "ip"),
)


def problems(root: Path = ROOT) -> list[Problem]:
    """Run every check."""
    found: list[Problem] = []
    snippets: list[Snippet] = []
    for path in find(root):
        try:
            snippets.append(read_snippet(path, root))
        except Problem as problem:
            found.append(problem)
    found += claims.gather(root)[1]
    expected = set(find(root))
    found += [
        Problem(
            place(root, path),
            "no part of the handbook: nothing runs it",
            "put it at snippets/<part>/<name>.py",
        )
        for path in sorted((root / "snippets").rglob("*.py"))
        if path not in expected
    ]
    read = pages.read_all(root)
    found += facts.wrong(root, read)
    for check in (
        shown,
        recorded,
        named,
        sound,
        quiet,
        ledgers,
        listed,
        indexed,
        answered,
    ):
        found += check(root, read, snippets)
    terms = glossary_terms(read)
    for page in read:
        for look in (fences, includes, ledgered, timelines, glossary):
            found += look(root, page)
        found += explained(root, page, terms)
        if pages.is_chapter(root, page):
            found += chapter(root, page)
    told = {str(problem): problem for problem in found}
    return list(told.values())


def to_do(root: Path = ROOT) -> list[Problem]:
    """Say what writers have marked as still to do: no pull request may bring it."""
    found = [
        (page.path, line, what)
        for page in pages.read_all(root)
        for line, what in page.to_do
    ]
    for path in sorted((root / "tests").rglob("test_*.py")):
        found += [
            (path, line, what) for line, what in pages.to_do(path.read_text("utf-8"))
        ]
    return [
        Problem(place(root, path, line), f"to do: {what}", "do it, and delete the line")
        for path, line, what in found
    ]


def _at(root: Path, block: Block) -> str:
    return place(root, block.path, block.line)


# Programs and recordings


def included(root: Path, page: Page) -> Iterator[tuple[Block, str]]:
    """Name the programs a page includes, as `part/name`."""
    for block in page.named("literalinclude"):
        path = (page.path.parent / block.argument).resolve()
        if path.parent.parent == root / "snippets":
            yield block, f"{path.parent.name}/{path.name.removesuffix('.py')}"


def shown(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Every program is on a page."""
    on_pages = {name for page in read for _, name in included(root, page)}
    for snippet in snippets:
        if snippet.id not in on_pages:
            yield Problem(
                snippet.where,
                "no page shows this program",
                "include it in a chapter with {literalinclude}, or delete it",
            )
    needed = {
        snippet.path.parent / need
        for snippet in snippets
        for need in snippet.companions
    }
    for path in companions(root):
        where = place(root, path)
        if f"{path.parent.name}/{path.name}" not in on_pages:
            yield Problem(
                where,
                "no page shows this file",
                "include it in a chapter with {literalinclude}, or delete it",
            )
        if path not in needed:
            yield Problem(
                where,
                "no program needs this file",
                f"write 'Needs: {path.name}' into the docstring of one, or delete it",
            )


def recorded(
    root: Path, read: list[Page], snippets: list[Snippet]
) -> Iterator[Problem]:
    """Every program is recorded, every recording shown, and none is left over."""
    partners = companions_of_pairs(root)
    wanted: set[Path] = set()
    told = {
        (block.argument, block.options.get("role", ""))
        for page in read
        for block in page.named("recorded")
    }
    for snippet in snippets:
        if snippet.id in partners:
            continue
        files = recordings.paths(snippet)
        wanted |= set(files.values())
        for path in files.values():
            if not path.is_file():
                yield Problem(
                    place(root, path),
                    f"{snippet.where} has no recording",
                    f"make record S={snippet.id}",
                )
                break
        for role in files.keys() - {"events"}:
            if (snippet.id, role) not in told:
                named = f" of the {role}" if role else ""
                yield Problem(
                    snippet.where,
                    f"no page shows the recorded output{named}",
                    f"put a {{recorded}} {snippet.id} under the program",
                )
    read_well = {snippet.path for snippet in snippets}
    unread = [path.with_suffix("") for path in find(root) if path not in read_well]
    for path in sorted((root / "snippets").glob("*/recorded/*")):
        program = path.parent.parent / path.name.partition(".")[0]
        if path not in wanted and program not in unread:
            yield Problem(
                place(root, path),
                "a recording without its program",
                "delete it, or bring the program back",
            )


def named(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """No program is named like a module of the standard library."""
    del read, root
    for snippet in snippets:
        if snippet.name in sys.stdlib_module_names:
            yield Problem(
                snippet.where,
                f"a file named {snippet.name}.py hides Python's module {snippet.name}",
                "give it another name",
            )
        for companion in snippet.companions:
            if not (snippet.path.parent / companion).is_file():
                yield Problem(
                    snippet.where,
                    f"Needs: names {companion}, which is not there",
                    f"put {companion} beside it, or mend the line",
                )


def ledgers(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Every part that claims something has its page of the ledger."""
    del snippets
    docnames = {page.docname for page in read}
    for part in sorted({made.part for made in claims.gather(root)[0].values()}):
        page = f"reference/claims/{part}"
        if page not in docnames:
            yield Problem(
                f"docs/{page}.md",
                f"the part {part} makes claims, and has no page in the ledger",
                "write it like docs/reference/claims/sockets.md, and name it in "
                "docs/reference/claims/index.md",
            )


def listed(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Every error that a recorded run met has its place in the reference."""
    del snippets
    blocks = [block for page in read for block in page.named("provoked")]
    if not blocks:
        return
    told = {block.argument for block in blocks}
    for name, seen in sorted(errors.seen(root).items()):
        if name not in told:
            yield Problem(
                place(root, blocks[0].path),
                f"no entry for {name}, which {', '.join(sorted(seen.programs))} met",
                f"add a heading with its text, under it a fence {{provoked}} {name}, "
                "and what to do about it",
            )


def sound(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """A program names what it imports, and prints no clock."""
    del read
    for snippet in snippets:
        told = {package.lower() for package in snippet.packages}
        for node in ast.walk(ast.parse(snippet.source)):
            for name in _imported(node):
                where = place(root, snippet.path, getattr(node, "lineno", None))
                beside = f"{name}.py"
                if name in sys.stdlib_module_names or beside in snippet.companions:
                    continue
                if (snippet.path.parent / beside).is_file():
                    yield Problem(
                        where,
                        f"imports {beside}, which lies beside it, and does not say so",
                        f"write 'Needs: {beside}' into its docstring",
                    )
                elif not told & {name.lower(), *_distributions(name)}:
                    package = next(iter(_distributions(name)), name)
                    yield Problem(
                        where,
                        f"needs the package {package}, and does not say so",
                        f"write 'Needs: pip install {package}' into its docstring, and "
                        "the package into requirements.in (then make lock)",
                    )
            for clock in _printed_clocks(node):
                if not snippet.varies:
                    yield Problem(
                        place(root, snippet.path, getattr(node, "lineno", None)),
                        f"prints {clock}(), which no two runs share",
                        "print no time; if it must be, declare it in the docstring, "
                        "for example 'Varies: at {text}'",
                    )


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module.partition(".")[0]]
    return []


def _distributions(module: str) -> set[str]:
    """Name the packages that bring a module, as they are installed here."""
    return {name.lower() for name in _brought_by().get(module, [])}


@functools.cache
def _brought_by() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _printed_clocks(node: ast.AST) -> Iterator[str]:
    """Name the calls that ask what time it is, in what a print() prints."""
    if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "print"):
        return
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and CLOCK.fullmatch(ast.unparse(inner.func)):
            yield ast.unparse(inner.func)


def indexed(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Every chapter is named in its part's index, and nothing else is."""
    del snippets
    pages_by_name = {page.docname: page for page in read}
    for page in read:
        part, _, name = page.docname.rpartition("/")
        index = pages_by_name.get(f"{part}/index")
        if not pages.is_chapter(root, page):
            continue
        if index is None:
            yield Problem(
                f"docs/{part}/index.md",
                f"the part {part} has no index, where the order of chapters lives",
                "write it like docs/sockets/index.md, and name it in docs/index.md",
            )
        elif name not in _entries(index):
            yield Problem(
                place(root, page.path, 1),
                "no index names this chapter: no reader comes here",
                f"write {name} into the {{toctree}} of docs/{part}/index.md",
            )


def _entries(page: Page) -> set[str]:
    return {
        line.strip()
        for block in page.named("toctree")
        for line in block.body.splitlines()
    }


def answered(
    root: Path, read: list[Page], snippets: list[Snippet]
) -> Iterator[Problem]:
    """Each brief answer leans on a claim of a chapter, and leads to that chapter."""
    del snippets
    in_full = {
        identifier
        for page in read
        if page.docname not in pages.BRIEF
        for _, identifier in pages.claims_shown(page)
    }
    for page in read:
        if page.docname != pages.QUESTIONS:
            continue
        for question in (here for here in page.headings if here.level == 3):
            where = place(root, page.path, question.line)
            section = pages.section(page, question)
            if not re.search(r"\]\((?!https?:)[^)]+\.md[#)]", section):
                yield Problem(
                    where,
                    f"the answer to {question.text!r} leads to no chapter",
                    "end it with 'In full: [short title](../part/chapter.md#heading)'",
                )
            if not pages.ROLE.search(section):
                yield Problem(
                    where,
                    f"the answer to {question.text!r} leans on no claim",
                    "mark a sentence with {claim}`id`, as the chapter does",
                )
            words = len(pages.ROLE.sub("", section).split())
            if words > BRIEF:
                yield Problem(
                    where,
                    f"the answer to {question.text!r} takes {words} words; half a "
                    f"minute is {BRIEF}",
                    "leave to the chapter what it says in full",
                )
        for line, identifier in pages.claims_shown(page):
            if identifier not in in_full:
                yield Problem(
                    place(root, page.path, line),
                    f"the claim {identifier} stands here alone",
                    "show it in the chapter that answers in full",
                )


def _sleeps(text: str) -> set[int]:
    """Give the lines on which something called sleep is called."""
    return {
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id == "sleep")
            or (isinstance(node.func, ast.Attribute) and node.func.attr == "sleep")
        )
    }


def quiet(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """No sleep stands in for an event, and no port is taken for granted."""
    del read
    tests = [
        (path, path.read_text()) for path in sorted((root / "tests").rglob("*.py"))
    ]
    programs = [(snippet.path, snippet.source) for snippet in snippets]
    for path, text in programs + tests:
        lines = text.splitlines()
        try:
            sleeps = sorted(_sleeps(text))
        except SyntaxError as error:
            yield Problem(
                place(root, path, error.lineno),
                f"not Python: {error.msg}",
                "mend the line",
            )
            continue
        for number in sleeps:
            if "# waits:" not in lines[number - 1]:
                yield Problem(
                    place(root, path, number),
                    "a sleep where an event could be waited for",
                    "wait for the event; if the sleep is the subject, "
                    "add '# waits: why'",
                )
    for snippet in snippets:
        for node in ast.walk(ast.parse(snippet.source)):
            port = _bound_port(node)
            if port:
                yield Problem(
                    place(root, snippet.path, getattr(node, "lineno", None)),
                    f"binds port {port}, which may be taken",
                    "bind port 0 and ask getsockname() which port it became",
                )


def _bound_port(node: ast.AST) -> int:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return 0
    if node.func.attr not in ("bind", "create_server") or not node.args:
        return 0
    address = node.args[0]
    if isinstance(address, ast.Tuple) and len(address.elts) >= 2:
        port = address.elts[1]
        # Below 1024 a bind is refused and above 65535 is no port: those are subjects.
        if isinstance(port, ast.Constant) and isinstance(port.value, int):
            return port.value if 1024 <= port.value <= 65535 else 0
    return 0


def stale(root: Path, snippet: Snippet, difference: str) -> Problem:
    """Say that a program no longer does what the pages show of it."""
    shown_at = [
        _at(root, block)
        for page in pages.read_all(root)
        for block in page.named("recorded", "timeline")
        if block.argument == snippet.id
    ]
    where = " and ".join(shown_at) or "its recording"
    return Problem(
        snippet.where,
        f"the program no longer does what {where} shows (- recorded, + now):\n"
        + difference,
        f"if the new run is right: make record S={snippet.id}, and read the prose "
        "around it again",
    )


# Pages


def fences(root: Path, page: Page) -> Iterator[Problem]:
    """Code and output on a page come from a file, or say why not."""
    for block in page.blocks:
        name = block.name.lower()
        plain = name == ""
        if name in REFUSED:
            yield Problem(
                _at(root, block),
                f"{{{name}}} brings in what no check sees",
                "use {literalinclude} for a program, and Markdown for the rest",
            )
            continue
        if plain and block.argument.split(" ")[0] in pages.COMMANDS:
            for row in block.body.splitlines():
                if row.strip() and row.split()[0] not in TYPED:
                    yield Problem(
                        _at(root, block),
                        f"{row.strip()!r} does not look like a command",
                        "a fence of the kind sh holds what readers type; show output "
                        "with {recorded}",
                    )
            continue
        if not plain and name not in DIRECTIVES_OF_CODE:
            continue
        if block.options.get("fragment"):
            continue
        language = block.argument or "text"
        yield Problem(
            _at(root, block),
            f"code in the page itself ({language}): no test runs it, "
            "so it can go stale",
            "move it to snippets/ and include it; show output with {recorded}; "
            "if it cannot run, use {code-block} with ':fragment: why'",
        )
    for line in page.html:
        yield Problem(
            place(root, page.path, line),
            "code written as HTML: no test runs it",
            "include a program, or show output with {recorded}",
        )
    for line in page.indented:
        yield Problem(
            place(root, page.path, line),
            "an indented block, which Markdown takes for code",
            "take the indentation away, or include a program",
        )


def includes(root: Path, page: Page) -> Iterator[Problem]:
    """What a page includes is there, and chosen by what does not drift."""
    for block in page.named("literalinclude"):
        path = (page.path.parent / block.argument).resolve()
        if not path.is_file():
            yield Problem(
                _at(root, block),
                f"{block.argument} is not there",
                "write the program, or mend the path",
            )
            continue
        for option in DRIFTING:
            if option in block.options:
                yield Problem(
                    _at(root, block),
                    f":{option}: counts lines, and lines drift",
                    "use :pyobject:, or :region: with '# [name]' and '# [/name]'",
                )
        try:
            snippet = read_snippet(path, root)
        except Problem:
            continue  # told of with the programs
        try:
            if "region" in block.options:
                snippet.region(block.options["region"])
            if "pyobject" in block.options:
                snippet.pyobject(block.options["pyobject"])
        except Problem as problem:
            yield Problem(
                _at(root, block), f"{problem.where}: {problem.what}", problem.mend
            )


def ledgered(root: Path, page: Page) -> Iterator[Problem]:
    """Every claim a page shows has its test."""
    known, wrong = claims.gather(root)
    unread = "".join(
        (root / name).read_text("utf-8")
        for name in {problem.where.partition(":")[0] for problem in wrong}
    )
    for line, identifier in pages.claims_shown(page):
        if identifier not in known and f'"{identifier}"' not in unread:
            start = identifier.split("-")[0]
            near = [name for name in known if start in name]
            yield Problem(
                place(root, page.path, line),
                f"no test claims {identifier}"
                + (f"; near: {', '.join(near[:5])}" if near else ""),
                "name a claim of tests/, or write its test",
            )


def timelines(root: Path, page: Page) -> Iterator[Problem]:
    """A timeline's events link to lines, so its program is on the same page."""
    here = {name for _, name in included(root, page)}
    for block in page.named("timeline", "state-machine"):
        names = [block.argument] if block.argument else []
        for name in names + block.options.get("programs", "").split():
            if name not in here:
                yield Problem(
                    _at(root, block),
                    f"the {block.name} links to lines of {name}, "
                    "which this page does not show",
                    f"include ../../snippets/{name}.py above it",
                )


def glossary(root: Path, page: Page) -> Iterator[Problem]:
    """The terms of a glossary stand in the order of the alphabet."""
    for block in page.named("glossary"):
        terms = [line for line in block.body.splitlines() if re.match(r"\S", line)]
        plain = [re.sub(r"[^a-z0-9 ]", "", term.lower()) for term in terms]
        for at in range(1, len(plain)):
            if plain[at] < plain[at - 1]:
                yield Problem(
                    _at(root, block),
                    f"{terms[at]!r} comes after {terms[at - 1]!r}",
                    "put the terms in the order of the alphabet",
                )


def glossary_terms(read: list[Page]) -> set[str]:
    """Give the words that the glossary explains, in small letters."""
    return {
        line.strip().lower()
        for page in read
        for block in page.named("glossary")
        for line in block.body.splitlines()
        if re.match(r"\S", line)
    }


def explained(root: Path, page: Page, terms: set[str]) -> Iterator[Problem]:
    """Every word that a page sends to the glossary is there."""
    for number, row in enumerate(page.text.splitlines(), 1):
        for match in re.finditer(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", row):
            term = " ".join(match[1].split())
            if term.lower() not in terms:
                near = difflib.get_close_matches(term.lower(), terms, 1)
                yield Problem(
                    place(root, page.path, number),
                    f"the glossary has no {term!r}"
                    + (f"; near: {near[0]}" if near else ""),
                    "explain it in docs/reference/glossary.md, or name a term that "
                    "is there: {term}`shown <term>`",
                )


def chapter(root: Path, page: Page) -> Iterator[Problem]:
    """A chapter has the parts that a reader counts on."""
    missing = []
    if not page.headings or page.headings[0].level != 1:
        missing.append("a title (# …)")
    short = page.front.get("short", "")
    if not short or len(short) > SHORT:
        missing.append(f"'short:' in its front matter, at most {SHORT} characters")
    if not page.front.get("description"):
        missing.append("'description:' in its front matter, one sentence")
    sections = {heading.text for heading in page.headings if heading.level == 2}
    missing += [
        f"a section '## {name}'"
        for name in ("Often said", "Check yourself", "Elsewhere")
        if name not in sections
    ]
    wanted = {
        "literalinclude": "a program",
        "recorded": "a recorded output",
        "timeline": "a picture from a recorded run ({timeline})",
        "notice": "'What to notice' ({notice})",
        "often-said": "a wrong belief put right ({often-said})",
        "answer": "a question to check oneself with ({answer})",
        "platforms": "a line on other systems ({platforms})",
    }
    missing += [told for name, told in wanted.items() if not page.named(name)]
    for what in missing:
        yield Problem(
            place(root, page.path, 1),
            f"the chapter lacks {what}",
            "see 'The form of a chapter' in docs/about/the-form.md",
        )
    yield from _title(root, page)
    yield from _opening(root, page)
    yield from _order(root, page)
    yield from _length(root, page)


def _title(root: Path, page: Page) -> Iterator[Problem]:
    """A title is what people type: a question, or a claim, and no bare noun."""
    if not page.headings or page.headings[0].level != 1:
        return
    line, title = page.headings[0].line, page.headings[0].text
    words = title.split()
    if len(title) > TITLE:
        yield Problem(
            place(root, page.path, line),
            f"a title of {len(title)} characters; results of a search show {TITLE}",
            "ask one question; what else the chapter answers are its sections",
        )
    elif ASKS.match(title) and "?" not in title:
        yield Problem(
            place(root, page.path, line),
            f"{title!r} asks, and has no question mark",
            "put a question mark where the question ends",
        )
    elif len(words) < 4:
        yield Problem(
            place(root, page.path, line),
            f"{title!r} names a subject: nobody types that",
            "make it a question or a claim, for example 'Does accept() give the "
            "connection a new port?'",
        )


def _opening(root: Path, page: Page) -> Iterator[Problem]:
    programs = page.named("literalinclude")
    first = programs[0].line if programs else sys.maxsize
    for index, (line, text) in enumerate(page.paragraphs):
        words = len(text.split())
        if index == 0 and words > OPENING:
            yield Problem(
                place(root, page.path, line),
                f"the opening takes {words} words; the answer stands in the first "
                f"{OPENING}",
                "answer the title's question first, then say why anyone asks",
            )
        elif line < first and words > LONG:
            yield Problem(
                place(root, page.path, line),
                f"a paragraph of {words} words before the first program",
                "show the program first, or shorten the paragraph to four lines",
            )


def _order(root: Path, page: Page) -> Iterator[Problem]:
    """Under each output stands what to notice."""
    kept = page.named("recorded", "notice", "literalinclude", "timeline")
    for here, after in zip(kept, [*kept[1:], None], strict=True):
        if here.name != "recorded":
            continue
        if after is not None and after.name in ("notice", "recorded", "timeline"):
            continue
        yield Problem(
            _at(root, here),
            "an output without 'What to notice' under it",
            "add a {notice} of two to four lines that point at words of the output",
        )


def _length(root: Path, page: Page) -> Iterator[Problem]:
    words = len(pages.prose(page).split())
    low, high = (0 if page.to_do else WORDS[0]), WORDS[1]
    if not low <= words <= high:
        yield Problem(
            place(root, page.path, 1),
            f"{words} words of prose; a chapter has {WORDS[0]} to {high}",
            "cut what does not answer the title's question"
            if words > high
            else "say what the outcomes of the chapter need",
        )
