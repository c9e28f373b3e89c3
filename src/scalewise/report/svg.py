"""Matplotlib's SVG made fit for a page: classes instead of colours, no styles, no clashing names.

Style attributes would need a permission in the page's content security policy that any injected
text could use as well, so they become plain attributes; colours become classes, so that one
drawing serves light and dark pages.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from scalewise.report.palette import parts_by_stand_in

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_KEPT = frozenset({
    "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap",
    "stroke-linejoin", "stroke-opacity", "fill-opacity", "opacity", "text-anchor", "font-size",
    "font-weight",
})  # fmt: skip


def page_ready(markup: str, *, name: str, label: str, css_class: str) -> str:
    """The ``<svg>`` element for inline use; ``name`` keeps its ids apart, ``label`` is read out."""
    root = ET.fromstring(markup)  # noqa: S314  the markup is our own
    parts = parts_by_stand_in()
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
    referenced = _referenced(root)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        _plain_attributes(element, parts)
        _rename(element, referenced, name)
    box = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update({
        "viewBox": box, "class": css_class, "role": "img", "aria-label": label,
        "stroke-linejoin": "round",
    })  # fmt: skip
    _slim(root)
    return ET.tostring(root, encoding="unicode")


def _plain_attributes(element: ET.Element, parts: dict[str, str]) -> None:
    classes: list[str] = []
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = (piece.strip() for piece in declaration.partition(":"))
        if key == "font":  # "bold 12px 'Family'"
            element.set("font-size", re.sub(r".*?([\d.]+)px.*", r"\1", value))
            if re.match(r"(bold|600|700)\b", value):
                element.set("font-weight", "600")
        elif key in _KEPT and value:
            element.set(key, value.removesuffix("px") if key == "font-size" else value)
    for key in ("fill", "stroke"):
        part = parts.get(element.get(key, ""))
        if part:
            del element.attrib[key]
            classes.append(f"{key[0]}-{part}")
    if element.tag == "path" and "d" not in element.attrib:
        element.set("d", "")
    if classes:
        element.set("class", " ".join(classes))
    for key in ("d", "x", "y", "transform", "width", "height"):
        if key in element.attrib:
            element.set(key, _LONG_NUMBER.sub(_short, " ".join(element.attrib[key].split())))


def _short(found: re.Match[str]) -> str:
    return f"{float(found[0]):.1f}".removesuffix(".0")


def _referenced(root: ET.Element) -> set[str]:
    names = set()
    for element in root.iter():
        names.add(element.get(_HREF, "").removeprefix("#"))
        names.update(_REFERENCE.findall(element.get("clip-path", "")))
    return names - {""}


def _rename(element: ET.Element, referenced: set[str], name: str) -> None:
    identity = element.attrib.pop("id", "")
    if identity in referenced:
        element.set("id", f"{name}-{identity}")
    if _HREF in element.attrib:
        element.set("href", f"#{name}-{element.attrib.pop(_HREF).removeprefix('#')}")
    if "clip-path" in element.attrib:
        clip = element.attrib["clip-path"]
        element.set("clip-path", _REFERENCE.sub(rf"url(#{name}-\1)", clip))


def _slim(element: ET.Element) -> None:
    # A mark's shape carries its own edge; what each use of it repeats has no effect.
    if element.tag == "use":
        for key in ("stroke-width", "stroke-linejoin"):
            element.attrib.pop(key, None)
    element.tail = None
    if element.text is not None and not element.text.strip():
        element.text = None
    for child in list(element):
        _slim(child)
        if child.tag in ("g", "defs") and not len(child):
            element.remove(child)
