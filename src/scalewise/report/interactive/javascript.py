"""A law as JavaScript, generated from the parsed formula that Python evaluates.

The same operations in the same order, so that both agree to rounding: a power with a named
exponent is ``exp(e * log(b))``, a quotient ``a * (1 / b)``, and a law that states a quantity by
itself is solved by the same Newton steps in logs. Names of the formula never reach the text: a
constant is a place in ``c``, an input one in ``x``.
"""

from __future__ import annotations

from collections.abc import Iterable

from scalewise.core.expression import Expression, Program, program
from scalewise.laws.law import Law

_STEPS = 200
_CLOSE = 1e-13
_CALLS = {"exp": "Math.exp", "log": "Math.log", "sqrt": "Math.sqrt"}


def evaluator(law: Law) -> str:
    """The source of ``(c, o, x) => value``.

    ``c`` holds the constants in their declared order from offset ``o``, so that many sets of
    constants may follow each other in one array; ``x`` the inputs in the order of the variables.

    >>> from scalewise.laws.formula import law_from_formula
    >>> print(evaluator(law_from_formula("E + A / N")))
    (c, o, x) => {
    const t0 = c[o + 0];
    const t1 = c[o + 1];
    const t2 = x[0];
    const t3 = t1 * (1 / t2);
    const t4 = t0 + t3;
    return t4;
    }
    """
    writer = _Writer(law)
    return writer.implicit() if law.implicit else writer.explicit()


def evaluators(laws: Iterable[Law]) -> str:
    """A module that exports the evaluators of laws, as an array in their order."""
    return f"export const EVALUATORS = [\n{','.join(evaluator(law) for law in laws)}\n];\n"


class _Writer:
    """Writes one law, operation by operation."""

    def __init__(self, law: Law) -> None:
        self.symbol = law.implicit
        self.places = {name: f"c[o + {i}]" for i, name in enumerate(law.constant_names)}
        self.places |= {name: f"x[{i}]" for i, name in enumerate(law.variables)}
        self.places |= {law.implicit: "level"} if law.implicit else {}
        by = frozenset({law.implicit}) if law.implicit else frozenset[str]()
        self.program: Program = program(law.expression, by)

    def explicit(self) -> str:
        lines = [self._value(i) for i in range(len(self.program.operations))]
        return _function([*lines, f"return t{len(lines) - 1};"])

    def implicit(self) -> str:
        """Newton's method on ``u - log F(exp(u))``, what does not depend on u kept out of it."""
        before: list[str] = []
        inside: list[str] = []
        slopes: dict[int, str] = {}
        for i, operation in enumerate(self.program.operations):
            moves = self.symbol in operation.node.names
            (inside if moves else before).append(self._value(i))
            if moves:
                slopes[i] = f"d{i}"
                inside.append(f"const d{i} = {self._slope(i, slopes)};")
        last = len(self.program.operations) - 1
        loop = [
            f"for (let k = 0; k < {_STEPS}; k++) {{",
            "const level = Math.exp(u);",
            *inside,
            f"const s = (u - Math.log(t{last})) / (1 - level * d{last} / t{last});",
            "u -= s;",
            f"if (!(Math.abs(s) > {_CLOSE!r})) break;",
            "}",
        ]
        return _function([*before, "let u = 0;", *loop, "return Math.exp(u);"])

    def _value(self, index: int) -> str:
        operation = self.program.operations[index]
        return f"const t{index} = {self._right(operation.node, operation.inputs)};"

    def _right(self, node: Expression, inputs: tuple[int, ...]) -> str:
        slots = [f"t{i}" for i in inputs]
        match node.kind:
            case "number":
                return repr(node.number)
            case "name":
                return self.places[node.name]
            case "neg":
                return f"-{slots[0]}"
            case "/":
                return f"{slots[0]} * (1 / {slots[1]})"
            case "**" if node.parts[1].kind == "number":
                return f"Math.pow({slots[0]}, {slots[1]})"
            case "**":
                return f"Math.exp({slots[1]} * {slots[2]})"
            case "min" | "max":
                sign = "<=" if node.kind == "min" else ">="
                return f"{slots[0]} {sign} {slots[1]} ? {slots[0]} : {slots[1]}"
            case "+" | "-" | "*":
                return f"{slots[0]} {node.kind} {slots[1]}"
            case kind:
                return f"{_CALLS[kind]}({slots[0]})"

    def _slope(self, index: int, slopes: dict[int, str]) -> str:
        """The derivative of one operation by the quantity itself; absent ones are zero."""
        operation = self.program.operations[index]
        node, own = operation.node, f"t{index}"
        slots = [f"t{i}" for i in operation.inputs]
        by = [slopes.get(i, "0") for i in operation.inputs]
        match node.kind:
            case "name":
                return "1"
            case "neg":
                return f"-{by[0]}"
            case "+" | "-":
                return f"{by[0]} {node.kind} {by[1]}"
            case "*":
                return f"{by[0]} * {slots[1]} + {by[1]} * {slots[0]}"
            case "/":
                return f"({by[0]} - {own} * {by[1]}) * (1 / {slots[1]})"
            case "**" if node.parts[1].kind == "number":
                return f"{slots[1]} * Math.pow({slots[0]}, {slots[1]} - 1) * {by[0]}"
            case "**":
                return f"{own} * ({by[1]} * {slots[2]} + {slots[1]} * {by[0]} / {slots[0]})"
            case "exp":
                return f"{own} * {by[0]}"
            case "log":
                return f"{by[0]} / {slots[0]}"
            case "sqrt":
                return f"0.5 * {by[0]} / {own}"
            case _:
                sign = "<=" if node.kind == "min" else ">="
                return f"{slots[0]} {sign} {slots[1]} ? {by[0]} : {by[1]}"


def _function(lines: list[str]) -> str:
    return "\n".join(["(c, o, x) => {", *lines, "}"])
