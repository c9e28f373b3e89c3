"""Forecasts, best sizes and advice in worlds whose truth is known, which public runs never are.

    python benchmarks/synthetic_worlds.py [--seeds 4] [forecast] [allocate] [additions]

A world is a law with noise and a design of runs: grids, isoFLOP cuts, curves, one ratio, few sizes,
odd models, heavy tails, repeated data. No world had a say in any setting of the package but what is
told of one more run (``REFOUND`` in plan/additions.py), which is the last part's result.
"""

from __future__ import annotations

import argparse
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import scalewise as sw
from scalewise.core.errors import ScalewiseError
from scalewise.plan.advice import advise

Array = np.ndarray[Any, np.dtype[Any]]
Truth = Callable[[Array, Array], Array]
Columns = Mapping[str, Array]

SIZES, RATIOS = (3e7, 1e9), (10.0, 20.0, 60.0)
TARGET = (7e9, 1.4e11)  # params, tokens
BUDGET = 1e22  # FLOP to split
LAWS = {
    "hoffmann": (1.69, 406.4, 410.7, 0.34, 0.28),
    "besiroglu": (1.8172, 482.01, 2085.43, 0.3478, 0.3658),
    "low floor": (0.8, 200.0, 300.0, 0.3, 0.25),
    "high floor": (2.4, 900.0, 1500.0, 0.38, 0.33),
    "steep": (1.5, 5e3, 8e3, 0.5, 0.42),
    "flat": (1.2, 60.0, 40.0, 0.2, 0.17),
    "no floor": (0.0, 30.0, 30.0, 0.12, 0.11),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A truth, runs of it, and what is asked; ``law`` names its constants where it is additive."""

    kind: str
    truth: Truth
    params: Array
    tokens: Array
    target: tuple[float, float] = TARGET
    noise: float = 0.003
    heavy: bool = False
    odd: float = 0.0  # by which the loss of the middle size is off
    curve: float | None = None  # checkpoints, this much above the annealed loss; None: finals alone
    unique: float | None = None
    law: str = ""

    def runs(self, seed: int) -> dict[str, Array]:
        """The columns of a run table."""
        rng = np.random.default_rng(seed)
        count = len(self.params)
        scatter = rng.standard_t(3, count) / np.sqrt(3) if self.heavy else rng.normal(size=count)
        off = np.exp(self.noise * scatter)
        sizes = np.unique(self.params)
        off[self.params == sizes[len(sizes) // 2]] *= 1 + self.odd
        if self.curve is not None:
            return self._curves(off, rng)
        columns = {"params": self.params, "tokens": self.tokens}
        if self.unique:
            columns["tokens_unique"] = np.minimum(self.tokens, self.unique)
        return {**columns, "loss": self.truth(self.params, self.tokens) * off}

    def _curves(self, off: Array, rng: np.random.Generator) -> dict[str, Array]:
        share = np.geomspace(1 / 200, 1, 20)
        params, tokens = self.params[:, None] + 0 * share, self.tokens[:, None] * share
        above = 1 + (self.curve or 0.0) * (1 - share) * np.minimum(1, 5 * share)
        points = np.exp(0.002 * rng.normal(size=params.shape) * (share < 1))
        loss = self.truth(params, tokens) * above * off[:, None] * points
        return {
            "run_id": np.repeat([f"r{i}" for i in range(len(off))], len(share)),
            "params": params.ravel(), "tokens": tokens.ravel(), "loss": loss.ravel(),
            "is_final": np.tile(share == 1, len(off)),
        }  # fmt: skip


def additive(E: float, A: float, B: float, alpha: float, beta: float) -> Truth:
    return lambda N, D: E + A / N**alpha + B / D**beta


def kaplan(N: Array, D: Array) -> Array:
    return np.asarray(((6.4e13 / N) ** (0.076 / 0.103) + 1.8e13 / D) ** 0.103)


def broken(at: float) -> Truth:
    """The size term falls more steeply beyond a size."""
    plain = additive(*LAWS["besiroglu"])
    return lambda N, D: plain(N, D) - 482 / N**0.3478 * (1 - (1 + (N / at) ** (10 / 3)) ** -0.045)


def repeating(unique: float) -> Truth:
    """Repeated tokens are worth less (Muennighoff et al. 2023)."""
    plain = additive(*LAWS["besiroglu"])

    def truth(N: Array, D: Array) -> Array:
        again = np.maximum(D / unique - 1, 0)
        return plain(N, np.minimum(D, unique) + unique * 15.39 * (1 - np.exp(-again / 15.39)))

    return truth


def grid(count: int, ratios: tuple[float, ...] = RATIOS) -> dict[str, Array]:
    params = np.repeat(np.geomspace(*SIZES, count), len(ratios)).round()
    return {"params": params, "tokens": (params * np.tile(ratios, count)).round()}


def isoflop(cuts: int) -> dict[str, Array]:
    flops, ratio = np.meshgrid(np.geomspace(1e18, 1e20, cuts), np.geomspace(8, 60, 7))
    params = np.sqrt(flops / 6 / ratio).ravel().round()
    return {"params": params, "tokens": (params * ratio.ravel()).round()}


def same_tokens(count: int) -> dict[str, Array]:
    return {"params": np.geomspace(*SIZES, count).round(), "tokens": np.full(count, 3e10)}


def worlds() -> dict[str, World]:
    usual = World(kind="grid", truth=additive(*LAWS["besiroglu"]), law="besiroglu", **grid(6))
    found = {
        f"grid, {name}": replace(usual, truth=additive(*constants), law=name)
        for name, constants in LAWS.items()
    }
    found |= {f"{n} sizes": replace(usual, kind=f"{n} sizes", **grid(n)) for n in (3, 4, 5, 8)}
    one = {n: replace(usual, kind="one ratio", **grid(n, (20.0,))) for n in (4, 5, 6, 8)}
    found |= {f"one ratio, {n} sizes": world for n, world in one.items()}
    found["one ratio, kaplan"] = replace(one[6], truth=kaplan, law="")
    found["one ratio, asked at 500"] = replace(
        one[6], kind="one ratio, asked at another", target=(3e9, 1.5e12)
    )
    found |= {f"noise {s:g}": replace(usual, kind="noise", noise=s) for s in (0.001, 0.005, 0.01)}
    found["heavy tails"] = replace(usual, kind="heavy tails", noise=0.005, heavy=True)
    found |= {f"odd {o:g}": replace(usual, kind="odd model", odd=o) for o in (0.02, 0.05)}
    found |= {
        f"reach {times:g}": replace(usual, kind="reach", target=(1e9 * times, 2e10 * times))
        for times in (2.0, 10.0, 30.0, 100.0)
    }
    found["kaplan"] = replace(usual, kind="kaplan", truth=kaplan, law="")
    found |= {f"isoflop {n}": replace(usual, kind="isoflop", **isoflop(n)) for n in (3, 4, 6)}
    found["broken beyond"] = replace(usual, kind="broken", truth=broken(2e9), law="")
    found["broken within"] = replace(usual, kind="broken", truth=broken(2e8), law="")
    found["curves"] = replace(one[6], kind="curves", curve=0.0)
    found["curves, cosine"] = replace(usual, kind="curves", curve=0.03)
    tied = replace(usual, kind="same tokens", target=(7e9, 3e10), **same_tokens(6))
    found["same tokens"], found["same tokens, curves"] = tied, replace(tied, curve=0.03)
    found["repeats"] = replace(usual, kind="repeats", truth=repeating(2e10), unique=2e10, law="")
    return found


def seed_of(name: str, seed: int) -> int:
    return zlib.crc32(f"{name} {seed}".encode())


def forecast(seeds: int) -> None:
    """How often the interval of ``auto`` held the noise-free loss of the target."""
    rows = defaultdict(list)
    for name, world in worlds().items():
        params, tokens = world.target
        exact = float(world.truth(np.array(params), np.array(tokens)))
        for seed in range(seeds):
            result = sw.fit("auto", world.runs(seed_of(name, seed)), bootstrap=100, seed=seed)
            for label, fit in (
                ("calibrated", result),
                ("stated", replace(result, calibration=None)),
            ):
                told = fit.predict(params=params, tokens=tokens)
                low, value, high = (float(v) for v in (told.low, told.value, told.high))
                rows[world.kind, label].append(
                    (low <= exact <= high, high / low - 1, value / exact - 1)
                )
    table("forecast of 7B params from 30M to 1B, unless said", rows)


def allocate(seeds: int) -> None:
    """How often the interval of the best size held it, at ten and more times the fitted compute."""
    rows = defaultdict(list)
    for name, world in worlds().items():
        if not world.law or world.kind.startswith(("one", "same", "reach")):
            continue
        _, A, B, alpha, beta = LAWS[world.law]
        best = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
        best *= (BUDGET / 6) ** (beta / (alpha + beta))
        for law in ("auto", "chinchilla"):
            for seed in range(seeds):
                try:
                    fit = sw.fit(law, world.runs(seed_of(name, seed)), bootstrap=100, seed=seed)
                    size = sw.allocate(fit, BUDGET).params
                except ScalewiseError:
                    continue
                held = size.low <= best <= size.high
                rows[law, world.kind].append(
                    (held, size.high / size.low - 1, size.value / best - 1)
                )
                rows[law, "all"].append(rows[law, world.kind][-1])
    table(f"best params for {BUDGET:g} FLOP", rows)


def additions(seeds: int) -> None:
    """What one more run does to the interval, against what was promised before it."""
    promised, found = [], []
    for name, world in worlds().items():
        if not world.law or world.curve is not None or world.kind.startswith(("one", "same")):
            continue
        params, tokens = world.target
        for seed in range(seeds):
            runs = world.runs(seed_of(name, seed))
            rng = np.random.default_rng(seed)
            result = sw.fit("chinchilla", runs, bootstrap=150, seed=seed)
            for one in advise(result, runs, params=params, tokens=tokens).added:
                at = {"params": one.params, "tokens": one.tokens}
                loss = world.truth(*(np.array(v) for v in at.values()))
                at["loss"] = float(loss * np.exp(world.noise * rng.normal()))
                more = {column: np.append(values, at[column]) for column, values in runs.items()}
                again = sw.fit("chinchilla", more, bootstrap=150, seed=seed)
                told = again.predict(params=params, tokens=tokens)
                before = result.predict(params=params, tokens=tokens)
                promised.append(one.half_width)
                halves = [float(np.log(p.high / p.low)) / 2 for p in (told, before)]
                found.append(halves)
    half, before = np.array(found).T
    ratio = half / np.array(promised)
    ends = ", ".join(f"{v:.2f}" for v in np.quantile(ratio, (0.05, 0.5, 0.95)))
    print(f"\n{len(ratio)} runs added: half width found over promised, 5, 50 and 95 %: {ends}; "
          f"wider than before in {np.mean(half > before):.0%}")  # fmt: skip


def table(title: str, rows: Mapping[tuple[str, str], list[tuple[bool, float, float]]]) -> None:
    print(f"\n{title}\n{'':40} {'cases':>6} {'inside 90 %':>12} {'width':>9} {'|error|':>9}")
    for (first, second), values in sorted(rows.items()):
        held, width, error = np.array(values, dtype=float).T
        print(f"{f'{first}, {second}':40} {len(held):6} {held.mean():12.1%} "
              f"{np.median(width):9.1%} {np.median(np.abs(error)):9.2%}")  # fmt: skip
    for label in sorted({second for _, second in rows} & {"calibrated", "stated"}):
        every = np.array([v for (_, s), values in rows.items() if s == label for v in values])
        print(f"{f'all, {label}':40} {len(every):6} {every[:, 0].mean():12.1%} "
              f"{np.median(every[:, 1]):9.1%} {np.median(np.abs(every[:, 2])):9.2%}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=4)
    parts = {"forecast": forecast, "allocate": allocate, "additions": additions}
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    options = parser.parse_args()
    for part in options.parts or parts:
        parts[part](options.seeds)


if __name__ == "__main__":
    main()
