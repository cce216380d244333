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
         "CHANGELOG.md": "changelog.md", "examples/README.md": "examples.md", "docs/notes": "accuracy.md"}  # fmt: skip
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")

project, author = "lolblur-synth", "the lolblur-synth authors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"lolblur-synth {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
default_role = "literal"  # docstrings write code between single backticks


def links(text: str, folder: Path, page: Path) -> str:
    """Links of a text that lies in `folder`, as links of the page in the folder `page` that shows it: to the page of a
    file that has one here, else to the file."""

    def moved(match: re.Match) -> str:
        target = os.path.relpath(os.path.normpath(folder / match[1]), ROOT)
        return os.path.relpath(DOCS / PAGES[target] if target in PAGES else ROOT / target, page)

    return LINK.sub(moved, text)


def on_source(app: Sphinx, name: str, content: list[str]) -> None:
    content[0] = links(content[0], (DOCS / name).parent, (DOCS / name).parent)


def on_include(app: Sphinx, path: Path, name: str, content: list[str]) -> None:
    content[0] = links(content[0], (DOCS / path).resolve().parent, (DOCS / name).parent)


def on_docstring(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text. Tables in them are set in by spaces, or have words set apart by several: both are
    shown as they are."""
    text = "\n".join(lines).replace("*", r"\*")
    blocks = re.split(r"\n\s*\n", text)
    lines[:] = "\n\n".join(_literal(block) if _is_table(block) else block for block in blocks).splitlines()


def _is_table(block: str) -> bool:
    return block.startswith(" ") or bool(re.search(r"^\w+ {2,}\S|^ ", block, re.M))


def _literal(block: str) -> str:
    return ".. code-block:: text\n\n" + "\n".join("    " + line for line in block.replace(r"\*", "*").splitlines())


def setup(app: Sphinx) -> None:
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", on_source)
    app.connect("include-read", on_include)
    app.connect("autodoc-process-docstring", on_docstring)
