"""What `check` asks of programs and tests alike: no idle wait, no port for granted."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from handbook import check_tests, constants, texts
from handbook.constants import UNKNOWN
from handbook.problem import Problem, place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handbook.pages import Page
    from handbook.snippet import Snippet

SLEEPS = {"time.sleep", "asyncio.sleep", "trio.sleep", "anyio.sleep", "signal.pause"}
# What waits until somebody tells it, with the calls that tell.
TOLD_BY = {
    "Event": {"set"},
    "Condition": {"notify", "notify_all"},
    "Semaphore": {"release"},
}
WAITS = {"wait", "wait_for", "acquire"}
SELECTS = {"select.select"}
RUNS = {"run", "call", "check_call", "check_output", "system"}
CLOCKS = {"time.monotonic", "time.time", "time.perf_counter"}
# Calls that bind: with an address as their first argument, or with a host and a port.
WITH_ADDRESS = {
    *("bind", "create_server", "HTTPServer", "ThreadingHTTPServer", "TCPServer"),
    *("UDPServer", "ThreadingTCPServer", "ThreadingUDPServer"),
}
WITH_PORT = {"start_server", "create_server", "serve", "TCPSite", "run_app"}
PORTS = range(1024, 65536)  # below, a bind is refused: that is a subject


# Of http.server: daemon_threads is True there, and False in socketserver's own.
OF_DAEMONS = {"ThreadingHTTPServer"}


def quiet(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """No sleep stands in for an event, however it is written."""
    del read
    for path, text, tree in _files(root, snippets):
        for node, what in _idle(tree):
            if not _says(text, node, "# waits:"):
                yield Problem(
                    place(root, path, node.lineno),
                    f"{what} where an event could be waited for",
                    "wait for the event; if the sleep is the subject, "
                    "add '# waits: why'",
                )


def picked(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """No port is taken for granted: it may be another program's."""
    del read
    for path, text, tree in _files(root, snippets):
        for node, port in _bound_ports(tree):
            if _says(text, node, "# port:"):
                continue
            yield Problem(
                place(root, path, node.lineno),
                f"binds port {port}, which may be taken",
                "bind port 0 and ask getsockname() which port it became; if nobody "
                "else can have it, add '# port: why'",
            )
    for snippet in snippets:
        yield from _default_ports(root, snippet)


def _files(
    root: Path, snippets: list[Snippet]
) -> Iterator[tuple[Path, str, ast.Module]]:
    for snippet in snippets:
        yield (
            snippet.path,
            snippet.source,
            texts.parse(root, snippet.path, snippet.source),
        )
    for path, tree in check_tests.parsed(root).items():
        yield path, texts.read(root, path), tree


def _says(text: str, node: ast.expr | ast.stmt, words: str) -> bool:
    """Say whether a comment on a statement, or right above it, says why."""
    return words in text and node.lineno in texts.lines_that_say(text, words)


# Idle waits


def _idle(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield what only lets time pass, with the words for it."""
    full = _full_names(tree)
    untold = _untold(tree, full)
    for node in texts.nodes(tree):
        if isinstance(node, ast.While) and _spins(node, full):
            yield node.test, "a loop that only asks what time it is"
        if not isinstance(node, ast.Call):
            continue
        name = _full(node.func, full)
        last = name.rpartition(".")[2]
        if name in SLEEPS or last == "sleep":
            yield node, "a sleep"
        elif name in SELECTS and len(node.args) >= 3:
            if all(_is_empty(each) for each in node.args[:3]):
                yield node, "a select() of nothing, which is a sleep,"
        elif last in RUNS and node.args and _is_sleep(node.args[0]):
            yield node, "a command that sleeps"
        elif isinstance(node.func, ast.Attribute) and last in WAITS:
            owner = node.func.value
            made = _full(owner.func, full) if isinstance(owner, ast.Call) else ""
            if made.rpartition(".")[2] in TOLD_BY or ast.unparse(owner) in untold:
                yield node, f"a {last}() of what nothing sets, which is a sleep,"


def _full_names(tree: ast.Module) -> dict[str, str]:
    """Give what each name stands for that is imported, or set to what is."""
    found: dict[str, str] = {}
    for node in texts.nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    found[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in texts.nodes(tree):
        if isinstance(node, ast.Assign) and isinstance(
            node.value, ast.Name | ast.Attribute
        ):
            told = _full(node.value, found)
            if told in SLEEPS:
                found |= {
                    target.id: told
                    for target in node.targets
                    if isinstance(target, ast.Name)
                }
    return found


def _full(node: ast.expr, names: dict[str, str]) -> str:
    """Name what is called in full, such as time.sleep for a nap() that is one."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_full(node.value, names)}.{node.attr}"
    return ""


def _is_empty(node: ast.expr) -> bool:
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return not node.elts
    return (
        isinstance(node, ast.Call)
        and not node.args
        and bool(_full(node.func, {}) in {"list", "tuple", "set"})
    )


def _is_sleep(command: ast.expr) -> bool:
    """Say whether a command is sleep(1)."""
    if isinstance(command, ast.List | ast.Tuple):
        command = command.elts[0] if command.elts else command
    words = command.value if isinstance(command, ast.Constant) else None
    return isinstance(words, str) and words.split()[:1] == ["sleep"]


def _untold(tree: ast.Module, full: dict[str, str]) -> set[str]:
    """Name the events and conditions of a file that nothing in it can set."""
    made: dict[str, set[str]] = {}
    for node in texts.nodes(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            kind = _full(node.value.func, full).rpartition(".")[2]
            if kind in TOLD_BY and not node.value.args:
                made |= {ast.unparse(target): TOLD_BY[kind] for target in node.targets}
    if not made:
        return set()
    for node in texts.nodes(tree):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node.value)
            if name in made and node.attr not in {*WAITS, "is_set", "clear", "locked"}:
                made.pop(name)
            elif ast.unparse(node) in made and isinstance(node.ctx, ast.Load):
                pass  # self.over alone: seen below by whoever holds it
    used_alone = {
        ast.unparse(each)
        for node in texts.nodes(tree)
        for each in _given(node)
        if isinstance(each, ast.Name | ast.Attribute)
    }
    return made.keys() - used_alone


def _given(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what a node hands on: then somebody else may set it."""
    if isinstance(node, ast.Call):
        yield from node.args
        yield from (keyword.value for keyword in node.keywords)
    elif isinstance(node, ast.Tuple | ast.List):
        yield from node.elts
    elif isinstance(node, ast.Dict):
        yield from node.values
    elif isinstance(node, ast.Return | ast.Yield | ast.Assign) and node.value:
        yield node.value
    elif isinstance(node, ast.withitem):
        yield node.context_expr


def _spins(node: ast.While, full: dict[str, str]) -> bool:
    """Say whether a loop does nothing but look at the clock."""
    if not all(isinstance(each, ast.Pass) for each in node.body):
        return False
    asked = [each for each in ast.walk(node.test) if isinstance(each, ast.Call)]
    return bool(asked) and all(_full(each.func, full) in CLOCKS for each in asked)


# Ports


def _bound_ports(tree: ast.Module) -> Iterator[tuple[ast.Call, int]]:
    """Yield the calls that bind a port of the file's choice, and the port."""
    top: constants.Names | None = None
    for node in texts.nodes(tree):
        if not isinstance(node, ast.Call):
            continue
        told = _ports_told(node)
        # A literal needs no names, and to gather them takes long.
        if any(not isinstance(each, ast.Constant) for each in told):
            top = constants.at_the_top(tree.body) if top is None else top
            known = _known_at(node.lineno, tree, top)
        else:
            known = {}
        for each in told:
            worth = constants.value_of(each, known)
            if isinstance(worth, tuple):  # an address: (host, port)
                worth = worth[1] if len(worth) > 1 else 0
            if isinstance(worth, int) and worth in PORTS:
                yield node, worth
                break


def _ports_told(node: ast.Call) -> list[ast.expr]:
    """Give what a call that binds is told of a port: the port, or its address."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = node.func.id if isinstance(node.func, ast.Name) else name
    told: list[ast.expr] = []
    if name in WITH_ADDRESS and node.args:
        address = node.args[0]
        told += address.elts[1:2] if isinstance(address, ast.Tuple) else [address]
    if name in WITH_PORT:
        told += node.args[2:3]
    if name in WITH_ADDRESS | WITH_PORT:
        told += [each.value for each in node.keywords if each.arg == "port"]
    return told


def _known_at(line: int, tree: ast.Module, top: constants.Names) -> constants.Names:
    """Give the constants that a line sees, of the functions and classes around it."""
    known = top
    for node in texts.nodes(tree):  # what is outside comes first
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if not node.lineno <= line <= (node.end_lineno or line):
            continue
        if isinstance(node, ast.ClassDef):
            own = constants.at_the_top(node.body)
            known = known | {f"self.{name}": worth for name, worth in own.items()}
        else:
            known = constants.names(node, known) | _defaults(node, tree)
    return known


def _defaults(
    function: ast.FunctionDef | ast.AsyncFunctionDef, tree: ast.Module
) -> constants.Names:
    """Give the defaults of a function's parameters that no call in the file sets."""
    told = function.args
    defaults = dict(
        zip([each.arg for each in told.args][::-1], told.defaults[::-1], strict=False)
    )
    defaults |= {
        each.arg: value
        for each, value in zip(told.kwonlyargs, told.kw_defaults, strict=True)
        if value is not None
    }
    if not defaults:
        return {}
    places = {each.arg: at for at, each in enumerate(told.args)}
    for node in texts.nodes(tree):
        if isinstance(node, ast.Call) and _full(node.func, {}).endswith(function.name):
            given = {keyword.arg for keyword in node.keywords}
            for name in list(defaults):
                if name in given or places.get(name, len(places)) < len(node.args):
                    del defaults[name]
    worth = {name: constants.value_of(value, {}) for name, value in defaults.items()}
    return {name: value for name, value in worth.items() if value is not UNKNOWN}


def _default_ports(root: Path, snippet: Snippet) -> Iterator[Problem]:
    """Find a --port that is fixed by default, where no recorded run gives another."""
    given = any("--port" in role.argv for role in snippet.roles)
    if given:
        return
    for node in texts.nodes(texts.parse(root, snippet.path, snippet.source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        first = node.args[0]
        if not (isinstance(first, ast.Constant) and first.value in {"--port", "port"}):
            continue
        for keyword in node.keywords:
            worth = constants.value_of(keyword.value, {})
            if keyword.arg == "default" and isinstance(worth, int) and worth in PORTS:
                yield Problem(
                    place(root, snippet.path, node.lineno),
                    f"listens on port {worth} unless told otherwise, and no Pair: line "
                    "tells it",
                    "let the default be 0, or record it with --port 0: "
                    f"'Pair: server = {snippet.path.name} --port 0'",
                )


def joined(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """A server of threads waits for them: they are daemons unless it says otherwise.

    A run cannot show it: such a thread may have ended by itself before anybody looks.
    """
    del read
    for snippet in snippets:
        tree = texts.parse(root, snippet.path, snippet.source)
        settled = any(
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and node.value.value is False
            and any(ast.unparse(to).endswith("daemon_threads") for to in node.targets)
            for node in texts.nodes(tree)
        )
        for node in texts.nodes(tree):
            used = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            if used and node.id in OF_DAEMONS and not settled:  # type: ignore[attr-defined]
                yield Problem(
                    place(root, snippet.path, node.lineno),  # type: ignore[attr-defined]
                    "the threads of this server are daemons: nobody waits for them",
                    "set daemon_threads = False on it, so that its end waits for them",
                )
                break


ALL = (quiet, picked, joined)
"""The checks, in the order in which they tell: (root, pages, programs)."""
