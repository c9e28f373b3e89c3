"""Formulas as data: parsed from text against a whitelist, never evaluated as Python.

A formula is arithmetic over names: ``+ - * / **``, parentheses, numbers, and the functions
``exp log sqrt min max``. Everything else that Python's grammar allows is refused with the
reason. From the one parsed tree follow its value on arrays, its exact derivatives, its text, its
LaTeX and the physical dimension that each constant must carry.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from scalewise.core.errors import FormulaError

Array = np.ndarray[Any, np.dtype[Any]]
Gradient = dict[str, Array]

MAX_LENGTH = 500
MAX_DEPTH = 24
MAX_POWER = 16.0

FUNCTIONS: Mapping[str, int] = {"exp": 1, "log": 1, "sqrt": 1, "min": 2, "max": 2}
_OPERATORS: Mapping[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """One node of a formula: a number, a name, or an operation on other nodes."""

    kind: str
    parts: tuple[Expression, ...] = ()
    name: str = ""
    number: float = 0.0

    @property
    def names(self) -> frozenset[str]:
        """Every name that the formula mentions."""
        return frozenset(node.name for node in walk(self) if node.kind == "name")


def walk(node: Expression) -> Iterator[Expression]:
    """The node and everything below it."""
    yield node
    for part in node.parts:
        yield from walk(part)


@lru_cache(maxsize=256)
def parse(text: str) -> Expression:
    """Parse a formula.

    Raises FormulaError, saying what was refused and what to write instead.

    >>> sorted(parse("E + A / N**alpha").names)
    ['A', 'E', 'N', 'alpha']
    """
    if not text.strip():
        raise FormulaError("The formula is empty.", hint="Write one such as 'E + A / N**alpha'.")
    if len(text) > MAX_LENGTH:
        raise FormulaError(
            f"The formula has {len(text)} characters; at most {MAX_LENGTH} are read.",
            hint="Shorten it.",
        )
    # Python itself would silently read full-width and other look-alike letters as plain ones.
    foreign = next((letter for letter in text if not letter.isascii()), None)
    if foreign is not None:
        raise FormulaError(
            f"The formula {_clipped(text)} contains {foreign!r}.",
            hint="Write names in plain letters, such as alpha.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or "too deeply nested"
        raise FormulaError(
            f"The formula {_clipped(text)} cannot be read: {reason}.",
            hint="Use + - * / **, parentheses, numbers, names and exp, log, sqrt, min, max."
            if "=" not in text
            else "Write only what stands right of the equals sign.",
        ) from error
    return _convert(tree.body, text, 0)


def _convert(node: ast.expr, text: str, depth: int) -> Expression:
    if depth > MAX_DEPTH:
        raise FormulaError(
            f"The formula {_clipped(text)} is nested more than {MAX_DEPTH} deep.",
            hint="Multiply it out or shorten it.",
        )
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value):
            return _number(value, text)
        case ast.Name(id=name) if name not in FUNCTIONS and not name.startswith("_"):
            return Expression("name", name=name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _convert(operand, text, depth + 1)
            if inner.kind == "number":
                return Expression("number", number=-inner.number)
            return Expression("neg", (inner,))
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _convert(operand, text, depth + 1)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            parts = (_convert(left, text, depth + 1), _convert(right, text, depth + 1))
            return _checked(Expression(_OPERATORS[type(operator)], parts), text)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if len(args) == FUNCTIONS.get(
            name
        ) and not any(isinstance(a, ast.Starred) for a in args):
            called = Expression(name, tuple(_convert(a, text, depth + 1) for a in args))
            return _checked(called, text)
    raise _refusal(node, text)


def _refusal(node: ast.expr, text: str) -> FormulaError:
    piece = ast.get_source_segment(text.strip(), node) or type(node).__name__
    match node:
        case ast.BinOp(op=ast.BitXor()):
            hint = "Write ** for powers."
        case ast.Name(id=name) if name in FUNCTIONS:
            hint = f"{name} is a function: write {name}(...) or choose another name."
        case ast.Name():
            hint = "A name starts with a letter."
        case _:
            hint = (
                "Only + - * / **, parentheses, numbers, names and exp(x), log(x), sqrt(x), "
                "min(x, y), max(x, y) are."
            )
    return FormulaError(f"{_clipped(piece)} is not allowed in a formula.", hint=hint)


def _number(value: float, text: str) -> Expression:
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise FormulaError(
            f"A number in {_clipped(text)} is too large.",
            hint="The largest is about 1.8e308.",
        )
    return Expression("number", number=number)


def _checked(node: Expression, text: str) -> Expression:
    """The node itself, once its powers are modest and its arithmetic on numbers is finite."""
    if node.kind == "**":
        if any(inner.kind == "**" for inner in walk(node.parts[1])):
            raise FormulaError(
                f"A power stands in the exponent of {_clipped(text)}.",
                hint="Exponents may use + - * / and names.",
            )
        if _tower(node) > MAX_POWER:
            raise FormulaError(
                f"A power in {_clipped(text)} is larger than {MAX_POWER:g}.",
                hint="Use a smaller power.",
            )
    if not node.names:
        with np.errstate(all="ignore"):
            value = evaluate(node, {})
        if not np.isfinite(value):
            raise FormulaError(
                f"{render(node)} in {_clipped(text)} is not a finite number.",
                hint="Write the number itself.",
            )
    return node


def _tower(node: Expression) -> float:
    """The largest power that stacked numeric exponents reach, names counting as one."""
    below = max((_tower(part) for part in node.parts), default=1.0)
    return _size(node.parts[1]) * _tower(node.parts[0]) if node.kind == "**" else below


def _size(exponent: Expression) -> float:
    """An upper limit of an exponent's magnitude when every name in it is at most one."""
    match exponent.kind, [_size(part) for part in exponent.parts]:
        case "number", _:
            return abs(exponent.number)
        case "name", _:
            return 1.0
        case "*", [a, b]:
            return a * b
        case "/", [a, b] if not exponent.parts[1].names:
            return a / b if b else np.inf
        case "/", [a, _]:
            return a
        case _, sizes:
            return sum(sizes)


def _clipped(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


_PRECEDENCE: Mapping[str, int] = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4}


def precedence(node: Expression) -> int:
    """How tightly a node binds: 1 for sums up to 5 for names, numbers and calls."""
    if node.kind == "number" and node.number < 0:
        return _PRECEDENCE["neg"]
    return _PRECEDENCE.get(node.kind, 5)


def render(node: Expression) -> str:
    """A formula as text with no parenthesis too many; parsing it gives the same tree.

    >>> render(parse("(E) + ((A/(N**(2*eta))))"))
    'E + A / N**(2 * eta)'
    """
    match node.kind:
        case "number":
            short = f"{node.number:g}"
            return short if float(short) == node.number else repr(node.number)
        case "name":
            return node.name
        case "neg":
            return f"-{_bracketed(node.parts[0], 3)}"
        case "**":
            return f"{_bracketed(node.parts[0], 5)}**{_bracketed(node.parts[1], 4)}"
        case "+" | "-" | "*" | "/":
            own = precedence(node)
            left, right = _bracketed(node.parts[0], own), _bracketed(node.parts[1], own + 1)
            return f"{left} {node.kind} {right}"
        case _:
            return f"{node.kind}({', '.join(render(part) for part in node.parts)})"


def _bracketed(node: Expression, at_least: int) -> str:
    return render(node) if precedence(node) >= at_least else f"({render(node)})"


@dataclass(frozen=True, slots=True)
class _Operation:
    """One step of a program: what it does, from which earlier slots, and if it is constant."""

    node: Expression
    inputs: tuple[int, ...]
    is_data: bool


@dataclass(frozen=True, slots=True)
class Program:
    """A formula as a list of operations, each shared sub-formula computed once.

    ``by`` are the names to differentiate by. What depends on none of them is kept in the
    ``data`` that the caller passes, between calls with the same inputs.
    """

    operations: tuple[_Operation, ...]
    by: frozenset[str]

    def run(
        self, values: Mapping[str, Array | float], data: dict[int, Any] | None = None
    ) -> tuple[Any, Gradient]:
        """Value and exact derivative by each name of ``by``, in one forward sweep."""
        data = {} if data is None else data
        slots: list[_Dual] = []
        for index, operation in enumerate(self.operations):
            if operation.is_data and index in data:
                slots.append((data[index], {}))
                continue
            slot = _apply(operation, slots, values, self.by)
            if operation.is_data:
                data[index] = slot[0]
            slots.append(slot)
        return slots[-1]


@lru_cache(maxsize=256)
def program(node: Expression, by: frozenset[str] = frozenset()) -> Program:
    """Compile a formula for repeated evaluation."""
    operations: list[_Operation] = []
    index_of: dict[Expression, int] = {}

    def add(n: Expression) -> int:
        if n not in index_of:
            inputs = tuple(add(part) for part in n.parts)
            if n.kind == "**" and n.parts[1].kind != "number":
                # exp(e log b) is several times faster than a general power, and the logarithm
                # of an input is computed once for all iterations.
                inputs += (add(Expression("log", (n.parts[0],))),)
            index_of[n] = len(operations)
            operations.append(_Operation(n, inputs, bool(by) and not n.names & by))
        return index_of[n]

    add(node)
    return Program(tuple(operations), by)


def evaluate(node: Expression, values: Mapping[str, Any]) -> Array:
    """Value of the formula; ``values`` broadcast together and may be complex.

    Integers count as floats, so that 6 * N * D does not overflow at 64 bits.
    """
    result, _ = program(node).run({name: as_float(value) for name, value in values.items()})
    return np.asarray(result)


def as_float(value: Any) -> Array:
    """The value as a float64 or complex128 array."""
    array = np.asarray(value)
    return array.astype(complex if array.dtype.kind == "c" else float, copy=False)


_Dual = tuple[Any, Gradient]


def _apply(
    operation: _Operation,
    slots: list[_Dual],
    values: Mapping[str, Array | float],
    by: frozenset[str],
) -> _Dual:
    node = operation.node
    if node.kind == "number":
        # A NumPy scalar: dividing by zero is then infinite, as it is in arrays.
        return np.float64(node.number), {}
    if node.kind == "name":
        return values[node.name], ({node.name: np.ones(())} if node.name in by else {})
    a, da = slots[operation.inputs[0]]
    if len(node.parts) == 1:
        return _apply_unary(node.kind, a, da)
    b, db = slots[operation.inputs[1]]
    match node.kind:
        case "+":
            return a + b, _sum(da, 1.0, db, 1.0)
        case "-":
            return a - b, _sum(da, 1.0, db, -1.0)
        case "*":
            return a * b, _sum(da, b, db, a)
        case "/":
            inverse = 1.0 / b
            quotient = a * inverse
            return quotient, _sum(da, inverse, db, -quotient * inverse if db else 0.0)
        case "**" if node.parts[1].kind == "number":
            k = node.parts[1].number
            return a**k, {name: k * a ** (k - 1.0) * d for name, d in da.items()}
        case "**":
            log_a = slots[operation.inputs[2]][0]
            power = np.exp(b * log_a)
            return power, _sum(db, power * log_a, da, power * b / a if da else 0.0)
        case _:
            # Complex values compare by their real part, as the complex step needs.
            first = np.real(a) <= np.real(b) if node.kind == "min" else np.real(a) >= np.real(b)
            keep = np.asarray(first, dtype=float)
            return np.where(first, a, b), _sum(da, keep, db, 1.0 - keep)


def _apply_unary(kind: str, a: Any, da: Gradient) -> _Dual:
    match kind:
        case "neg":
            return -a, {k: -d for k, d in da.items()}
        case "exp":
            e = np.exp(a)
            return e, {k: e * d for k, d in da.items()}
        case "log":
            return np.log(a), {k: d / a for k, d in da.items()}
        case _:
            root = np.sqrt(a)
            return root, {k: 0.5 * d / root for k, d in da.items()}


def _sum(a: Gradient, by_a: Any, b: Gradient, by_b: Any) -> Gradient:
    """The gradient ``a * by_a + b * by_b``, with absent entries meaning zero."""
    out = {k: d * by_a for k, d in a.items()}
    for k, d in b.items():
        out[k] = out[k] + d * by_b if k in out else d * by_b
    return out
