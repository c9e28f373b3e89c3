r"""A law as LaTeX, from its formula: fractions, powers, Greek letters, few brackets.

Only commands that both LaTeX and matplotlib's mathtext know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from scalewise.core.expression import Expression, precedence
from scalewise.laws.law import Law, Quantity

_GREEK = (
    "alpha", "beta", "gamma", "delta", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma",
    "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
)  # fmt: skip
_NAMES = {"eps": r"\varepsilon", "epsilon": r"\varepsilon"} | {g: rf"\{g}" for g in _GREEK}
_QUANTITIES: Mapping[Quantity, str] = {
    "loss": "L",
    "error": r"\mathrm{Err}",
    "params": r"N_{\mathrm{opt}}",
    "params_nonembed": r"N_{\mathrm{opt}}",
    "tokens": r"D_{\mathrm{opt}}",
    "batch_tokens": r"B_{\mathrm{opt}}",
    "critical_batch_tokens": r"B_{\mathrm{crit}}",
    "steps_min": r"S_{\mathrm{min}}",
    "lr_peak": r"\eta_{\mathrm{opt}}",
}


def latex(law: Law) -> str:
    r"""The law as an equation.

    >>> from scalewise.laws.catalogue import LAWS
    >>> print(latex(LAWS["chinchilla"]))
    L(N, D) = E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}
    """
    arguments = ", ".join(symbol_latex(symbol) for symbol in law.variables)
    return f"{_QUANTITIES[law.quantity]}({arguments}) = {expression_latex(law.expression)}"


def symbol_latex(name: str) -> str:
    r"""One symbol; a number at its end, or what follows its underscore, becomes an index.

    >>> print(symbol_latex("alpha_N"), symbol_latex("B_star"), symbol_latex("tokens_per_param"))
    \alpha_{N} B_{*} \mathrm{tokens\_per\_param}
    """
    stem, _, index = re.sub(r"^([A-Za-z]+)(\d+)$", r"\1_\2", name).partition("_")
    if index == "star":
        return f"{_letters(stem)}_{{*}}"
    if "_" in index or (len(stem) > 1 and stem not in _NAMES):
        return _upright(name)
    return _letters(stem) + (f"_{{{_letters(index)}}}" if index else "")


def _letters(text: str) -> str:
    if text in _NAMES:
        return _NAMES[text]
    return text if len(text) == 1 or text.isdigit() else _upright(text)


def _upright(text: str) -> str:
    return r"\mathrm{" + text.replace("_", r"\_") + "}"


def expression_latex(node: Expression) -> str:
    """A formula as LaTeX, without dollar signs."""
    match node.kind:
        case "number":
            return _number(node.number)
        case "name":
            return symbol_latex(node.name)
        case "neg":
            return f"-{_bracketed(node.parts[0], 2)}"
        case "+" | "-":
            left, right = expression_latex(node.parts[0]), _bracketed(node.parts[1], 2)
            return f"{left} {node.kind} {right}"
        case "*":
            return _product(*node.parts)
        case "/":
            above, below = (expression_latex(part) for part in node.parts)
            return rf"\frac{{{above}}}{{{below}}}"
        case "**":
            return _power(*node.parts)
        case "sqrt":
            return rf"\sqrt{{{expression_latex(node.parts[0])}}}"
        case _:
            inside = ", ".join(expression_latex(part) for part in node.parts)
            return rf"\{node.kind}\left({inside}\right)"


def _product(left: Expression, right: Expression) -> str:
    a, b = _bracketed(left, 2), _bracketed(right, 2)
    if precedence(right) == 3:  # a sign may not follow a factor bare
        b = rf"\left({b}\right)"
    # Digits that touch would read as one number.
    return rf"{a} \cdot {b}" if b[0].isdigit() else rf"{a} \, {b}"


def _power(base: Expression, exponent: Expression) -> str:
    shown = expression_latex(base)
    is_digits = base.kind == "number" and shown.replace(".", "").isdigit()
    if base.kind != "name" and not is_digits:
        shown = rf"\left({shown}\right)"
    return f"{shown}^{{{expression_latex(exponent)}}}"


def _number(value: float) -> str:
    short = f"{value:g}"
    mantissa, _, power = (short if float(short) == value else repr(value)).partition("e")
    if not power:
        return mantissa
    ten = f"10^{{{int(power)}}}"
    return ten if mantissa == "1" else rf"{mantissa} \times {ten}"


def _bracketed(node: Expression, at_least: int) -> str:
    shown = expression_latex(node)
    return shown if precedence(node) >= at_least else rf"\left({shown}\right)"
