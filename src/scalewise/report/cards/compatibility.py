"""Whether constants stated elsewhere agree with the runs at hand, told."""

from __future__ import annotations

from collections.abc import Mapping

from scalewise.core.quantities import level_text
from scalewise.fit.likelihood import Compatibility
from scalewise.report.card import Card, Column, Fact, Table

_UNLIKELY = 0.05


def compatibility_card(found: Mapping[str, Compatibility], level: float = _UNLIKELY) -> Card:
    """Each set of stated constants, by its name, against the fit to the same runs."""
    refused = [name for name, one in found.items() if one.likelihood_ratio_p < level]
    kept = [name for name in found if name not in refused]
    first = next(iter(found.values()))
    said = []
    if kept:
        said.append(f"The runs do not speak against {', '.join(kept)}.")
    if refused:
        said.append(
            f"The runs refuse {', '.join(refused)}: losses this far off would come by chance in "
            f"less than {level_text(level)} of such experiments."
        )
    return Card(
        title="Constants stated elsewhere",
        conclusion=" ".join(said),
        facts=(
            Fact("rests on", f"{first.runs} runs, {first.law}"),
            Fact("distance", "of the constants from the fitted ones, by the resamples' covariance"),
            Fact("ratio", "twice the log-likelihood that the fit gains, scaled to chi-squared"),
        ),
        table=Table(
            (
                Column("constants", format="code"),
                Column("mean residual", "nats/token", "number"),
                Column("ratio", format="number"), Column("p of ratio", format="number"),
                Column("distance", format="number"), Column("p of distance", format="number"),
                Column("degrees", format="integer"),
            ),
            tuple(
                (name, one.mean_residual, one.likelihood_ratio, one.likelihood_ratio_p,
                 one.distance, one.distance_p, one.degrees)
                for name, one in found.items()
            ),
        ),
        caveats=tuple(f"{name}: {text}" for name, one in found.items() for text in one.warnings),
    )  # fmt: skip
