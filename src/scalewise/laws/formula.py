"""A user's own law, written in a line.

``E + A / N**alpha`` is a law of params with constants E, A and alpha. N, D and C stand for
params, tokens and flops; every other column is written by its name. What is no input is a
constant, and every constant is positive: the formula states the signs. What the law predicts may
stand before it, as in ``lr_peak = k / N**p``.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from scalewise.core.errors import FormulaError
from scalewise.core.expression import Expression, parse, render, walk
from scalewise.laws.dimensions import constant_dimensions, names_in_exponents
from scalewise.laws.identifiability import inseparable_constants
from scalewise.laws.law import QUANTITY_UNITS, Constant, Law, Quantity, Role
from scalewise.laws.linearity import linear_names

MAX_CONSTANTS = 12

SYMBOLS: Mapping[str, str] = {"N": "params", "D": "tokens", "C": "flops"}

# Columns of a run table that a prediction may depend on; laws do not know the run table itself.
INPUT_COLUMNS: tuple[str, ...] = (
    "params",
    "params_nonembed",
    "params_active",
    "tokens",
    "tokens_unique",
    "tokens_per_param",
    "epochs",
    "flops",
    "step",
    "steps",
    "steps_min",
    "batch_tokens",
    "critical_batch_tokens",
    "context_length",
    "vocab_size",
    "d_model",
    "n_layer",
    "lr_peak",
    "lr",
    "warmup_steps",
    "decay_fraction",
    "loss",
)
_NO_INPUT = ("error", "accuracy", "train_loss", "perplexity", "bits_per_byte", "bits_per_token",
             "bytes_per_token", "run_id", "family", "corpus", "tokenizer", "eval_set", "seed",
             "schedule", "status", "is_final", "is_annealed", "flop_rule")  # fmt: skip


def law_from_formula(
    text: str, variables: Mapping[str, str] | None = None, quantity: Quantity | None = None
) -> Law:
    """A law from its formula.

    ``variables`` maps symbols to columns where the defaults (N, D, C and column names) do not
    serve, such as ``{"N": "params_nonembed"}``; then it names every input. Unless ``quantity`` or
    the text says otherwise, a formula in ``loss`` predicts ``error``, any other predicts ``loss``.
    One that contains what it predicts, ``loss = ... loss ...``, is solved for it.
    Constants in an exponent become exponents, bare added ones offsets, the rest amplitudes.

    Raises FormulaError for anything that is not a law with one to twelve separable constants.

    >>> law = law_from_formula("E + A / N**alpha + B / D**beta")
    >>> law.columns, [(c.name, c.role) for c in law.constants][1:3]
    (('params', 'tokens'), [('A', 'amplitude'), ('alpha', 'exponent')])
    """
    text, stated = _equation(text)
    expression = parse(text)
    inputs = _inputs(expression, variables)
    names = _in_order(expression, excluded=frozenset(inputs))
    _check_symbols(text, inputs, names)
    predicted = quantity or stated or ("error" if "loss" in inputs.values() else "loss")
    own = next((s for s, column in inputs.items() if column == predicted), "")
    implicit = own if len(inputs) > 1 else ""
    inputs = {s: column for s, column in inputs.items() if s != implicit}
    law = Law(
        key=render(expression),
        title="A formula of your own",
        formula=render(expression),
        variables=inputs,
        constants=tuple(Constant(n, _role(n, expression, inputs)) for n in names),
        quantity=predicted,
        use_when="You know a form that the catalogue lacks; backtest it against the others.",
        default_objective="ls" if predicted == "error" else "huber-log",
        implicit=implicit,
    )
    inseparable = inseparable_constants(law)
    if inseparable:
        raise FormulaError(
            f"No data can tell {_listed(inseparable)} apart in {law.formula!r}.",
            hint="Merge them into fewer constants.",
        )
    return law


def _equation(text: str) -> tuple[str, Quantity | None]:
    """The formula, and what it predicts if that stands before an equals sign."""
    left, equals, right = text.partition("=")
    if not equals:
        return text, None
    known: Mapping[str, Quantity] = {str(name): name for name in QUANTITY_UNITS}
    if left.strip() not in known:
        raise FormulaError(
            f"{left.strip()[:40]!r} before the equals sign is nothing that a law predicts.",
            hint=f"Write one of {', '.join(known)}, or leave it out for loss.",
        )
    return right, known[left.strip()]


def _inputs(expression: Expression, variables: Mapping[str, str] | None) -> dict[str, str]:
    known = variables if variables is not None else {**SYMBOLS, **{c: c for c in INPUT_COLUMNS}}
    used = _in_order(expression, excluded=frozenset())
    return {name: known[name] for name in used if name in known}


def _in_order(expression: Expression, *, excluded: frozenset[str]) -> tuple[str, ...]:
    """Names in the order in which the formula mentions them."""
    names = (node.name for node in walk(expression) if node.kind == "name")
    return tuple(dict.fromkeys(name for name in names if name not in excluded))


def _check_symbols(text: str, inputs: Mapping[str, str], constants: tuple[str, ...]) -> None:
    if not inputs:
        close = [c for name in constants for c in get_close_matches(name, INPUT_COLUMNS, n=1)]
        raise FormulaError(
            f"The formula {text!r} has no input.",
            hint=(f"Did you mean {close[0]}? " if close else "")
            + f"Inputs are N, D, C or one of {', '.join(INPUT_COLUMNS)}.",
        )
    if len(set(inputs.values())) < len(inputs):
        raise FormulaError(
            f"The formula {text!r} has two symbols for one column: "
            f"{', '.join(f'{s} for {c}' for s, c in inputs.items())}.",
            hint="Use one of them throughout.",
        )
    for name in constants:
        if name in (*INPUT_COLUMNS, *_NO_INPUT, *SYMBOLS):
            raise FormulaError(
                f"{name} in {text!r} is a word of the run table, but no input of this law.",
                hint="Give the constant another name, or map it to a column.",
            )
    if not constants:
        raise FormulaError(
            f"The formula {text!r} has no constant, so nothing to fit.",
            hint="Write one such as 'E + A / N**alpha'.",
        )
    if len(constants) > MAX_CONSTANTS:
        raise FormulaError(
            f"The formula has {len(constants)} constants; at most {MAX_CONSTANTS} are fitted.",
            hint="Write known ones as numbers.",
        )


def _role(name: str, expression: Expression, inputs: Mapping[str, str]) -> Role:
    if name in names_in_exponents(expression):
        return "exponent"
    unit = constant_dimensions(expression, frozenset(inputs))[name]
    in_exp = any(name in node.names for node in walk(expression) if node.kind == "exp")
    # A scale such as D_c in exp(-D / D_c) may have any size; a rate per nat is of order one, and
    # so is a bare number that stands nowhere but in exp.
    if in_exp and {inputs[symbol] for symbol in unit} == {"loss"}:
        return "exponent"
    if in_exp and not unit and not _stands_outside_exp(name, expression):
        return "exponent"
    mentions = sum(node.name == name for node in walk(expression) if node.kind == "name")
    if mentions == 1 and name in _added_bare(expression) & linear_names(
        expression, frozenset({name})
    ):
        return "offset"
    return "amplitude"


def _stands_outside_exp(name: str, node: Expression) -> bool:
    if node.kind == "exp":
        return False
    return node.name == name or any(_stands_outside_exp(name, part) for part in node.parts)


def _added_bare(node: Expression) -> frozenset[str]:
    """Names that are terms of the outermost sum, with a plus sign."""
    match node.kind:
        case "name":
            return frozenset({node.name})
        case "+":
            return _added_bare(node.parts[0]) | _added_bare(node.parts[1])
        case "-":
            return _added_bare(node.parts[0])
    return frozenset()


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
