"""What a published fit must state, filled in: the (Mis)Fitting checklist, condensed to nine items.

Li, Kudugunta & Zettlemoyer 2025, arXiv:2502.18969, found that most published fits leave out what
their readers need to repeat them. What a run table does not say is told with the column that would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from scalewise.core.quantities import format_count, format_flops
from scalewise.fit.result import FitResult
from scalewise.fit.search import THOROUGH
from scalewise.forecast.backtest import Backtest
from scalewise.report.card import Card, Cell, Column, Fact, Table
from scalewise.report.cards.doubts import certificate_sentence, spread_sentence
from scalewise.report.formats import clean, counted, listed, number, percent
from scalewise.runs.stated import stated
from scalewise.runs.table import RunTable

SOURCE = "Li et al. 2025, (Mis)Fitting, arXiv:2502.18969"
UNSTATED = "not stated by the runs"
Facts = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One of the nine: what is stated, and what is not with the mend of each."""

    number: int
    name: str
    stated: tuple[str, ...]
    missing: tuple[str, ...]


def checklist_card(
    result: FitResult, table: RunTable | None = None, *, tested: Backtest | None = None
) -> Card:
    """The nine items of a fit: from the fit itself, and from the run table where it is at hand."""
    items = checklist_items(result, table, tested=tested)
    full = sum(not item.missing for item in items)
    gaps = sum(len(item.missing) for item in items)
    rest = (
        f"{counted(gaps, 'fact')} {'is' if gaps == 1 else 'are'} {UNSTATED}: see what to add"
        if gaps
        else "nothing is left open"
    )
    return Card(
        title="Checklist",
        conclusion=f"{full} of {len(items)} items that a published fit must state are complete; "
        f"{rest}.",
        facts=(Fact("items from", SOURCE),),
        table=Table(
            (Column("item"), Column("stated"), Column("not stated: add")),
            tuple(row for item in items for row in _rows(item)),
        ),
        markdown=checklist_markdown(items),
    )


def _rows(item: Item) -> Iterator[tuple[Cell, ...]]:
    """A row per statement, then one per gap; the first names the item."""
    head = f"{item.number} {item.name}"
    for i, text in enumerate(item.stated or (UNSTATED,)):
        yield (head if i == 0 else "", text, "")
    for text in item.missing:
        yield ("", "", text)


def checklist_markdown(items: tuple[Item, ...]) -> str:
    r"""The items as a Markdown list, to paste into a paper's appendix or an issue.

    >>> item = Item(number=1, name="form", stated=("E + A / N**alpha",), missing=("a seed",))
    >>> print(checklist_markdown((item,)).splitlines()[2])
    1. **form**: E + A / N\*\*alpha
    """
    lines = [f"What this fit states ({SOURCE})", ""]
    for item in items:
        told = ". ".join(item.stated) or UNSTATED
        lines.append(f"{item.number}. **{item.name}**: {_escaped(told)}")
        lines += [f"   - [ ] {_escaped(text)}" for text in item.missing]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Text whose signs Markdown would take for its own."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return text


def checklist_items(
    result: FitResult, table: RunTable | None = None, *, tested: Backtest | None = None
) -> tuple[Item, ...]:
    """The nine items; without a table, what the fit kept of the one that it was made of."""
    facts: Facts = result.facts if table is None else stated(_fitted(result, table))
    makers: tuple[tuple[str, Callable[[FitResult, Facts], _Told]], ...] = (
        ("form and variables", _form),
        ("counts of parameters, tokens and FLOP", _counts),
        ("shapes, hyperparameters, schedule", _recipe),
        ("models and ranges", _models),
        ("evaluation", _evaluation),
        ("points excluded", _excluded),
        ("objective and search", _search),
        ("uncertainty and hold-out", lambda r, f: _uncertainty(r, f, tested)),
        ("code, data, constants", _artefacts),
    )
    made = []
    for i, (name, make) in enumerate(makers, start=1):
        told = make(result, facts)
        made.append(
            Item(number=i, name=name, stated=tuple(told.stated), missing=tuple(told.missing))
        )
    return tuple(made)


def _fitted(result: FitResult, table: RunTable) -> RunTable:
    """The finished models where it is they that were fitted, else the whole table."""
    if len(table) == result.points:
        return table
    finals = table.finals()
    return finals if len(finals) == result.points else table


class _Told:
    """The statements of an item as they are gathered."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.stated: list[str] = []
        self.missing: list[str] = []

    def say(self, text: str) -> None:
        """A statement."""
        self.stated.append(clean(text, 2000).rstrip("."))

    def fact(self, name: str, label: str, mend: str) -> None:
        """A fact of the run table under a label, or how it could be one."""
        if name in self.facts:
            self.say(f"{label}: {self.facts[name]}")
        else:
            self.missing.append(f"{label}: {mend}")


def _form(result: FitResult, facts: Facts) -> _Told:
    told, law = _Told(facts), result.law
    variables = sorted(law.variables.items(), key=lambda item: law.formula.index(item[0]))
    inputs = listed([f"{symbol} = {column}" for symbol, column in variables])
    told.say(f"{law.quantity} = {law.formula}, with {inputs}")
    free = [name for name in law.constant_names if name not in result.fixed]
    told.say(f"Optimised: {listed(free)}")
    told.say(
        f"Held: {listed([f'{n} = {number(result.theta[n], 9)}' for n in result.fixed])}"
        if result.fixed
        else "No constant was held"
    )
    for name, source in sorted(result.provenance.items()):
        told.say(f"{name}: {source}")
    for weight, rival in ((r.weight, r.result) for r in result.rivals):
        told.say(f"Combined with {rival.law.key} ({percent(weight)}): {rival.law.formula}")
    return told


def _counts(result: FitResult, facts: Facts) -> _Told:
    told = _Told(facts)
    sizes = [name for name in ("params", "params_nonembed", "params_active") if name in facts]
    for name in sizes or ["params"]:
        told.fact(name, name, f"a column {name} with the count, and what it counts")
    if len(sizes) == 1:
        other = "params_nonembed" if sizes == ["params"] else "params"
        told.missing.append(f"embeddings and heads: a column {other}, which tells them apart")
    told.fact("tokens", "tokens", "a column tokens")
    told.fact("repeats", "unique tokens", "a column tokens_unique or epochs")
    told.fact("flop_rule", "FLOP rule", "a column flop_rule: 6nd, 6nd+attention or exact")
    told.fact("vocab_size", "vocabulary", "a column vocab_size")
    return told


def _recipe(result: FitResult, facts: Facts) -> _Told:
    told = _Told(facts)
    told.fact("shapes", "shapes", "columns d_model and n_layer")
    told.fact("context_length", "context", "a column context_length")
    told.fact("lr_peak", "learning rate", "a column lr_peak: the rule per size can be read off it")
    told.fact("batch_tokens", "batch", "a column batch_tokens")
    told.fact("schedule", "schedule", "a column schedule: cosine, wsd, constant")
    told.fact("warmup_steps", "warm-up and decay", "columns warmup_steps and decay_fraction")
    told.fact("ends", "final or mid-run", "a column is_final (and is_annealed)")
    return told


def _models(result: FitResult, facts: Facts) -> _Told:
    told = _Told(facts)
    sizes = next((c for c in result.law.columns if c.startswith("params")), None)
    symbols = {column: symbol for symbol, column in result.law.variables.items()}
    count = len(set(result.inputs[symbols[sizes]].tolist())) if sizes else None
    models = f", {counted(count, 'size')}" if count else ""
    told.say(f"{counted(result.points, 'point')} of {counted(result.runs, 'run')}{models}")
    for column, (low, high) in sorted(result.ranges.items()):
        write = format_flops if column == "flops" else format_count
        told.say(f"{column} {write(low)} to {write(high)}")
    told.fact("seed", "seeds", "a column seed")
    return told


def _evaluation(result: FitResult, facts: Facts) -> _Told:
    told = _Told(facts)
    told.fact("loss", "metric", "map the loss with its unit")
    told.fact("eval_set", "evaluation set", "a column eval_set")
    told.fact("tokenizer", "tokenizer", "a column tokenizer")
    told.fact("corpus", "training data", "a column corpus")
    told.fact("smoothing", "smoothing", "a column smoothing: none, or window and kind")
    return told


def _excluded(result: FitResult, facts: Facts) -> _Told:
    told = _Told(facts)
    if facts:
        told.say(f"Read: {facts['rows']}; fitted: {counted(result.points, 'point')}")
        told.say(f"Filters: {facts['left out']}" if "left out" in facts else "No row was filtered")
    if result.policy:
        told.say(f"Estimation policy {result.policy}")
    lost = [text for text in result.warnings if "left out of the fit" in text]
    told.say(f"By the fit: {'; '.join(lost)}" if lost else "The fit left no point out")
    told.fact("health", "health checks", "the run table: scalewise report RUNS")
    return told


def _search(result: FitResult, facts: Facts) -> _Told:
    told, goal = _Told(facts), result.objective
    delta = f", delta {number(goal.delta)}" if goal.name == "huber-log" else ""
    told.say(f"{goal.name}{delta}, on {'log ' if goal.in_logs else ''}{result.law.quantity}")
    weighed = len(set(result.weights.tolist())) > 1
    told.say(f"Summed over points, {'weighted' if weighed else 'each with weight 1'}")
    told.say(
        "Damped Newton steps with exact gradients, in double precision, until none lowers the "
        f"objective by a share of {THOROUGH.tolerance:g}"
    )
    told.say(
        "Starts from a fixed low-discrepancy cloud of the nonlinear constants, the linear ones by "
        f"non-negative least squares: {certificate_sentence(result)}; the least objective wins"
    )
    told.say(f"{result.status.name}: {result.status.value}")
    if result.at_bound:
        told.say(f"At a bound: {listed(list(result.at_bound))}")
    if result.penalty is not None:
        told.say(f"Priors on {listed(list(result.penalty.names))} as further observations")
    return told


def _uncertainty(result: FitResult, facts: Facts, tested: Backtest | None) -> _Told:
    told = _Told(facts)
    if len(result.draws):
        told.say(
            f"{len(result.draws)} resamples, {result.resampling}, seed {result.seed}; intervals "
            "are percentiles, predictions add the noise of a run"
        )
    else:
        told.missing.append("intervals: fit with --bootstrap 300")
    if tested is not None:
        best = tested.scores[0]
        told.say(
            f"Hold-out of the largest runs, {counted(best.splits, 'split')}: {best.law} missed by "
            f"{percent(best.mean_abs_error)} on average; every law tried is in the table Backtest"
        )
    elif result.spread != 1 or result.rivals:
        told.say(f"Hold-out: laws scored by backtest; {spread_sentence(result)}")
    else:
        told.missing.append("hold-out: scalewise backtest RUNS")
    return told


def _artefacts(result: FitResult, facts: Facts) -> _Told:
    from scalewise import __version__

    told = _Told(facts)
    told.say(f"scalewise {__version__}")
    told.say(f"{result.source}, sha256 {result.sha256}" if result.sha256 else result.source)
    units = {name: result.law.unit(name) for name in result.law.constant_names}
    told.say(
        ", ".join(
            f"{name} = {number(result.theta[name], 9)}{'' if unit == '1' else f' {unit}'}"
            for name, unit in units.items()
        )
    )
    told.say(f"{result.objective.name} = {number(result.objective_value, 9)} at the optimum")
    return told
