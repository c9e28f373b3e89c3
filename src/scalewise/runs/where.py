"""Conditions on rows, written as text and never evaluated as Python.

The text is parsed, walked against a whitelist and rebuilt as a column expression: names of
columns, numbers (``7B`` too), quoted text, ``+ - * /``, comparisons, ``in``, ``and or not``.
A cell that is missing or NaN satisfies no comparison, nor the negation of one.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any, Literal

from scalewise.core.errors import FormulaError, UsageError
from scalewise.core.quantities import parse_quantity
from scalewise.runs.columns import canonical_name, nearest
from scalewise.runs.quote import listed, quoted

if TYPE_CHECKING:
    import polars as pl

MAX_LENGTH = 1000
MAX_DEPTH = 40

# Quoted text and names are matched so as to be passed over: only a bare 7B is a number.
_WORDS = re.compile(
    r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[A-Za-z_]\w*"""
    r"""|(?P<number>\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?[kKmMbBgGtTpP])(?!\w)"""
)
_EXAMPLE = "Write a condition such as: params < 1B and corpus == 'c4' and not is_annealed."
_TYPED = {"number": "a number", "text": "text", "flag": "a condition"}


@dataclass(frozen=True, slots=True)
class _Term:
    """A piece of the condition: what it computes, and of which kind that is."""

    value: Any
    kind: Literal["number", "text", "flag"]


def condition(text: str, frame: pl.DataFrame) -> pl.Expr:
    """The condition as an expression over the columns of ``frame``.

    Raises FormulaError for anything outside the grammar, unknown columns and mixed-up kinds.
    """
    term = _term(_parsed(text), frame, 0)
    if term.kind != "flag":
        raise FormulaError(
            f"The condition {quoted(text)} is {_TYPED[term.kind]}, not true or false.",
            hint=_EXAMPLE,
        )
    value: pl.Expr = term.value
    return value


def _parsed(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise FormulaError(
            f"The condition has {len(text)} characters; at most {MAX_LENGTH} are read.",
            hint="Shorten it, or filter the table in several steps.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(_WORDS.sub(_plain_number, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        single = re.search(r"[^=!<>]=[^=]", text)
        raise FormulaError(
            f"The condition {quoted(text)} cannot be read.",
            hint="Write == to compare." if single else _EXAMPLE,
        ) from error


def _plain_number(match: re.Match[str]) -> str:
    number = match["number"]
    if number is None:
        return match[0]
    try:
        return repr(parse_quantity(number, allow_zero=True))
    except UsageError as error:
        raise FormulaError(f"{quoted(number)} is not a number.", hint=error.hint) from error


def _term(node: ast.expr, frame: pl.DataFrame, depth: int) -> _Term:
    if depth > MAX_DEPTH:
        raise FormulaError(
            f"The condition is nested more than {MAX_DEPTH} deep.",
            hint="Filter the table in several steps.",
        )
    match node:
        case ast.Name(id=name):
            return _column(name, frame)
        case ast.Constant(value=value):
            return _constant(value)
        case ast.BoolOp(op=op, values=values):
            parts = [_of_kind("flag", value, frame, depth) for value in values]
            return _Term(reduce(and_ if isinstance(op, ast.And) else or_, parts), "flag")
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _Term(~_of_kind("flag", operand, frame, depth), "flag")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _Term(-_of_kind("number", operand, frame, depth), "number")
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _Term(_of_kind("number", operand, frame, depth), "number")
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
            return _arithmetic(node, frame, depth)
        case ast.Compare():
            return _comparison(node, frame, depth)
    raise _refused(node)


def _shown(node: ast.expr) -> str:
    try:
        return quoted(ast.unparse(node))
    except RecursionError:
        return f"A deeply nested {type(node).__name__}"


def _refused(node: ast.expr) -> FormulaError:
    hint = "Only columns, numbers, quoted text, + - * /, comparisons, in, and, or, not are."
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
        hint = "Write 'and' and 'or'."
    return FormulaError(f"{_shown(node)} is not allowed in a condition.", hint=hint)


def _column(name: str, frame: pl.DataFrame) -> _Term:
    import polars as pl

    if name not in frame.columns:
        known = canonical_name(name)
        near = f"It is called {known!r} here. " if known in frame.columns else ""
        raise FormulaError(
            f"The condition names {quoted(name)}, which is not a column.",
            hint=f"{near or nearest(name, frame.columns)}Columns: {listed(frame.columns, 40)}. "
            "Text stands in quotes.",
        )
    kind = frame.schema[name]
    if kind == pl.Boolean:
        return _Term(pl.col(name), "flag")
    if kind == pl.String:
        return _Term(pl.col(name), "text")
    # In polars NaN is larger than every number; here it satisfies no comparison.
    return _Term(pl.col(name).cast(pl.Float64).fill_nan(None), "number")


def _constant(value: object) -> _Term:
    import polars as pl

    if isinstance(value, bool):
        return _Term(pl.lit(value), "flag")
    if isinstance(value, int | float):
        try:
            return _Term(pl.lit(float(value)), "number")
        except OverflowError as error:
            raise FormulaError(
                f"{Decimal(value):.3g} is too large a number.", hint="Write it as 1e24."
            ) from error
    if isinstance(value, str):
        return _Term(pl.lit(value), "text")
    raise FormulaError(
        f"{quoted(value)} is not allowed in a condition.", hint="Use numbers and quoted text."
    )


def _of_kind(kind: str, node: ast.expr, frame: pl.DataFrame, depth: int) -> Any:
    term = _term(node, frame, depth + 1)
    if term.kind != kind:
        raise FormulaError(
            f"{_shown(node)} is {_TYPED[term.kind]} where {_TYPED[kind]} is needed.",
            hint=_EXAMPLE,
        )
    return term.value


def _arithmetic(node: ast.BinOp, frame: pl.DataFrame, depth: int) -> _Term:
    left = _of_kind("number", node.left, frame, depth)
    right = _of_kind("number", node.right, frame, depth)
    match node.op:
        case ast.Add():
            value = left + right
        case ast.Sub():
            value = left - right
        case ast.Mult():
            value = left * right
        case _:
            value = left / right
    return _Term(value.fill_nan(None), "number")


def _comparison(node: ast.Compare, frame: pl.DataFrame, depth: int) -> _Term:
    """Each neighbouring pair compared, all of them to hold: ``1M < params < 1B``."""
    terms: Sequence[ast.expr] = (node.left, *node.comparators)
    pairs = [
        _pair(left, op, right, frame, depth)
        for left, op, right in zip(terms, node.ops, terms[1:], strict=False)
    ]
    return _Term(reduce(and_, pairs), "flag")


def _pair(left: ast.expr, op: ast.cmpop, right: ast.expr, frame: pl.DataFrame, depth: int) -> Any:
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(right, ast.Tuple | ast.List) or not right.elts:
            raise FormulaError(
                f"{_shown(right)} is no list to look in.",
                hint="Write: corpus in ('c4', 'pile').",
            )
        anyone = reduce(or_, [_pair(left, ast.Eq(), item, frame, depth) for item in right.elts])
        return ~anyone if isinstance(op, ast.NotIn) else anyone
    one = _term(left, frame, depth + 1)
    other = _of_kind(one.kind, right, frame, depth)
    match op:
        case ast.Eq():
            return one.value == other
        case ast.NotEq():
            return one.value != other
        case ast.Lt() if one.kind != "flag":
            return one.value < other
        case ast.LtE() if one.kind != "flag":
            return one.value <= other
        case ast.Gt() if one.kind != "flag":
            return one.value > other
        case ast.GtE() if one.kind != "flag":
            return one.value >= other
    raise FormulaError(
        f"{_shown(ast.Compare(left, [op], [right]))} is not a comparison that is allowed.",
        hint="Use == != < <= > >= or in.",
    )
