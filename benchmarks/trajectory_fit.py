"""Joint fits of loss curves: CPU time, accuracy by Monte Carlo, alarms of a live run.

OMP_NUM_THREADS=1 python benchmarks/trajectory_fit.py [REPETITIONS]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from fit_speed import cpu, machine

from scalewise.fit.engine import fit
from scalewise.forecast.contours import batch_contours
from scalewise.forecast.estimate import DELTA, fit_trajectory
from scalewise.forecast.on_track import on_track
from scalewise.forecast.trajectory import CONSTANTS, Trajectory
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

# Kaplan et al. 2020, appendix A, with the step law of table 3.
TRUTH = Trajectory(N_c=8.8e13, alpha_N=0.076, S_c=2.1e3, alpha_S=0.76, B_star=2.1e8, alpha_B=0.21)
SIZES = (1e6, 2e6, 4e6, 8e6, 1.6e7, 3.2e7, 6e7)
SCANNED = 8e6
BATCHES = tuple(2.0 ** np.arange(15, 24))
BATCH = 2.0**19
STEPS = (1e3, 2.5e5)  # with them the spreads of the reference come out
# An independent Monte Carlo of 20 repetitions found these standard deviations, each to a sixth, by
# noise per point and per run.
EXPECTED = {
    (0.002, 0.001): (3.6e-4, 0.08, 3.4e-3, 0.004, 0.0020, 0.0031, 0.0023, 0.09, 0.045),
    (0.005, 0.002): (8.8e-4, 0.22, 5.9e-3, 0.007, 0.0048, 0.0075, 0.0056, 0.19, 0.09),
}
ALARMED = ((0.002, 0.001), (0.001, 0.003), (0.0005, 0.004))  # noise per point and per run
NAMES = (
    "alpha_N", "log N_c", "alpha_S", "log S_c", "log L_inf(1.5B)", "log L_inf(33B)",
    "log L(33B, 1e5, 2**22)", "log B_star", "log B_crit(2.3)",
)  # fmt: skip


def curves(
    *, point: float, run: float, seed: int, points: int = 40, path: Trajectory = TRUTH,
    designs: tuple[tuple[float, float], ...] = (),
) -> RunTable:  # fmt: skip
    """Curves of seven sizes and of a scan of nine batches, with noise per point and per run."""
    rng = np.random.default_rng(seed)
    ladder = [(N, BATCH) for N in SIZES] + [(SCANNED, B) for B in BATCHES if B != BATCH]
    step = np.round(np.geomspace(*STEPS, points))
    columns: dict[str, list[Any]] = {
        name: [] for name in ("run_id", "params_nonembed", "batch_tokens", "step", "loss")
    }
    for i, (N, B) in enumerate(designs or ladder):
        off = run * rng.standard_normal() + point * rng.standard_normal(points)
        loss = np.asarray(path.loss(N, step, B)) * np.exp(off)
        values: tuple[Any, ...] = ([f"run-{i}"] * points, [N] * points, [B] * points, step, loss)
        for name, column in zip(columns, values, strict=True):
            columns[name].extend(column)
    return read_runs(columns)


def answers(path: Trajectory) -> Array:
    """The quantities of the reference, those of scale in logs."""
    return np.array(
        [
            path.alpha_N,
            np.log(path.N_c),
            path.alpha_S,
            np.log(path.S_c),
            np.log(path.floor(1.5e9)),
            np.log(path.floor(33e9)),
            np.log(path.loss(33e9, 1e5, 2**22)),
            np.log(path.B_star),
            np.log(path.critical_batch(2.3)),
        ]
    )


def accuracy(repetitions: int) -> None:
    for (point, run), expected in EXPECTED.items():
        found = np.array(
            [
                answers(
                    Trajectory.from_fit(
                        fit(
                            "trajectory", curves(point=point, run=run, seed=seed), rows="all",
                            delta=DELTA, bootstrap=0,
                        )
                    )
                )
                for seed in range(repetitions)
            ]
        )  # fmt: skip
        off, sd = found.mean(axis=0) - answers(TRUTH), found.std(axis=0, ddof=1)
        print(f"\nnoise {point:.1%} per point, {run:.1%} per run, {repetitions} repetitions")
        for name, value, mean, other in zip(NAMES, sd, off, expected, strict=True):
            print(f"  {name:24} sd {value:.2e}, reference {other:.2e}, bias {mean:+.1e}")


def coverage(repetitions: int) -> None:
    """How often intervals of 90 % hold the truth."""
    truth, held = answers(TRUTH), []
    for seed in range(repetitions):
        table = curves(point=0.002, run=0.001, seed=1000 + seed)
        result = fit("trajectory", table, rows="all", delta=DELTA, bootstrap=200, seed=seed)
        drawn = np.array([answers(draw) for draw in one_by_one(Trajectory.from_fit(result))])
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        held.append((low <= truth) & (truth <= high))
    print(f"\n90 % intervals of {repetitions} fits hold the truth")
    for name, share in zip(NAMES, np.mean(held, axis=0), strict=True):
        print(f"  {name:24} {share:.0%}")


def alarms(repetitions: int) -> None:
    """A run of 1B that obeys the law, judged at step 40,000 of 250,000."""
    print(f"\nrun of the law, {repetitions} repetitions, bands and intervals of 90 %")
    for point, run in ALARMED:
        found = []
        for seed in range(repetitions):
            table = curves(point=point, run=run, seed=3000 + seed, points=20)
            result = fit("trajectory", table, rows="all", delta=DELTA, bootstrap=60, seed=seed)
            live = curves(point=point, run=run, seed=4000 + seed, designs=((1e9, 2.0**20),))
            judged = on_track(result, live.where("step < 40000"), until=STEPS[1])
            end, told = float(live.column("loss")[-1]), judged.projected
            found.append(
                (judged.has_left, judged.false_alarm, 1 - judged.outside.mean(),
                 told.low <= end <= told.high)
            )  # fmt: skip
        gone, said, inside, covered = np.mean(found, axis=0)
        print(
            f"  noise {point:.2%} per point, {run:.2%} per run: gone for good {gone:.1%}, told "
            f"{said:.1%}; points inside {inside:.1%}; projected end inside {covered:.1%}"
        )


def one_by_one(path: Trajectory) -> list[Trajectory]:
    """Each draw as a trajectory of its own."""
    return [Trajectory(**dict(zip(CONSTANTS, draw.tolist(), strict=True))) for draw in path.draws]


def speed() -> None:
    designs = tuple([(N, BATCH) for N in np.geomspace(1e6, 6e7, 12)] + [
        (SCANNED, B) for B in 2.0 ** np.arange(15, 23)
    ])  # fmt: skip
    table = curves(point=0.002, run=0.001, seed=0, points=60, designs=designs)
    print(f"{len(table)} points of {table.run_count} runs")

    def joint(bootstrap: int) -> Callable[[], Any]:
        return lambda: fit("trajectory", table, rows="all", delta=DELTA, bootstrap=bootstrap)

    alone = [cpu(joint(0))[0] for _ in range(5)]
    both = cpu(joint(200))[0]
    print(f"joint fit            {median(alone):7.2f} s, median of 5")
    print(f"200 resamples        {both - median(alone):7.2f} s")
    print(f"contours of a scan   {cpu(lambda: batch_contours(table))[0]:7.2f} s")
    print(f"all stages           {cpu(lambda: fit_trajectory(table))[0]:7.2f} s, three forms")
    step = np.geomspace(100, 1e6, 10_000)
    for batch in (2.0**13, 2.0**19):
        times = [cpu(lambda B=batch: TRUTH.loss(1.5e9, step, B))[0] for _ in range(21)]
        print(f"10,000 losses        {1e3 * median(times):7.2f} ms at batch {batch:g}")


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print(machine())
    speed()
    accuracy(repetitions)
    coverage(repetitions)
    alarms(repetitions)


if __name__ == "__main__":
    main()
