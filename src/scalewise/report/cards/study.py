"""A backtest at scale, told: the widest designs, means over families, what would have been enough.

Maps of error by design are told by ``cards.study_maps``.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from scalewise.core.quantities import format_flops
from scalewise.forecast.study import Cheapest, Mean, Setting, Study
from scalewise.forecast.study_cell import Cell
from scalewise.report.card import Axis, Card, Column, Fact, FigureSpec, Panel, Series, Table
from scalewise.report.formats import counted, percent

_MOST_ROWS = 60
_MOST_DRAWN = 32  # families of a figure


def study_card(study: Study) -> Card:
    """Per family and setting the design of most models and training, beside the naive rules."""
    widest = widest_cells(study)
    scored = [cell for cell in widest if cell.mean_abs_error is not None]
    rows = tuple(
        (
            cell.family, *_named(study, cell), cell.models, cell.mean_abs_error, cell.bias,
            cell.last_error, cell.best_seen_error, cell.most_compute_error, cell.skill, cell.status,
        )
        for cell in widest[:_MOST_ROWS]
    )  # fmt: skip
    return Card(
        title="Backtest at scale",
        conclusion=_conclusion(study, scored),
        facts=_facts(study),
        table=Table(
            (
                Column("family", format="code"),
                *(Column(name, format="code") for name in _varying(study)),
                Column("models", format="integer"), Column("mean |error|", format="percent"),
                Column("bias", format="signed-percent"),
                Column("at the end", format="signed-percent"),
                Column("best seen", format="percent"), Column("most compute", format="percent"),
                Column("skill", format="signed-percent"), Column("status"),
            ),
            rows,
        ),
        figure=_figure(study, scored),
        caveats=_caveats(study, widest),
    )  # fmt: skip


def widest_cells(study: Study) -> list[Cell]:
    """Of each family and setting the cell of most models at the largest share, scored if any is."""
    found: dict[tuple[str, Setting], Cell] = {}
    for cell in study.cells:
        key = cell.family, (cell.law, cell.objective, cell.policy)
        if key not in found or _width(cell) > _width(found[key]):
            found[key] = cell
    return list(found.values())


def _width(cell: Cell) -> tuple[bool, float, int, float]:
    return cell.mean_abs_error is not None, cell.share, cell.models, cell.fitted_params or 0.0


def _varying(study: Study) -> list[str]:
    names = ("law", "objective", "policy")
    return [
        name for i, name in enumerate(names) if len({setting[i] for setting in study.settings}) > 1
    ]


def _named(study: Study, cell: Cell) -> tuple[str, ...]:
    return tuple(str(getattr(cell, name)) for name in _varying(study))


def setting_name(study: Study, setting: Setting) -> str:
    """What tells a setting from the others of a study; all of it where there is one alone."""
    words = [
        word
        for i, word in enumerate(setting)
        if len({other[i] for other in study.settings}) > 1 or len(study.settings) == 1
    ]
    return ", ".join(words)


def _conclusion(study: Study, scored: Sequence[Cell]) -> str:
    if not scored:
        return "No design of any family could be scored; the table says why."
    parts = []
    for setting in study.settings:
        own = [c for c in scored if (c.law, c.objective, c.policy) == setting]
        errors = [c.mean_abs_error for c in own if c.mean_abs_error is not None]
        if own:
            ahead = sum((c.skill or 0.0) > 0 for c in own)
            parts.append(
                f"{setting_name(study, setting)} misses the largest model by "
                f"{percent(median(errors))} in the median of {_families(len(own))} and beats both "
                f"naive rules in {ahead}"
            )
    fitted = sum(bool(cell.theta) for cell in study.cells)
    return f"{'; '.join(parts)} ({counted(fitted, 'fit')} in {counted(len(study.cells), 'cell')})."


def _families(count: int) -> str:
    return "1 family" if count == 1 else f"{count} families"


def _facts(study: Study) -> tuple[Fact, ...]:
    last = "last checkpoint" if study.tail == 1 else f"last {1 - study.tail:.0%} of training"
    statuses: dict[str, int] = {}
    for cell in study.cells:
        statuses[cell.status] = statuses.get(cell.status, 0) + 1
    return (
        Fact("target", f"the largest size of each family, its {last}"),
        Fact("error", "forecast over measured, minus one; skill is one minus the error over that "
             "of the better naive rule"),
        *(Fact(f"policy {i}" if len(study.policies) > 1 else "policy", str(policy))
          for i, policy in enumerate(study.policies, start=1)),
        Fact("cells", ", ".join(f"{n} {status}" for status, n in statuses.items())),
    )  # fmt: skip


def _caveats(study: Study, widest: Sequence[Cell]) -> tuple[str, ...]:
    found = [f"{name} is left out: {why}" for name, why in study.skipped.items()]
    if len(found) > 3:
        few = ", ".join(list(study.skipped)[:3])
        found = [
            f"{len(study.skipped)} families are left out, such as {few}: fewer than three sizes, "
            "or no loss in nats. --json says why for each."
        ]
    if open_ := [c.family for c in widest if c.status == "not identified"]:
        names = list(dict.fromkeys(open_))
        found.append(
            f"The constants of {_families(len(names))} are not determined by the fitted runs "
            f"({', '.join(names[:3])}{' and others' if len(names) > 3 else ''}); those errors "
            "could as well have been others."
        )
    if len(widest) > _MOST_ROWS:
        rows = len(widest) - _MOST_ROWS
        found.append(
            f"{counted(rows, 'row')} {'is' if rows == 1 else 'are'} not shown; --json and --out "
            "have all."
        )
    return (*study.warnings, *found)


def _figure(study: Study, scored: Sequence[Cell]) -> FigureSpec | None:
    """Error of each setting and of the better naive rule, one row per family."""
    best: dict[str, float] = {}
    for cell in scored:
        best[cell.family] = min(best.get(cell.family, float("inf")), cell.mean_abs_error or 0.0)
    families = sorted(best, key=lambda name: best[name])[:_MOST_DRAWN]
    if not families:
        return None
    place = {name: float(i) for i, name in enumerate(families)}
    drawn = [c for c in scored if c.family in place and (c.mean_abs_error or 0.0) > 0]
    naive = {c.family: c.naive_error for c in drawn if c.naive_error}
    series = [
        Series(mark="points", x=tuple(naive.values()), y=tuple(place[n] for n in naive),
               role="quiet", label="better naive rule"),
    ]  # fmt: skip
    for setting in study.settings:
        own = [c for c in drawn if (c.law, c.objective, c.policy) == setting]
        label = setting_name(study, setting)
        for open_ in (False, True):
            cells = [c for c in own if c.is_identified is not open_]
            if cells:
                series.append(
                    Series(mark="points", x=tuple(c.mean_abs_error or 0.0 for c in cells),
                           y=tuple(place[c.family] for c in cells), hollow=open_, group=label,
                           label=f"{label}, open" if open_ else label)
                )  # fmt: skip
    title = "Held-out error of the largest model by family"
    return FigureSpec(
        title,
        "Each row is a family, its law fitted to all smaller models; left of the grey mark the law "
        "beats both naive rules. Hollow marks are fits whose constants the runs do not determine.",
        (
            Panel(
                title,
                Axis("mean absolute error", "", "log", "percent"),
                Axis("family", scale="category", categories=tuple(families)),
                tuple(series),
            ),
        ),
    )


def cheapest_card(study: Study, found: Sequence[Cheapest]) -> Card:
    """The cheapest design that would have come within each threshold, in hindsight."""
    rows = []
    for answer in found:
        cell = answer.cell
        rows.append(
            (
                answer.family, answer.threshold,
                *((cell.models, cell.share, cell.scale_up, cell.fitted_flops, cell.mean_abs_error,
                   setting_name(study, (cell.law, cell.objective, cell.policy)))
                  if cell else (None, None, None, None, answer.closest, "none came so near")),
            )
        )  # fmt: skip
    return Card(
        title="Cheapest designs, in hindsight",
        conclusion=_cheapest_conclusion(found),
        facts=(
            Fact("hindsight", "which design comes near is known only once the target is trained: "
                 "a lower limit of what a forecast costs, no advice"),
        ),
        table=Table(
            (
                Column("family", format="code"), Column("within", format="percent"),
                Column("models", format="integer"), Column("share of training", format="percent"),
                Column("scale-up", format="factor"), Column("fitted", "FLOP", "flops"),
                Column("mean |error|", format="percent"), Column("setting"),
            ),
            tuple(rows[: 2 * _MOST_ROWS]),
        ),
    )  # fmt: skip


def _cheapest_conclusion(found: Sequence[Cheapest]) -> str:
    families = {answer.family for answer in found}
    if not found:
        return "No family could be studied."
    parts = []
    for threshold in dict.fromkeys(answer.threshold for answer in found):
        near = [a for a in found if a.threshold == threshold and a.cell is not None]
        costs = [a.cell.fitted_flops for a in near if a.cell and a.cell.fitted_flops]
        least = f" (median cost {format_flops(median(costs))} FLOP)" if costs else ""
        parts.append(f"{len(near)} within {percent(threshold)}{least}")
    return f"Of {_families(len(families))}, some design came, in hindsight: {'; '.join(parts)}."


def means_card(study: Study, by_models: Sequence[Mean], by_scale: Sequence[Mean]) -> Card:
    """Mean errors over families by number of models and by scale-up factor."""
    rows = tuple(
        (
            "models" if mean.by == "models" else "scale-up", mean.bin,
            setting_name(study, (mean.law, mean.objective, mean.policy)), mean.families,
            mean.mean_abs_error, mean.best_seen_error, mean.most_compute_error,
        )
        for mean in (*by_models, *by_scale)
    )  # fmt: skip
    return Card(
        title="Means over families",
        conclusion=_means_conclusion(by_models),
        facts=(Fact("mean", "of each family's own mean, at the largest share of training; families "
                    "differ from row to row"),),
        table=Table(
            (
                Column("by"), Column("bin"), Column("setting"),
                Column("families", format="integer"),
                Column("mean |error|", format="percent"), Column("best seen", format="percent"),
                Column("most compute", format="percent"),
            ),
            rows,
        ),
    )  # fmt: skip


def _means_conclusion(means: Sequence[Mean]) -> str:
    if not means:
        return "Nothing could be scored."
    setting = (means[0].law, means[0].objective, means[0].policy)
    own = [m for m in means if (m.law, m.objective, m.policy) == setting]
    first, last = own[0], own[-1]
    text = (
        f"With {first.bin} model{'' if first.bin == '1' else 's'} the mean error over "
        f"{_families(first.families)} is {percent(first.mean_abs_error)}"
    )
    if last is not first:
        text += (
            f", with {last.bin} it is {percent(last.mean_abs_error)} over "
            f"{_families(last.families)}"
        )
    gain = last.best_seen_error / last.mean_abs_error if last.mean_abs_error else float("inf")
    return f"{text}; the best loss seen misses by {gain:.3g} times as much."
