"""The page's modules as one script: each in a function of its own, in the order they need.

The modules are plain ES modules, which a server can hand out as they are. A file that is opened
from a disk may load nothing, so there they stand one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

_IMPORT = re.compile(r'^import \{ ([^}]+) \} from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function |const |class )(\w+)", re.MULTILINE)
_STRAY = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)
_FOLDER = "static"


@lru_cache(maxsize=1)
def modules() -> Mapping[str, str]:
    """The page's own modules by name; ``laws`` is written anew for every page."""
    folder = files(__package__).joinpath(_FOLDER)
    return {
        path.name.removesuffix(".js"): path.read_text("utf-8")
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".js")
    }


def stylesheet() -> str:
    """The style rules of the interactive parts."""
    return files(__package__).joinpath(_FOLDER, "app.css").read_text("utf-8")


def bundle(laws: str, *, start: str = "app") -> str:
    """One script that defines every module that ``start`` needs; their exports are ``$name``.

    >>> print(bundle("export const EVALUATORS = [];", start="laws"))
    const $laws = (() => {
    const EVALUATORS = [];
    return { EVALUATORS };
    })();
    """
    sources = {**modules(), "laws": laws}
    order: list[str] = []
    _visit(start, sources, order, ())
    return "\n".join(_enclosed(name, sources[name]) for name in order)


def _visit(name: str, sources: Mapping[str, str], order: list[str], path: tuple[str, ...]) -> None:
    if name in path:
        raise ValueError(f"Modules import each other in a circle: {' -> '.join((*path, name))}")
    if name in order:
        return
    for _, needed in _IMPORT.findall(sources[name]):
        _visit(needed, sources, order, (*path, name))
    order.append(name)


def _enclosed(name: str, source: str) -> str:
    exported = [found[1] for found in _EXPORT.findall(source)]
    text = _IMPORT.sub(_taken, source)
    text = _EXPORT.sub(r"\1\2", text).strip()
    stray = _STRAY.search(text)
    if stray:
        raise ValueError(f"{name}.js has a line that cannot be bundled: {stray[0]}")
    return f"const ${name} = (() => {{\n{text}\nreturn {{ {', '.join(exported)} }};\n}})();"


def _taken(found: re.Match[str]) -> str:
    names = ", ".join(part.strip().replace(" as ", ": ") for part in found[1].split(","))
    return f"const {{ {names} }} = ${found[2]};"
