"""Sphinx settings of the handbook, and nothing else."""

import os
import sys
from pathlib import Path

CONF = Path(__file__).parent
sys.path.insert(0, str(CONF))

project = "Sockets, Ports and WebSockets"
author = "the contributors"
project_copyright = "the contributors; prose and pictures CC BY 4.0, programs 0BSD"
language = "en"

extensions = [
    "myst_parser",
    "sphinx_copybutton",
    "handbook.site",
    "handbook.directives",
    "handbook.ledger",
    "handbook.lookup",
    "handbook.sheet",
    "handbook.source_pages",
    "handbook.epub",
    "handbook.catalogue",
    "handbook.hints",
    "sphinxext.rediraffe",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_*", "**/_*"]
nitpicky = True
needs_sphinx = "9.0"

# Markdown
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

# The published address and the repository are known to whoever publishes. Without
# them the pages are complete, but have no canonical address and no edit link.
html_baseurl = os.environ.get("HANDBOOK_BASEURL", "")
if html_baseurl:
    extensions.append("sphinx_sitemap")
sitemap_url_scheme = "{link}"
sitemap_excludes = ["404.html", "search.html", "programs/*", "tests/*"]
handbook_live = os.environ.get("HANDBOOK_LIVE") == "1"

# Where a page that was published has gone
rediraffe_redirects = "redirects.txt"
rediraffe_template = str(CONF / "theme" / "redirect.html")

# The look
html_theme = "furo"
html_theme_options = {
    "source_repository": os.environ.get("HANDBOOK_REPOSITORY", ""),
    "source_branch": "main",
    "source_directory": "docs/",
}
html_title = project
html_favicon = "theme/favicon.svg"
html_static_path = ["theme/static"]
templates_path = ["theme/templates"]
html_permalinks_icon = "#"
html_copy_source = False
html_use_index = False
pygments_style = "handbook.colours.LightCode"
pygments_dark_style = "handbook.colours.DarkCode"
highlight_language = "text"
smartquotes = False

# The book for reading without a browser: make epub
if tags.has("epub"):  # type: ignore[name-defined]  # noqa: F821 - Sphinx provides it
    templates_path = []
    extensions.remove("sphinx_copybutton")
    suppress_warnings = ["epub.unknown_project_files"]
epub_title = project
epub_basename = "sockets-ports-websockets"
epub_publisher = author
epub_copyright = project_copyright
epub_description = "A handbook in which every program, output and claim is run."
epub_show_urls = "no"
epub_css_files = ["book.css"]
epub_tocdup = False
epub_exclude_files = ["_static/*.js", "_static/site.css", "_static/favicon.svg"]
version = release = os.environ.get("HANDBOOK_VERSION", "draft")

# The copy button stands only where a directive says what it gives.
copybutton_selector = ".copy-source pre"
