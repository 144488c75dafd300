"""What `check` asks of tests: that pytest runs them, and that a claim's can fail."""

from __future__ import annotations

import ast
import difflib
from typing import TYPE_CHECKING

from handbook import claims, proof, sources, texts
from handbook.problem import Problem, nearest, place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handbook.pages import Page
    from handbook.snippet import Snippet

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
BY_PYTEST = ("pytest_", "setup_", "teardown_")  # it calls these by their names
SHARED = "support"  # the folder of what tests import


def parsed(root: Path) -> dict[Path, ast.Module]:
    """Parse every file of tests; those that cannot be read are told of elsewhere."""
    found = {}
    for path in sorted((root / "tests").rglob("*.py")):
        try:
            found[path] = texts.parse(root, path, texts.read(root, path))
        except Problem:
            continue
    return found


def readable(
    root: Path, read: list[Page], snippets: list[Snippet]
) -> Iterator[Problem]:
    """Every file of tests is UTF-8 and Python."""
    del read, snippets
    for path in sorted((root / "tests").rglob("*.py")):
        try:
            texts.parse(root, path, texts.read(root, path))
        except Problem as problem:
            yield problem


def proving(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Every claim's test can fail, and is run."""
    del read, snippets
    trees = parsed(root)
    shared = {
        path.stem: proof.asserting([tree])
        for path, tree in trees.items()
        if path.parent.name == SHARED
    }
    by_file: dict[Path, list[claims.Claim]] = {}
    for made in claims.gather(root)[0].values():
        if made.test and made.path in trees:
            by_file.setdefault(made.path, []).append(made)
    for path, here in by_file.items():
        tree = trees[path]
        helpers = frozenset[str]().union(
            *(shared.get(module, frozenset()) for module in _imports(tree))
        )
        scope = proof.Scope(tree, helpers)
        by_line = {
            node.lineno: node for node in tree.body if isinstance(node, FUNCTION)
        }
        for made in here:
            for fault in proof.faults(scope, by_line[made.line]):
                yield Problem(
                    place(root, path, fault.line),
                    f"the claim {made.id} proves nothing: {fault.what}",
                    fault.mend,
                )


def _imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in texts.nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(alias.name for alias in node.names)}
    return found


def sourced(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Every source of a claim names a place that a reader can look up."""
    del read, snippets
    for made in claims.gather(root)[0].values():
        for source in made.sources:
            if not sources.names_something(source):
                yield Problem(
                    made.where,
                    f"the claim {made.id} has a source that nobody can look up: "
                    f"{source!r}",
                    "name the section in one of these forms: "
                    + "; ".join(sources.FORMS)
                    + " (conf/handbook/sources.py has them)",
                )


def told(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Everything that learners are told has its claim, and is listed once."""
    del read, snippets
    known, wrong = claims.gather(root)
    path = root / claims.TOLD
    listed = claims.told_lines(root)
    if wrong:
        return  # an id may be in a file that could not be read
    first: dict[str, int] = {}
    for line, identifier in listed:
        if identifier in first:
            yield Problem(
                place(root, path, line),
                f"{identifier} is listed twice, first on line {first[identifier]}",
                "delete one of the two lines",
            )
        elif identifier not in known:
            near = nearest(identifier, list(known))[:3]
            yield Problem(
                place(root, path, line),
                f"no test claims {identifier}, which learners are told"
                + (f"; near: {', '.join(near)}" if near else ""),
                f'write its test with @claim("{identifier}", …), or delete the line',
            )
        first.setdefault(identifier, line)


def collected(
    root: Path, read: list[Page], snippets: list[Snippet]
) -> Iterator[Problem]:
    """Every test is one that pytest runs."""
    del read, snippets
    trees = parsed(root)
    imported = set().union(*map(_imports, trees.values())) if trees else set()
    for path, tree in trees.items():
        shared = path.parent == root / "tests" / SHARED
        if not path.name.startswith("test_") and path.name != "conftest.py":
            if path.stem not in imported:
                yield Problem(
                    place(root, path),
                    "pytest does not collect this file, and no test imports it",
                    "rename it to test_….py if it holds tests; put helpers into "
                    f"tests/{SHARED}/ and import them",
                )
                continue
            if not shared:
                continue
        yield from _hidden(root, path, tree)
        if path.name.startswith("test_"):
            yield from _uncalled(root, path, tree)


def _hidden(root: Path, path: Path, tree: ast.Module) -> Iterator[Problem]:
    """Find tests that stand where pytest does not look."""
    tests = path.name.startswith("test_")
    for outer in texts.nodes(tree):
        held = getattr(outer, "body", None)
        for node in held if isinstance(held, list) else ():
            if not isinstance(node, FUNCTION) or not node.name.startswith("test_"):
                continue
            if isinstance(outer, ast.ClassDef):
                why = _class_is_skipped(outer)
            elif isinstance(outer, ast.Module):
                why = "" if tests else f"this file is not test_{path.stem}.py"
            elif isinstance(outer, ast.If | ast.Try | ast.With):
                why = ""
            else:
                why = "it stands within another function"
            if why:
                yield Problem(
                    place(root, path, node.lineno),
                    f"pytest does not run {node.name}: {why}",
                    "move it to the top level of a file test_….py, or give a helper a "
                    "name that does not begin with test_",
                )


def _class_is_skipped(node: ast.ClassDef) -> str:
    bases = [ast.unparse(base) for base in node.bases]
    if any(base.endswith("TestCase") for base in bases):
        return ""
    if not node.name.startswith("Test"):
        return f"the name of its class {node.name} does not begin with Test"
    made = {inner.name for inner in node.body if isinstance(inner, FUNCTION)}
    return f"its class {node.name} has an __init__()" if "__init__" in made else ""


def _uncalled(root: Path, path: Path, tree: ast.Module) -> Iterator[Problem]:
    """Find functions that assert, are no tests, and are called by nothing."""
    used: dict[str, int] = {}
    for node in texts.nodes(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            used[node.id] = used.get(node.id, 0) + 1
    scope = proof.Scope(tree)
    for node in tree.body:
        if not isinstance(node, FUNCTION) or node.name.startswith(
            ("test_", *BY_PYTEST)
        ):
            continue
        within = sum(
            isinstance(inner, ast.Name) and inner.id == node.name
            for inner in ast.walk(node)
        )
        if used.get(node.name, 0) > within or _is_fixture(node):
            continue
        start = node.name.partition("_")[0]
        misspelt = difflib.SequenceMatcher(None, start, "test").ratio() >= 0.75
        if misspelt or scope.asserts(node):
            yield Problem(
                place(root, path, node.lineno),
                f"{node.name} is called by nothing, and pytest does not run it",
                "let its name begin with test_, or call it from a test",
            )


def _is_fixture(node: Function) -> bool:
    return any("fixture" in ast.unparse(each) for each in node.decorator_list)


ALL = (readable, proving, sourced, told, collected)
"""The checks, in the order in which they tell: (root, pages, programs)."""
