"""Checks along a run: repeated rows, spikes, divergence, tails that rise, unfinished models."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from scalewise.runs.health.finding import (
    Finding,
    Findings,
    Mask,
    Values,
    finals_mask,
    numbers,
    rows_of,
    told,
)
from scalewise.runs.table import RunTable

FEWEST_POINTS = 5
# A rise counts when it exceeds both a share of the loss and what the curve's own noise explains.
SPIKE, DIVERGED, TAIL = 0.05, 0.10, 0.005
NOISE_WIDTHS = 6.0
# No recipe makes a larger model, trained longer, half as bad again as a smaller one.
OUTLIER = 1.5
DIVERGED_OUTLIER = 2.0
_MAD_TO_SIGMA = 1.4826


def duplicates(table: RunTable) -> Findings:
    """Rows written twice, as after a restart from an earlier checkpoint."""
    earlier = table.overwritten()
    if earlier.any():
        runs = np.asarray(table.text("run_id"))
        yield Finding(
            severity="warning", name="duplicate rows", rows=rows_of(earlier),
            fact=f"{earlier.sum()} rows of {len(set(runs[earlier]))} runs repeat the "
            f"{', '.join(table.key)} of a later row: {told(earlier, runs)}.",
            mend=".deduplicated() keeps the last of each, as after a restart; if they are "
            "different runs, give each its own run_id.",
        )  # fmt: skip


def spikes(table: RunTable) -> Findings:
    """Points far above the curve before them that come down again."""
    found = np.zeros(len(table), dtype=bool)
    loss = numbers(table, "loss")
    for rows, curve in _curves(table):
        rise, noise = _rise(curve), _noise(curve)
        high = rise > np.maximum(SPIKE * (curve - rise), NOISE_WIDTHS * noise)
        # The last stretch above the minimum is a tail, which has its own checks.
        settled = np.flatnonzero(~high)
        found[rows[: settled[-1] + 1]] |= high[: settled[-1] + 1]
    if found.any() and loss is not None:
        yield Finding(
            severity="warning", name="loss spikes", rows=rows_of(found),
            fact=f"{found.sum()} checkpoints stand far above an earlier loss of their run: "
            f"{told(found, loss)}.",
            mend="Leave them out of a trajectory fit; finished models are unaffected.",
        )  # fmt: skip


def diverged_status(table: RunTable) -> Findings:
    """Runs that say themselves that they failed."""
    if not table.has("status"):
        return
    status = np.asarray(table.text("status"))
    bad = np.array([any(w in s.casefold() for w in ("diverg", "nan", "fail")) for s in status])
    if bad.any():
        # A condition on the status would leave out the runs of which none is known as well.
        is_plain = bool(((status == "ok") | bad).all())
        mend = ".where(\"status == 'ok'\")" if is_plain else ".without([...])"
        yield Finding(
            severity="error", name="diverged status", rows=rows_of(bad),
            fact=f"The status says that the run failed: {told(bad, status)}; "
            f"{_runs(table, bad)}.",
            mend=f"Leave them out: {mend}.",
        )  # fmt: skip


def divergence(table: RunTable) -> Findings:
    """Runs that end well above a loss they had reached, and tails that merely rise."""
    loss = numbers(table, "loss")
    gone = np.zeros(len(table), dtype=bool)
    rising = np.zeros(len(table), dtype=bool)
    for rows, curve in _curves(table):
        rise, noise = _rise(curve)[-1], _noise(curve)
        if rise > max(DIVERGED * (curve[-1] - rise), NOISE_WIDTHS * noise):
            gone[rows[-1]] = True
        elif rise > max(TAIL * (curve[-1] - rise), NOISE_WIDTHS * noise):
            rising[rows[-1]] = True
    if loss is None:
        return
    if gone.any():
        yield Finding(
            severity="error", name="diverged runs", rows=rows_of(gone),
            fact=f"{gone.sum()} runs end more than {DIVERGED:.0%} above their own best loss: "
            f"{told(gone, loss)}; {_runs(table, gone)}.",
            mend="Leave them out with .without([...]); they do not show what their size can do.",
        )  # fmt: skip
    if rising.any():
        yield Finding(
            severity="warning", name="rising tails", rows=rows_of(rising),
            fact=f"{rising.sum()} runs end above a loss they had reached: {told(rising, loss)}; "
            f"{_runs(table, rising)}.",
            mend="Repeated data, a rate too high or a noisy evaluation; look at the curves before "
            "fitting the ends.",
        )  # fmt: skip


def outlying_finals(table: RunTable) -> Findings:
    """Finished models far worse than a smaller one with fewer tokens: diverged or mistuned."""
    loss, tokens = numbers(table, "loss"), numbers(table, "tokens")
    params = numbers(table, "params" if table.has("params") else "params_nonembed")
    if loss is None or params is None or tokens is None:
        return
    usable = finals_mask(table) & np.isfinite(loss) & np.isfinite(params) & np.isfinite(tokens)
    usable &= (loss > 0) & (tokens > 0)
    found = np.zeros(len(table), dtype=bool)
    best = np.full(len(table), np.inf)
    for group in _comparable(table):
        rows = np.flatnonzero(usable & group)
        best[rows] = _best_below(params[rows], tokens[rows], loss[rows])
    found[usable] = loss[usable] > OUTLIER * best[usable]
    if found.any():
        ratio = np.divide(loss, best, out=np.ones_like(loss), where=found)
        yield Finding(
            severity="error" if ratio.max() >= DIVERGED_OUTLIER else "warning",
            name="diverged or mistuned runs", rows=rows_of(found),
            fact=f"{found.sum()} finished models lose at least {OUTLIER} times what a model no "
            f"larger reached on no more tokens: {told(found, loss)}, up to "
            f"{ratio.max():.2g} times; {_runs(table, found)}.",
            mend="They diverged or had a poor learning rate; leave them out with .where('loss < "
            "...') or .without([...]).",
        )  # fmt: skip


def unfinished_among_finals(table: RunTable) -> Findings:
    """Checkpoints of running models lie above what the same budget gives a finished one."""
    final = finals_mask(table)
    annealed = numbers(table, "is_annealed")
    if annealed is not None:
        hot = final & (annealed == 0)
        if hot.any() and (final & (annealed == 1)).any():
            yield Finding(
                severity="warning", name="unannealed finals", rows=rows_of(hot),
                fact=f"{hot.sum()} of {final.sum()} finished models were not annealed: "
                f"{told(hot, table.text('run_id'))}.",
                mend="Fit one kind: .where('is_annealed').",
            )  # fmt: skip
    tokens, loss = numbers(table, "tokens"), numbers(table, "loss")
    trained = ~final if tokens is None else ~final & (tokens > 0)
    if loss is not None:  # a row without a loss ends nothing, and is told elsewhere
        trained &= np.isfinite(loss)
    if trained.any():
        trained &= ~table.overwritten()
    if final.any() and trained.any():
        yield Finding(
            severity="warning", name="unfinished checkpoints among finals", rows=rows_of(trained),
            fact=f"{trained.sum()} of {len(table)} rows are checkpoints before a run's end; under "
            "a decaying learning rate their loss lies above a finished model's.",
            mend="For laws of finished models use .finals(); trajectory laws want them all.",
        )  # fmt: skip


def _curves(table: RunTable) -> Iterator[tuple[NDArrayInt, Values]]:
    """Rows and losses of each run on each evaluation set, in order of tokens.

    Decayed ends of a trunk are no part of its curve.
    """
    loss = numbers(table, "loss")
    order = numbers(table, "tokens")
    order = numbers(table, "step") if order is None else order
    if loss is None or order is None:
        return
    usable = np.isfinite(loss) & np.isfinite(order) & (loss > 0)
    annealed = numbers(table, "is_annealed")
    branch = np.zeros(len(table)) if annealed is None else np.nan_to_num(annealed)
    keys = table.frame.select("run_id", "eval_set").with_row_index("_row")
    parts = keys.group_by("run_id", "eval_set", maintain_order=True).agg("_row")["_row"]
    parts = parts.filter(parts.list.len() >= FEWEST_POINTS)
    ends = np.cumsum(parts.list.len().to_numpy())
    for rows in np.split(parts.explode().to_numpy().astype(np.int64), ends[:-1]):
        rows = rows[usable[rows]]
        if branch[rows].any() and not branch[rows].all():
            rows = rows[branch[rows] == 0]
        if len(rows) >= FEWEST_POINTS:
            rows = rows[np.argsort(order[rows], kind="stable")]
            yield rows, loss[rows]


NDArrayInt = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def _rise(curve: Values) -> Values:
    """Height of each point above the lowest before it, at least 0."""
    return np.asarray(curve - np.minimum.accumulate(curve))


def _noise(curve: Values) -> float:
    """Standard deviation of a point, from second differences, which a smooth curve has not."""
    second = np.diff(curve, n=2)
    if not len(second):
        return 0.0
    # A second difference of independent noise has six times its variance.
    return float(_MAD_TO_SIGMA * np.median(np.abs(second)) / np.sqrt(6.0))


def _comparable(table: RunTable) -> Iterator[Mask]:
    """Rows measured alike: one evaluation set, corpus and tokenizer at a time."""
    names = [n for n in ("eval_set", "corpus", "tokenizer", "family") if table.has(n)]
    rows = table.frame.select(names).with_row_index("_row")
    for _, part in rows.group_by(names, maintain_order=True):
        mask = np.zeros(len(table), dtype=bool)
        mask[part["_row"].to_numpy()] = True
        yield mask


def _best_below(params: Values, tokens: Values, loss: Values) -> Values:
    """The least loss of any run with no more params and no more tokens."""
    best = np.full(len(loss), np.inf)
    # The lowest losses so far as a staircase: losses fall strictly as tokens rise.
    steps: list[float] = []
    least: list[float] = []
    by_size = np.argsort(params, kind="stable")
    starts = np.flatnonzero(np.diff(params[by_size])) + 1
    for rows in np.split(by_size, starts):
        for row in rows:
            _lower(steps, least, float(tokens[row]), float(loss[row]))
        for row in rows:
            best[row] = least[bisect_right(steps, tokens[row]) - 1]
    return best


def _lower(steps: list[float], least: list[float], tokens: float, loss: float) -> None:
    """Enter a point in the staircase, in place; what it undercuts goes."""
    place = bisect_right(steps, tokens)
    if place and least[place - 1] <= loss:
        return
    first = place - 1 if place and steps[place - 1] == tokens else place
    last = place
    while last < len(least) and least[last] >= loss:
        last += 1
    steps[first:last] = [tokens]
    least[first:last] = [loss]


def _runs(table: RunTable, mask: Mask) -> str:
    names = np.asarray(table.text("run_id"))
    first = np.zeros(len(names), dtype=bool)
    first[np.unique(np.where(mask, names, ""), return_index=True)[1]] = True
    return f"runs: {told(mask & first, names, most=3)}"
