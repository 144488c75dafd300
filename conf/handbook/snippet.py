"""Find the handbook's programs and read what they say of themselves.

A snippet is a program under `snippets/<part>/`. Its docstring begins with one
line on what it shows and may hold fields, one a line:

    Needs: Linux, root            what the program cannot do without: a system, root,
                                  a command, a file beside it, pip install a-package
    Varies: inode {int}           a piece of its output that differs from run to run;
                                  {int>=1} if less is a failure, and differs
    Takes: 5 seconds              where the kernel's own timer is the subject
    Pair: server = a.py --port 0  a role of a pair that is recorded together
    Port: listening on port {port}  where the first role prints its port

Regions stand between `# [name]` and `# [/name]`. No reader sees these marker
lines: `Snippet.clean` is the program without them.
"""

from __future__ import annotations

import ast
import functools
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from handbook import needs, texts
from handbook.needs import FILES, PACKAGE, is_file
from handbook.problem import Problem, place

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

# In Python, in JavaScript and in HTML.
MARKER = re.compile(
    r"^\s*(?:#|//|<!--) \[(?P<end>/?)(?P<name>[a-z0-9-]+)\](?: -->)?\s*$"
)
FIELD = re.compile(r"^(?P<key>[A-Z][a-z]+): +(?P<value>.+)$")
FIELDS = ("Needs", "Varies", "Takes", "Pair", "Port")
SHORT, LONGEST = 3.0, 5.0  # seconds that a program takes, and those it may declare
TAKES = re.compile(r"(?P<seconds>[45]) seconds")
PLACEHOLDERS = {
    "int": r"\d+",
    "seconds": r"\d+(?:\.\d+)?",
    "hex": r"[0-9a-fA-F]+",
    "text": r".+?",
}
NUMBERS = ("int", "seconds")  # of which {int>=1} may say what they must at least be


@dataclass(frozen=True)
class Varying:
    """A span of a text that differs from run to run; `enough` if it is no failure."""

    kind: str
    start: int
    end: int
    least: float | None
    enough: bool


@dataclass(frozen=True)
class Varies:
    """A piece of a line of output in which something differs from run to run."""

    template: str
    pattern: re.Pattern[str]
    least: tuple[float | None, ...]  # what each placeholder must at least be

    @classmethod
    def parse(cls, template: str) -> Varies:
        """Turn `took {int>=1} bytes` into a pattern; ValueError names a bad type."""
        split = re.split(r"\{(\w+)(?:>=(\d+(?:\.\d+)?))?\}", template)
        pieces = [piece for index, piece in enumerate(split) if index % 3 != 2]
        least = tuple(None if each is None else float(each) for each in split[2::3])
        kinds = pieces[1::2]
        unknown = [kind for kind in kinds if kind not in PLACEHOLDERS]
        if not unknown and kinds and len(re.findall(r"\w", "".join(pieces[::2]))) < 3:
            raise ValueError("too little around it to know the place by")
        if unknown or not kinds:
            named = f"{{{unknown[0]}}} is no type" if unknown else "no {type} in it"
            raise ValueError(named)
        for kind, bound in zip(kinds, least, strict=True):
            if bound is not None and kind not in NUMBERS:
                raise ValueError(f"{{{kind}>={bound:g}}} compares what is no number")
        pattern = ""
        for index, piece in enumerate(pieces):
            if index % 2 == 0:
                pattern += re.escape(piece)
            else:
                pattern += f"(?P<{piece}_{index}>{PLACEHOLDERS[piece]})"
        if pieces[-1] == "" and kinds[-1] == "text":
            pattern += "$"
        return cls(template, re.compile(pattern, re.MULTILINE), least)

    def values(self, text: str) -> Iterator[Varying]:
        """Yield what stands in a text where a placeholder is, in order."""
        for match in self.pattern.finditer(text):
            for group, least in zip(match.groupdict(), self.least, strict=True):
                start, end = match.span(group)
                enough = least is None or float(match[group]) >= least
                yield Varying(group.rpartition("_")[0], start, end, least, enough)


@dataclass(frozen=True)
class Role:
    """One program of a pair, with its arguments; `{port}` is filled in."""

    name: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Snippet:
    """A program of the handbook, as its file stands."""

    root: Path
    path: Path
    source: str
    summary: str = ""
    needs: tuple[str, ...] = ()
    varies: tuple[Varies, ...] = ()
    roles: tuple[Role, ...] = ()
    port: str | None = None
    takes: float = SHORT
    _lines: tuple[int, ...] = field(default=(), repr=False)

    @property
    def part(self) -> str:
        """The folder: the part of the handbook."""
        return self.path.parent.name

    @property
    def name(self) -> str:
        """The file's name, without its ending if it is a program."""
        return self.path.name.removesuffix(".py")

    @property
    def id(self) -> str:
        """`part/name`, as directives and `make record` name it."""
        return f"{self.part}/{self.name}"

    @property
    def where(self) -> str:
        """The path from the repository's root."""
        return place(self.root, self.path)

    @property
    def recording(self) -> str:
        """`part/name` of its recording: a pair is named without `_server`."""
        name = self.name.removesuffix("_server") if self.roles else self.name
        return f"{self.part}/{name}"

    @property
    def companions(self) -> tuple[str, ...]:
        """Files that must lie beside the program."""
        return tuple(need for need in self.needs if is_file(need))

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages that must be installed for the program."""
        return tuple(
            need.removeprefix(PACKAGE)
            for need in self.needs
            if need.startswith(PACKAGE)
        )

    @functools.cached_property
    def clean(self) -> str:
        """The program without marker lines: what readers see, copy and download."""
        lines = self.source.splitlines(keepends=True)
        return "".join(lines[number - 1] for number in self._lines)

    def clean_line(self, source_line: int) -> int:
        """Where a line of the file stands once the markers are gone (from 1)."""
        return sum(1 for number in self._lines if number < source_line) + 1

    def region(self, name: str) -> tuple[int, int]:
        """First and last line (of `clean`) of a region; Problem if there is none."""
        start = end = None
        names = []
        for number, line in enumerate(self.source.splitlines(), 1):
            match = MARKER.match(line)
            if match is None:
                continue
            if not match["end"]:
                names.append(match["name"])
            if match["name"] == name:
                if match["end"]:
                    end = number
                else:
                    start = number
        if start is None or end is None or end < start:
            have = ", ".join(names) or "none"
            raise Problem(
                self.where,
                f"no region [{name}]; the file has: {have}",
                f"put '# [{name}]' and '# [/{name}]' around the lines, "
                "or name a region that is there",
            )
        first, last = self.clean_line(start), self.clean_line(end) - 1
        if last < first:
            raise Problem(
                self.where, f"region [{name}] is empty", "put lines into it, or drop it"
            )
        return first, last

    def pyobject(self, name: str) -> tuple[int, int]:
        """First and last line (of `clean`) of a function or class, by dotted name."""
        body = ast.parse(self.clean).body
        found: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None = None
        for piece in name.split("."):
            found = next(
                (
                    node
                    for node in body
                    if isinstance(
                        node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
                    )
                    and node.name == piece
                ),
                None,
            )
            if found is None:
                raise Problem(
                    self.where,
                    f"no function or class {name}",
                    "name one that the file has, or take the option away",
                )
            body = found.body
        if found is None or found.end_lineno is None:
            raise AssertionError(name)
        first = min([found.lineno, *(node.lineno for node in found.decorator_list)])
        return first, found.end_lineno

    def excerpt(self, first: int, last: int) -> str:
        """Give some lines of `clean`, both ends included (from 1), at the margin."""
        rows = self.clean.splitlines(keepends=True)[first - 1 : last]
        margin = min((len(r) - len(r.lstrip()) for r in rows if r.strip()), default=0)
        return "".join(row[margin:] if row.strip() else row for row in rows)

    @property
    def announces(self) -> re.Pattern[str]:
        """How the first role of a pair tells its port; the group `port` holds it."""
        template = re.escape(self.port or "")
        return re.compile(template.replace(r"\{port\}", r"(?P<port>\d+)"))

    def missing(self) -> list[str]:
        """Say what this machine lacks of what the program needs."""
        folder = self.path.parent
        lacking = [need for need in self.needs if not needs.present(need, folder)]
        if "chromium" in self.needs and "playwright" in self.packages:
            lacking += [] if needs.drives_browsers() else ["chromium"]
        return list(dict.fromkeys(lacking))


def read(path: Path, root: Path = ROOT) -> Snippet:
    """Read one program; Problem names the line of whatever is wrong with it."""
    return _parsed(path, root, texts.read(root, path))


@functools.lru_cache(maxsize=1024)
def _parsed(path: Path, root: Path, source: str) -> Snippet:
    """Parse a program once for as long as its text stays the same."""
    if path.suffix in FILES:
        lines = source.splitlines()
        _check_markers(root, path, lines)
        return Snippet(root, path, source, _lines=_shown(lines))
    if source.startswith("\ufeff"):
        raise Problem(
            place(root, path, 1),
            "begins with a byte order mark, which no reader sees and all copy",
            "have your editor save the file as UTF-8 without BOM",
        )
    tree = texts.parse(root, path, source)
    docstring = ast.get_docstring(tree)
    if not docstring:
        raise Problem(
            place(root, path, 1),
            "no docstring",
            "begin the program with one line in triple quotes that says what it shows",
        )
    lines = source.splitlines()
    fields: dict[str, list[str]] = {key: [] for key in FIELDS}
    docstring_end = getattr(tree.body[0], "end_lineno", 1) or 1
    varies = []
    for number, line in enumerate(lines[:docstring_end], 1):
        match = FIELD.match(line.rstrip())
        if match is None or match["key"] not in fields:
            _check_near(root, path, number, line)
            continue
        fields[match["key"]].append(match["value"])
        if match["key"] == "Varies":
            try:
                varies.append(Varies.parse(match["value"]))
            except ValueError as error:
                raise Problem(
                    place(root, path, number),
                    f"Varies: {error}",
                    "write a literal piece of the line with one of "
                    + ", ".join(f"{{{kind}}}" for kind in PLACEHOLDERS)
                    + "; a number may say its minimum: {int>=1}",
                ) from error
    roles = _roles(root, path, fields)
    _check_markers(root, path, lines)
    return Snippet(
        root=root,
        path=path,
        source=source,
        summary=docstring.splitlines()[0].strip(),
        needs=tuple(
            need.strip() for value in fields["Needs"] for need in value.split(",")
        ),
        varies=tuple(varies),
        roles=tuple(roles),
        port=fields["Port"][0] if fields["Port"] else None,
        takes=_takes(root, path, fields),
        _lines=_shown(lines),
    )


def _shown(lines: list[str]) -> tuple[int, ...]:
    """Number the lines that are no markers."""
    return tuple(
        number for number, line in enumerate(lines, 1) if not MARKER.match(line)
    )


def _roles(root: Path, path: Path, fields: dict[str, list[str]]) -> list[Role]:
    """Read the roles of a pair."""
    roles = []
    for value in fields["Pair"]:
        name, equals, command = value.partition(" = ")
        try:
            words = tuple(shlex.split(command))
        except ValueError:
            words = ()
        if not equals or not words:
            raise Problem(
                place(root, path, 1),
                f"Pair: {value!r} is not 'role = program.py arguments'",
                "write, for example, 'Pair: server = echo_server.py --port 0'",
            )
        roles.append(Role(name.strip(), words))
    if roles and not (fields["Port"] and "{port}" in fields["Port"][0]):
        raise Problem(
            place(root, path, 1),
            "a pair without its Port: line",
            "say where the first program prints its port, "
            "for example 'Port: listening on 127.0.0.1 port {port}'",
        )
    return roles


def _takes(root: Path, path: Path, fields: dict[str, list[str]]) -> float:
    """Read how many seconds a program may take."""
    if not fields["Takes"]:
        return SHORT
    match = TAKES.fullmatch(fields["Takes"][0])
    if match is None:
        raise Problem(
            place(root, path, 1),
            f"Takes: {fields['Takes'][0]!r} is no time that a program may take",
            f"write 'Takes: {LONGEST:g} seconds', or make it shorter",
        )
    return float(match["seconds"])


NEAR = re.compile(
    r"^(?:needs?|var(?:y|ies)|takes?|pairs?|ports?) *: *\S", re.IGNORECASE
)


def _check_near(root: Path, path: Path, number: int, line: str) -> None:
    """Refuse a line that was meant to be a field and is none."""
    if NEAR.match(line):
        raise Problem(
            place(root, path, number),
            f"{line.strip()!r} is not read as a field",
            "write one of " + ", ".join(f"'{key}: …'" for key in FIELDS),
        )


def _check_markers(root: Path, path: Path, lines: list[str]) -> None:
    open_at: dict[str, int] = {}
    closed: set[str] = set()
    for number, line in enumerate(lines, 1):
        match = MARKER.match(line)
        if match is None:
            continue
        name = match["name"]
        if match["end"]:
            if name not in open_at:
                raise Problem(
                    place(root, path, number),
                    f"[/{name}] closes a region that is not open",
                    f"put '# [{name}]' above the lines it should hold",
                )
            del open_at[name]
            closed.add(name)
        elif name in open_at or name in closed:
            raise Problem(
                place(root, path, number),
                f"[{name}] stands twice in one file",
                "give each region a name of its own",
            )
        else:
            open_at[name] = number
    for name, number in open_at.items():
        raise Problem(
            place(root, path, number),
            f"[{name}] is never closed",
            f"put '# [/{name}]' below the lines it should hold",
        )


def find(root: Path = ROOT) -> list[Path]:
    """Every program under `snippets/`, in order."""
    return sorted((root / "snippets").glob("*/*.py"))


def companions(root: Path = ROOT) -> list[Path]:
    """Every file under `snippets/` that is no program and lies beside one, in order."""
    return sorted(
        path for path in (root / "snippets").glob("*/*") if path.suffix in FILES
    )


def read_all(root: Path = ROOT) -> list[Snippet]:
    """Read every program and every file beside one; Problem for the first bad one."""
    return [read(path, root) for path in [*find(root), *companions(root)]]


def by_id(identifier: str, root: Path = ROOT) -> Snippet:
    """Read the program `part/name`; Problem lists near names if there is none."""
    path = root / "snippets" / f"{identifier}.py"
    if not path.is_file():
        have = [f"{p.parent.name}/{p.stem}" for p in find(root)]
        part = identifier.partition("/")[0]
        near = [name for name in have if name.startswith(part + "/")] or have
        raise Problem(
            f"snippets/{identifier}.py",
            "there is no such program",
            "write it, or name one of: " + ", ".join(near),
        )
    return read(path, root)


def companions_of_pairs(root: Path = ROOT) -> dict[str, str]:
    """Programs that run only as a role of a pair: their id -> the pair's first id.

    A program that cannot be read owns none: whoever reads it tells of it.
    """
    owners = {}
    for path in find(root):
        try:
            program = read(path, root)
        except Problem:
            continue
        for role in program.roles[1:]:
            owners[f"{program.part}/{Path(role.argv[0]).stem}"] = program.id
    return owners
