"""The list of checks, and the function that runs them."""

from __future__ import annotations

from collections.abc import Callable

from scalewise.runs.health.agreement import (
    flops_against_6nd,
    nonembed_against_total,
    overflowed_flops,
    tokens_against_steps,
)
from scalewise.runs.health.coverage import (
    curves_without_runs,
    few_sizes,
    identical_rows,
    mixtures,
    one_value,
)
from scalewise.runs.health.curves import (
    diverged_status,
    divergence,
    duplicates,
    outlying_finals,
    spikes,
    unfinished_among_finals,
)
from scalewise.runs.health.finding import Finding, Findings
from scalewise.runs.health.values import (
    bits_as_loss,
    boundless_counts,
    impossible_values,
    lopsided_counts,
    perplexity_as_loss,
    required_columns,
    scaled_counts,
)
from scalewise.runs.table import RunTable

CHECKS: tuple[Callable[[RunTable], Findings], ...] = (
    required_columns,
    impossible_values,
    perplexity_as_loss,
    bits_as_loss,
    scaled_counts,
    boundless_counts,
    lopsided_counts,
    tokens_against_steps,
    overflowed_flops,
    flops_against_6nd,
    nonembed_against_total,
    duplicates,
    diverged_status,
    divergence,
    outlying_finals,
    spikes,
    mixtures,
    unfinished_among_finals,
    few_sizes,
    one_value,
    curves_without_runs,
    identical_rows,
)

_ORDER = ("error", "warning", "note")


def check_health(table: RunTable) -> tuple[Finding, ...]:
    """Everything that the checks found, errors first.

    >>> from scalewise.runs.read import read_runs
    >>> runs = read_runs({"params": [70.5, 160, 410], "tokens": [3e11] * 3, "loss": [3, 2.7, 2.5]})
    >>> [f.name for f in check_health(runs) if f.severity == "error"]
    ['params in millions or billions']
    """
    found = [finding for check in CHECKS for finding in check(table)]
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity)))
