"""A fitted law as a few lines to paste into other programs: LaTeX, Python, JavaScript."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from dataclasses import dataclass

from scalewise.core.expression import Expression, precedence
from scalewise.fit.result import FitResult
from scalewise.laws.latex import latex, symbol_latex
from scalewise.laws.law import QUANTITY_UNITS, Law
from scalewise.report.formats import number

_RESERVED = frozenset((
    "await", "break", "case", "catch", "class", "const", "continue", "debugger", "default",
    "delete", "do", "else", "enum", "export", "extends", "false", "finally", "for", "function",
    "if", "implements", "import", "in", "instanceof", "interface", "let", "Math", "new", "null",
    "package", "private", "protected", "public", "return", "static", "super", "switch", "this",
    "throw", "true", "try", "typeof", "var", "void", "while", "with", "yield", "np", "low", "high",
    "middle", "i",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a language writes a call of each function, and a power."""

    calls: Mapping[str, str]
    power: str


_PYTHON = _Dialect(
    {"exp": "np.exp", "log": "np.log", "sqrt": "np.sqrt", "min": "np.minimum", "max": "np.maximum"},
    "{}**{}",
)
_JAVASCRIPT = _Dialect(
    {name: f"Math.{name}" for name in ("exp", "log", "sqrt", "min", "max")}, "Math.pow({}, {})"
)


def snippets(result: FitResult) -> dict[str, str]:
    """The leading law with its constants, by language.

    >>> from scalewise.fit.storage import read_fit
    >>> print(snippets(read_fit("besiroglu2024"))["python"].splitlines()[-1].strip())
    return E + A / N**alpha + B / D**beta
    """
    return {
        "latex": latex_with_values(result),
        "python": python(result.law, result.theta),
        "javascript": javascript(result.law, result.theta),
    }


def latex_with_values(result: FitResult) -> str:
    """The equation, and a line with the values of its constants."""
    values = r",\quad ".join(
        f"{symbol_latex(name)} = {_latex_number(value)}" for name, value in result.theta.items()
    )
    return f"\\begin{{gather*}}\n{latex(result.law)} \\\\\n{values}\n\\end{{gather*}}"


def _latex_number(value: float) -> str:
    mantissa, _, power = number(value, 5).partition("e")
    return rf"{mantissa} \times 10^{{{power}}}" if power else mantissa


def python(law: Law, theta: Mapping[str, float]) -> str:
    """A Python function on numbers or NumPy arrays."""
    inputs, unit = ", ".join(_safe(s) for s in law.variables), QUANTITY_UNITS[law.quantity]
    lines = ["import numpy as np", "", "", f"def {law.quantity}({inputs}):"]
    lines.append(f'    """{_meaning(law)}; {unit}."""')
    lines += [f"    {_safe(name)} = {value!r}" for name, value in theta.items()]
    right = _written(law.expression, _PYTHON)
    if not law.implicit:
        return "\n".join([*lines, f"    return {right}", ""])
    own = _safe(law.implicit)
    return "\n".join([
        *lines,
        "    low, high = np.log(1e-12), np.log(1e12)",
        "    for i in range(200):  # the right-hand side falls as the left one rises",
        "        middle = (low + high) / 2",
        f"        {own} = np.exp(middle)",
        f"        above = {own} > {right}",
        "        low, high = np.where(above, low, middle), np.where(above, middle, high)",
        "    return np.exp(middle)",
        "",
    ])  # fmt: skip


def javascript(law: Law, theta: Mapping[str, float]) -> str:
    """A JavaScript function on numbers."""
    inputs = ", ".join(_safe(s) for s in law.variables)
    lines = [f"// {_meaning(law)}; {QUANTITY_UNITS[law.quantity]}."]
    lines.append(f"function {law.quantity}({inputs}) {{")
    lines += [f"  const {_safe(name)} = {value!r};" for name, value in theta.items()]
    right = _written(law.expression, _JAVASCRIPT)
    if not law.implicit:
        return "\n".join([*lines, f"  return {right};", "}", ""])
    own = _safe(law.implicit)
    return "\n".join([
        *lines,
        "  let low = Math.log(1e-12), high = Math.log(1e12);",
        "  for (let i = 0; i < 200; i++) { // the right-hand side falls as the left one rises",
        f"    const middle = (low + high) / 2, {own} = Math.exp(middle);",
        f"    if ({own} > {right}) high = middle; else low = middle;",
        "  }",
        "  return Math.exp((low + high) / 2);",
        "}",
        "",
    ])  # fmt: skip


def _meaning(law: Law) -> str:
    inputs = ", ".join(f"{symbol} in {column}" for symbol, column in law.variables.items())
    return f"{law.quantity} by the law {law.formula}; {inputs}"


def _safe(name: str) -> str:
    """A name of the formula as a name of either language."""
    taken = name in _RESERVED or keyword.iskeyword(name) or name in QUANTITY_UNITS
    return f"{name}_" if taken else name


def _written(node: Expression, dialect: _Dialect) -> str:
    match node.kind:
        case "number":
            return repr(node.number).removesuffix(".0")
        case "name":
            return _safe(node.name)
        case "neg":
            return f"-{_grouped(node.parts[0], 4, dialect)}"
        case "+" | "-" | "*" | "/":
            own = precedence(node)
            left = _grouped(node.parts[0], own, dialect)
            return f"{left} {node.kind} {_grouped(node.parts[1], own + 1, dialect)}"
        case "**":
            called = "(" in dialect.power
            base, exponent = (
                _written(part, dialect) if called else _grouped(part, 5, dialect)
                for part in node.parts
            )
            return dialect.power.format(base, exponent)
        case kind:
            inside = ", ".join(_written(part, dialect) for part in node.parts)
            return f"{dialect.calls[kind]}({inside})"


def _grouped(node: Expression, at_least: int, dialect: _Dialect) -> str:
    text = _written(node, dialect)
    return text if precedence(node) >= at_least else f"({text})"
