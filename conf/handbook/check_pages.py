"""What `check` asks of pages: the form of a chapter, and that all it names is there."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import re
import sys
from typing import TYPE_CHECKING

import yaml

from handbook import claims, pages, recordings, texts
from handbook.problem import Problem, place
from handbook.snippet import read as read_snippet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handbook.pages import Page
    from handbook.snippet import Snippet

TITLE = 80  # characters of a title that a list of results still shows
ASKS = re.compile(
    r"(am|are|can|could|did|do|does|has|have|how|is|may|must|shall|should|was|were|what"
    r"|when|where|which|who|whom|whose|why|will|would)\b",
    re.IGNORECASE,
)
OPENING = 60  # words in which the answer is given
LONG = (
    50  # words: about four lines, and no paragraph before the first program is longer
)
WORDS = (900, 1500)
BRIEF = 80  # words: half a minute of reading
DIRECTIVES_OF_CODE = ("code-block", "code", "sourcecode", "parsed-literal")
REFUSED = ("include", "raw", "eval-rst")
FENCE = re.compile(r"\s*(?P<mark>`{3,}|~{3,}|:{3,})(?P<rest>[^`]*)$")
QUOTED = re.compile(r"^- `(?P<words>[^`\n]+)`", re.MULTILINE)
TYPED = (
    *("make", "python", "python3", "git", "ss", "apt", "cd", "curl", "nc", "strace"),
    *("sudo", "nstat", "lsof", "ip"),
)


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


def fences(root: Path, page: Page) -> Iterator[Problem]:
    """Code and output on a page come from a file, or say why not."""
    for block in page.blocks:
        name = block.name.lower()
        plain = name == ""
        if name in REFUSED:
            yield Problem(
                block.where(root),
                f"{{{name}}} brings in what no check sees",
                "use {literalinclude} for a program, and Markdown for the rest",
            )
            continue
        if plain and block.argument.split(" ")[0] in pages.COMMANDS:
            for row in block.body.splitlines():
                if row.strip() and row.split()[0] not in TYPED:
                    yield Problem(
                        block.where(root),
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
            block.where(root),
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
                block.where(root),
                f"{block.argument} is not there",
                "write the program, or mend the path",
            )
            continue
        for option in pages.DRIFTING:
            if option in block.options:
                yield Problem(
                    block.where(root),
                    f":{option}: selects by something that drifts",
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
                block.where(root),
                f"{problem.where}: {problem.what}",
                problem.mend,
            )


def ledgered(root: Path, page: Page) -> Iterator[Problem]:
    """Every claim a page shows has its test."""
    known, wrong = claims.gather(root)
    unread = "".join(
        (root / name).read_text("utf-8", "replace")
        for name in {problem.where.partition(":")[0] for problem in wrong}
        if (root / name).is_file()
    )
    for line, identifier in pages.claims_shown(page):
        if identifier not in known and f'"{identifier}"' not in unread:
            yield claims.unknown(identifier, known, place(root, page.path, line))


def timelines(root: Path, page: Page) -> Iterator[Problem]:
    """A timeline's events link to lines, so its program is on the same page."""
    here = {name for _, name in pages.included(root, page)}
    for block in page.named("timeline", "state-machine"):
        names = [block.argument] if block.argument else []
        for name in names + block.options.get("programs", "").split():
            if name not in here:
                yield Problem(
                    block.where(root),
                    f"the {block.name} links to lines of {name}, "
                    "which this page does not show",
                    f"include ../../snippets/{name}.py above it",
                )


def addressed(root: Path, page: Page) -> Iterator[Problem]:
    """A page's file has a name that makes an address."""
    for name in page.docname.split("/"):
        if not re.fullmatch(r"[a-z0-9]+([-_][a-z0-9]+)*", name):
            yield Problem(
                place(root, page.path),
                f"{name!r} is no name of a page: it becomes the address",
                "rename it: small letters, digits and single hyphens",
            )


def closed(root: Path, page: Page) -> Iterator[Problem]:
    """Every fence is closed before another of its kind begins."""
    opened: tuple[int, str, str] | None = None
    for line, row in enumerate(page.text.splitlines(), 1):
        found = FENCE.match(row)
        if found is None or (opened and not found["mark"].startswith(opened[1])):
            continue  # no fence, or one within the fence that is open
        mark, rest = found["mark"], found["rest"].strip()
        if opened and rest:
            yield _open(root, page, opened, f"before line {line} opens another")
        opened = None if opened and not rest else (line, mark, rest)
    if opened:
        yield _open(root, page, opened, "before the page ends")


def merged(root: Path, page: Page) -> Iterator[Problem]:
    """No page holds what git writes into a file that two have changed."""
    for number, row in enumerate(page.text.splitlines(), 1):
        if row.startswith(("<<<<<<< ", ">>>>>>> ")):
            yield Problem(
                place(root, page.path, number),
                f"a conflict that git has marked: {row!r}",
                "keep what is right of the two, and delete git's three lines",
            )


def _open(root: Path, page: Page, opened: tuple[int, str, str], where: str) -> Problem:
    line, mark, rest = opened
    return Problem(
        place(root, page.path, line),
        f"the fence {mark}{rest.partition(' ')[0]} is not closed {where}",
        f"put a line with {mark} alone where it ends",
    )


def front(root: Path, page: Page) -> Iterator[Problem]:
    """What stands above a page between two `---` can be read, by the build too."""
    rows = page.text.splitlines()
    if not rows or rows[0].rstrip() != "---":
        return
    ends = next((n for n, r in enumerate(rows[1:]) if r.rstrip() == "---"), None)
    try:
        yaml.safe_load("\n".join(rows[1:][:ends]))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 2  # below the first ---
        row = rows[line - 1].strip() if line and line <= len(rows) else ""
        yield Problem(
            place(root, page.path, line or 1),
            "the front matter cannot be read" + (f" at {row!r}" if row else ""),
            "write each field as 'name: words', at the start of a line, with one "
            "space and no tab; words with ': ' in them stand in quotes",
        )


def quoted(root: Path, page: Page) -> Iterator[Problem]:
    """What a line of {notice} begins with stands in an output or program of the page.

    `…` in a quotation stands for what is left out.
    """
    try:
        whole = _squeezed("\n".join(_shown_on(root, page)))
    except Problem:
        return  # told of with the programs: what it shows is not known
    for block in page.named("notice"):
        for match in QUOTED.finditer(block.body):
            pieces = [_squeezed(piece) for piece in match["words"].split("…")]
            if all(piece in whole for piece in pieces):
                continue
            row = block.body.count("\n", 0, match.start()) + len(block.options) + 1
            yield Problem(
                place(root, block.path, block.line + row),
                f"`{match['words']}` stands in no output or program of the page",
                "quote what is printed now, and read the sentence behind it again",
            )


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _shown_on(root: Path, page: Page) -> Iterator[str]:
    """Give what a page shows of runs: programs, outputs and the commands to type."""
    for block in page.named("literalinclude"):
        path = page.path.parent / block.argument
        if path.is_file():
            yield texts.read(root, path)
    for block in page.named("recorded"):
        path = root / "snippets" / f"{block.argument}.py"
        if not path.is_file():
            continue
        with contextlib.suppress(Problem):  # told of by those who read the program
            yield from recordings.load(read_snippet(path, root)).transcripts.values()


def glossary(root: Path, page: Page) -> Iterator[Problem]:
    """A glossary's terms stand in the order of the alphabet, each told in one line."""
    for block in page.named("glossary"):
        rows = block.body.splitlines()
        for one, other in itertools.pairwise(rows):
            if one.startswith(" ") and other.startswith(" "):
                yield Problem(
                    block.where(root),
                    f"a term is explained twice, the second time by {other.strip()!r}",
                    "make one line of the two",
                )
        terms = [line for line in block.body.splitlines() if re.match(r"\S", line)]
        plain = [re.sub(r"[^a-z0-9 ]", "", term.lower()) for term in terms]
        for term in dict.fromkeys(each for each in plain if plain.count(each) > 1):
            last = len(plain) - 1 - plain[::-1].index(term)
            rows_of = [n for n, row in enumerate(rows) if row == terms[last]]
            yield Problem(
                place(
                    root, page.path, block.line + len(block.options) + rows_of[-1] + 1
                ),
                f"the term {terms[last]!r} stands twice in the glossary",
                "make one entry of the two",
            )
        for at in range(1, len(plain)):
            if plain[at] < plain[at - 1]:
                yield Problem(
                    block.where(root),
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
    if not short or len(short) > pages.SHORT_TITLE:
        missing.append(
            f"'short:' in its front matter, at most {pages.SHORT_TITLE} characters"
        )
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
    for here, after in itertools.pairwise([*kept, None]):
        if here is None:
            break
        if here.name != "recorded":
            continue
        if after is not None and after.name in ("notice", "recorded", "timeline"):
            continue
        yield Problem(
            here.where(root),
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
            else "answer what a reader asks next, a section for each question, and "
            "show each answer by a program or a claim; a short one is an entry of "
            "docs/reference/questions.md instead",
        )


def told_apart(
    root: Path, read: list[Page], snippets: list[Snippet]
) -> Iterator[Problem]:
    """No two chapters have one name in the sidebar."""
    del snippets
    first: dict[str, Page] = {}
    for page in read:
        if not pages.is_chapter(root, page):
            continue
        other = first.setdefault(page.short, page)
        if other is not page:
            yield Problem(
                place(root, page.path, 1),
                f"'short: {page.short}' is the name of {other.docname}, too",
                "give one of the two another: the sidebar shows both",
            )


ALL = (indexed, answered, told_apart)
"""Checks of all pages together: (root, pages, programs)."""

EACH = (
    *(
        addressed,
        merged,
        front,
        closed,
        fences,
        includes,
        ledgered,
        timelines,
        glossary,
    ),
    quoted,
)
"""Checks of one page: (root, page)."""
