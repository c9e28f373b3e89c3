"""Everything one page knows, as data: JSON for what is shown, JavaScript for the laws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scalewise.core.compute import ACCELERATORS
from scalewise.core.errors import UnfitDataError
from scalewise.core.records import to_json
from scalewise.fit.result import FitResult
from scalewise.forecast.backtest import Backtest
from scalewise.report.cards.unfit import unfit_card
from scalewise.report.interactive.doubts import doubts
from scalewise.report.interactive.fit_facts import fit_facts
from scalewise.report.interactive.javascript import evaluators
from scalewise.report.interactive.mixture import LEVELS, Shelf, mixtures
from scalewise.report.interactive.outlook import curve_law, downstream, leaderboard, plane
from scalewise.report.interactive.run_facts import effects, fitted_table, run_facts
from scalewise.runs.health import Finding
from scalewise.runs.table import RunTable

SCHEMA = "scalewise.page/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What the page's scripts are given: ``data`` as JSON, the module ``laws`` as source."""

    data: Mapping[str, Any]
    laws: str = field(default_factory=lambda: evaluators(()))

    @property
    def json(self) -> str:
        """The data as JSON that may stand inside a ``<script>`` element."""
        text = to_json(self.data)
        for sign in "<>&\u2028\u2029":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        return text


def payload(
    result: FitResult | None = None,
    runs: RunTable | None = None,
    *,
    findings: Iterable[Finding] = (),
    tested: Backtest | None = None,
    level: float = 0.9,
    title: str = "Report",
    provenance: Mapping[str, object] | None = None,
    failure: UnfitDataError | None = None,
) -> Payload:
    """Everything known of a fit, of runs, or of both; screens without data say what they lack.

    ``failure`` is why the runs lead to no fit, where that was tried.

    ``level`` is the probability of every interval shown first; what the browser computes may be
    seen at 0.5, 0.8, 0.9 and 0.95 too.
    """
    shelf = Shelf()
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "title": title,
        "level": level,
        "levels": sorted({*LEVELS, level}),
        "provenance": dict(provenance or {}),
        "accelerators": [
            {"key": key, "name": chip.name, "peak": chip.peak_flops, "memory": chip.memory_bytes}
            for key, chip in ACCELERATORS.items()
        ],
    }
    if runs is not None:
        data["runs"] = run_facts(runs, findings)
    if result is not None:
        data |= _forecasts(result, runs, shelf, level)
    if failure is not None and runs is not None:
        card = unfit_card(runs, failure)
        data["unfit"] = {"fact": card.conclusion, "mend": " ".join(card.caveats)}
    if tested is not None:
        data["backtest"] = leaderboard(tested)
    return Payload(data=data, laws=evaluators(shelf.laws))


def _forecasts(
    result: FitResult, runs: RunTable | None, shelf: Shelf, level: float
) -> dict[str, Any]:
    behind = fitted_table(result, runs)
    names: tuple[str, ...] = ()
    influence = None
    if behind is not None:
        table, known = behind
        names = table.text("run_id") if known else ()
        influence = effects(result, table, level=level)
    blend, line = mixtures(result, shelf, level), plane(result, level=level)
    if line is None and not blend["unique"]:
        blend["trade"] = None  # the fit shows no price of size, or none of tokens
    return {
        "fit": fit_facts(result, level=level, run_ids=names),
        "doubts": doubts(result, blend),
        "mixtures": blend,
        "plane": line,
        "tasks": downstream(result, level=level),
        "curveLaw": curve_law(result),
        "effects": influence,
    }
