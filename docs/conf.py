"""How the documentation is built: Markdown by MyST, reference from docstrings."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

import scalewise

project = "scalewise"
author = "The scalewise developers"
release = version = scalewise.__version__
copyright = author  # noqa: A001 - Sphinx's name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
exclude_patterns = ["_build"]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"scalewise {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
python_use_unqualified_type_names = True
# Formulas are shown as text in many places; single backticks there are code.
default_role = "code"


def setup(app: Any) -> None:
    """Write formulas as MathML, so that pages fetch no script to show them."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))


def _inline(page: Any, node: Any) -> None:
    page.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(page: Any, node: Any) -> None:
    page.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode
