"""Sphinx settings of the documentation: `make docs` builds it into docs/_build/html."""

import os
import re
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from lolblur_synth import __version__

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PAGES = {"README.md": "index.md", "DESIGN.md": "design.md", "CONTRIBUTING.md": "contributing.md",
         "CHANGELOG.md": "changelog.md", "docs/notes": "accuracy.md"}  # fmt: skip
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")

project, author = "lolblur-synth", "the lolblur-synth authors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"lolblur-synth {version}"
html_static_path: list[str] = []
templates_path: list[str] = []
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
default_role = "literal"  # docstrings write code between single backticks


def links(text: str, folder: Path) -> str:
    """Links of a page of `folder` to files outside of docs/ that have a page here, as links to that page."""

    def moved(match: re.Match) -> str:
        target = os.path.relpath(os.path.normpath(folder / match[1]), ROOT)
        page = PAGES.get(target, target.removeprefix("docs/") if target.startswith("docs/") else "")
        return os.path.join(os.path.relpath(DOCS, _from(folder)), page) if page else match[1]

    return LINK.sub(moved, text)


def _from(folder: Path) -> Path:
    """Where the page stands that shows a file of `folder`: files of the root are shown by pages of docs/."""
    return DOCS if folder == ROOT else folder


def on_source(app: Sphinx, name: str, content: list[str]) -> None:
    content[0] = links(content[0], (DOCS / name).parent)


def on_include(app: Sphinx, path: Path, name: str, content: list[str]) -> None:
    content[0] = links(content[0], ROOT)


def on_docstring(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text: tables and examples are set in by spaces, and shown as they are."""
    shown: list[str] = []
    for line in lines:
        set_in = line.startswith((" ", "\t"))
        if set_in and not (shown and (shown[-1] == "" or shown[-1].startswith(" "))):
            shown.append("")
        if set_in and not any(before.startswith("   ") for before in shown[-1:]):
            shown += [".. code-block:: text", ""]
        shown.append("    " + line if set_in else line.replace("*", r"\*"))
    lines[:] = shown


def setup(app: Sphinx) -> None:
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", on_source)
    app.connect("include-read", on_include)
    app.connect("autodoc-process-docstring", on_docstring)
