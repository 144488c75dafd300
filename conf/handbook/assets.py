"""One stylesheet and one script for all pages, named by their digests.

furo's files, the copy button's and our own are merged, less what no page uses.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import furo
import sphinx_copybutton  # type: ignore[import-untyped]
from jinja2 import Template

from handbook import memory
from handbook.colours import code_colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

THEME = Path(__file__).parents[1] / "theme"

MERGED = {
    "documentation_options.js",
    "doctools.js",
    "sphinx_highlight.js",
    "clipboard.min.js",
    "copybutton.js",
    "copybutton.css",
    "pygments.css",
    "basic.css",
    "furo.css",
    "furo-extensions.css",
    "furo.js",
}
"""Files that no page asks for by name: merged into site.css and site.js, or needed
by the search page alone, whose template names them."""

LEFTOVERS = [
    "clipboard.min.js",
    "copybutton.js",
    "copybutton_funcs.js",
    "copybutton.css",
    "copy-button.svg",
    "check-solid.svg",
    "basic.css",
    "pygments.css",
    "file.png",
    "minus.png",
    "plus.png",
    "skeleton.css",
    "debug.css",
    "scripts",
    "styles",
]
"""What the themes put into `_static` and no page uses."""


_SYSTEM_DARK = "@media screen and (prefers-color-scheme: dark)"


UNUSED = re.compile(
    r"\.sig\b|\.sig-|viewcode|highlighttable|linenos"
    r"|dl\[class\]|div\.math|math-wrapper|announcement|genindex|domainindex"
    r"|back-to-top|guilabel|versionadded|versionchanged|deprecated|versionremoved"
    r"|sidebar-logo|div\.citation|line-block|blockquote\.|\.text-align"
    r"|bottom-of-page|\.only-|\.admonition\.|admonition-todo|property"
    r"|code-block-caption|\.topic|topic-title|\.contents|toggle\[name"
)
"""Selectors of furo's CSS for what this handbook does not have or draws itself."""

_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_PROPERTY = re.compile(
    r"--(?:icon-(?!search)|color-(?:admonition-title|topic|announcement|api|guilabel"
    r"|card))[\w-]*:(?:url\('[^']*'\)|[^;}])*;?"
)


def slim(css: str) -> str:
    """Return furo's CSS without the rules and properties that no page uses."""

    def keep(rule: re.Match[str]) -> str:
        wanted = [each for each in rule[1].split(",") if not UNUSED.search(each)]
        return f"{','.join(wanted)}{{{rule[2]}}}" if wanted else ""

    return _RULE.sub(keep, _PROPERTY.sub("", css))


def stylesheet() -> str:
    """Return furo's CSS, the colours of code and ours, as one file."""
    styles = Path(furo.THEME_PATH) / "static" / "styles"
    base = (styles / "furo.css").read_text("utf-8")
    # The contents of the page stay in sight from 1200 pixels on; furo's own limit
    # is 1312.
    if base.count("(max-width:82em)") != 1:
        raise ValueError("furo.css has changed: look for the limit of the page's toc")
    base = slim(base.replace("(max-width:82em)", "(max-width:74.99em)"))
    own = _dark_twice((THEME / "site.css").read_text("utf-8"))
    own += (THEME / "timeline.css").read_text("utf-8")
    merged = f"{base}\n{_dark_twice(code_colours())}\n{own}"
    merged = re.sub(r"/\*.*?\*/", "", merged, flags=re.DOTALL)
    merged = re.sub(r"\s*([{};,])\s*", r"\1", merged)
    return LICENCE + re.sub(r"\s+", " ", merged)


LICENCE = "/* furo.css: MIT, Pradyun Gedam; normalize.css: MIT, Nicolas Gallagher */\n"


def _dark_twice(css: str) -> str:
    """Give the dark colours to those who chose them and to those whose system did."""
    found = re.search(r"/\* dark \*/(.*?)/\* end of dark \*/", css, re.DOTALL)
    if found is None:
        raise ValueError("site.css marks its dark colours with /* dark */")
    system = found[1].replace("@media not print", _SYSTEM_DARK)
    system = system.replace('[data-theme="dark"]', ':not([data-theme="light"])')
    return css.replace(found[0], found[1] + system)


def script(context: dict[str, Any]) -> str:
    """Return furo's script, the copy button's and our own as one file.

    Args:
        context: `html_context`, which holds the settings of sphinx-copybutton.
    """
    theme = Path(furo.THEME_PATH) / "static" / "scripts" / "furo.js"
    static = Path(sphinx_copybutton.__file__).parent / "_static"
    button = Template((static / "copybutton.js_t").read_text("utf-8")).render(context)
    parts = [
        theme.read_text("utf-8"),
        (static / "clipboard.min.js").read_text("utf-8"),
        # copybutton.js looks for the options of Sphinx, which only the search needs.
        '(() => {\nconst DOCUMENTATION_OPTIONS = {URL_ROOT: ""};\n'
        + button
        + "\n})();",
        (THEME / "site.js").read_text("utf-8"),
        (THEME / "search.js").read_text("utf-8"),
        (THEME / "timeline.js").read_text("utf-8"),
        (THEME / "catalogue.js").read_text("utf-8"),
    ]
    return re.sub(r"//# sourceMappingURL=\S+", "", "\n;".join(parts))


def copy_exactly(app: Sphinx, config: Config) -> None:
    """Let the copy button copy a program as it is, its last newline included."""
    del app
    config.html_context["copybutton_format_func"] = (THEME / "copy.js").read_text(
        "utf-8"
    )


_PROPERTIES = re.compile(r"(--[\w-]+):\s*([^;{}]+)")
_STEPPING = re.compile(r"[^{}]*\.timeline-steps[^{}]*\{[^{}]*\}")
_VAR = re.compile(r"var\((--[\w-]+)(?:,\s*([^()]*))?\)")


def book_stylesheet() -> str:
    """Return the CSS of the EPUB: few rules, colours of the light scheme, no var().

    Many a reading device knows no custom properties.
    """
    timelines = (THEME / "timeline.css").read_text("utf-8")
    own = (THEME / "book.css").read_text("utf-8")
    site = (THEME / "site.css").read_text("utf-8")
    rules = re.sub(
        r"/\*.*?\*/",
        "",
        f"{own}\n{_light(code_colours())}\n{_light(timelines)}",
        flags=re.DOTALL,
    )
    rules = _STEPPING.sub("", rules)  # no script steps through a book
    values = dict(_PROPERTIES.findall(_light(f"{site}{code_colours()}{timelines}")))

    def value(found: re.Match[str]) -> str:
        return str(values.get(found[1], found[2] or "inherit")).strip()

    while (resolved := _VAR.sub(value, rules)) != rules:
        rules = resolved
    return rules


def _light(css: str) -> str:
    return re.sub(r"/\* dark \*/.*?/\* end of dark \*/", "", css, flags=re.DOTALL)


class Assets:
    """The merged files of one build and the digests that name their versions."""

    def __init__(self) -> None:
        """Start with nothing merged."""
        self.merged: dict[str, str] = {}
        self.digests: dict[str, str] = {}

    def merge(self, app: Sphinx) -> None:
        """Merge the files, once the themes have told what they bring."""
        if app.builder.name == "epub":  # which packs its files before it finishes
            static = Path(app.outdir) / "_static"
            static.mkdir(parents=True, exist_ok=True)
            (static / "book.css").write_text(book_stylesheet(), "utf-8")
        if app.builder.name != "html":
            return
        self.merged = {
            "site.css": stylesheet(),
            "site.js": script(app.config.html_context),
        }
        texts = {
            **self.merged,
            "scheme.js": (THEME / "static" / "scheme.js").read_text("utf-8"),
        }
        self.digests = {
            name: hashlib.sha256(text.encode()).hexdigest()[:8]
            for name, text in texts.items()
        }

    def changed(self, app: Sphinx, env: BuildEnvironment) -> list[str]:
        """Rewrite every page when a merged file changed: pages name its digest."""
        known = memory.of(env)
        before, known.digests = known.digests, self.digests
        if before in (None, self.digests) or app.builder.name != "html":
            return []
        return sorted(env.found_docs)

    def write(self, app: Sphinx, exception: Exception | None) -> None:
        """Write the merged files and clear away what they replace."""
        if exception is not None or app.builder.name != "html":
            return
        static = Path(app.outdir) / "_static"
        for name, text in self.merged.items():
            (static / name).write_text(text, "utf-8")
        for name in LEFTOVERS:
            _remove(static / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _remove(child)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def needed(files: Sequence[Any]) -> list[Any]:
    """Leave out the styles and scripts that are merged or that no page needs."""
    kept = []
    for file in files:
        name = str(getattr(file, "filename", file) or "").partition("?")[0]
        if name.rpartition("/")[2] not in MERGED:
            kept.append(file)
    return kept
