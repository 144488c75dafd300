"""The rooms of the tools: imports run one way, and few of them know Sphinx."""

from __future__ import annotations

import ast
import graphlib
import re
from typing import TYPE_CHECKING

import pytest

import handbook
from handbook.snippet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = ROOT / "conf" / "handbook"
SPHINX = {"sphinx", "docutils", "myst_parser", "furo", "sphinx_copybutton"}


def modules() -> dict[str, ast.Module]:
    """Parse every module by its name: not `traced` and `fresh`, which run elsewhere."""
    found = {}
    for path in [*FOLDER.glob("*.py"), *FOLDER.glob("bench/*.py")]:
        name = path.relative_to(FOLDER).with_suffix("").as_posix().replace("/", ".")
        if name != "__init__":
            name = name.removesuffix(".__init__")
            found[name] = ast.parse(path.read_text("utf-8"))
    return found


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield what a module imports, for its types alone too, by full names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph() -> tuple[dict[str, set[str]], set[str]]:
    """Give what each module imports of the others, and which import Sphinx."""
    known = modules()
    edges: dict[str, set[str]] = {name: set() for name in known}
    with_sphinx = set()
    for name, tree in known.items():
        for full in imported(tree):
            top, _, rest = full.partition(".")
            if top in SPHINX:
                with_sphinx.add(name)
            if top != "handbook":
                continue
            # `from handbook.a import b`: b is a module, or what a holds.
            target = rest if rest in known else rest.rpartition(".")[0]
            if target in known:
                edges[name].add(target)
    return edges, with_sphinx


def rooms() -> tuple[list[str], list[str]]:
    """Read the map in the package's docstring: names above and below the line."""
    above, line, below = (handbook.__doc__ or "").partition("\nLine:")
    assert line
    heads = re.compile(r"^    ([a-z_, ]+): ", re.MULTILINE)

    def names(text: str) -> list[str]:
        return [name for row in heads.findall(text) for name in row.split(", ")]

    return names(above), names(below)


def test_imports_run_one_way() -> None:
    edges, _ = graph()
    assert edges["story"] == {"recordings"}
    assert edges["timeline"] == {"recordings", "story"}
    assert "check_pages" in edges["check"]
    graphlib.TopologicalSorter(edges).prepare()  # CycleError names the circle


def test_a_circle_is_found() -> None:
    edges, _ = graph()
    edges["snippet"].add("timeline")
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(edges).prepare()


def test_only_the_site_knows_sphinx() -> None:
    edges, reach = graph()
    assert "base" in reach
    above, below = rooms()
    for name in graphlib.TopologicalSorter(edges).static_order():
        if edges[name] & reach:
            reach.add(name)
    assert sorted(reach & set(above)) == []
    assert {name for name in reach if "." not in name} == set(below)


def test_the_map_names_every_module_once() -> None:
    above, below = rooms()
    checks = [name for name in modules() if name.startswith("check_")]
    told = [*above, *below, *checks, "__main__"]
    assert sorted(told) == sorted(name for name in modules() if "." not in name)
