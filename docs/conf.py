"""How the documentation is built: Markdown by MyST, reference from docstrings."""

from __future__ import annotations

import scalewise

project = "scalewise"
author = "The scalewise developers"
release = version = scalewise.__version__
copyright = author  # noqa: A001 - Sphinx's name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"scalewise {release}"
html_static_path: list[str] = []

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
python_use_unqualified_type_names = True
# Formulas are shown as text in many places; single backticks there are code.
default_role = "code"
