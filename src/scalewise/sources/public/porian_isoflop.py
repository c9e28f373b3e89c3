"""IsoFLOP points under fifteen conventions, from Kaplan's to Chinchilla's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from scalewise.core.errors import RunDataError
from scalewise.sources.public.entry import GET_ANEW, PublicData, Table, github_files
from scalewise.sources.public.frame_pickle import Column, Frame, read_frame_pickle

if TYPE_CHECKING:
    import polars as pl

PARTS = tuple(
    f"data/summary_df{part}.pickle.xz" for part in ("", "_owt2", "_att", "_kaplan_tuned_hparams")
)
CONVENTION = ("dataset", "hparams", "warmup", "decay", "param_count", "val")
METHODS = ("basic", "weighted", "bs_median", "bs_median_weighted")
FITTED = ("n_exponent", "n_coef", "n_r2", "t_exponent", "t_coef", "t_r2", "multiplier_exponent",
          "multiplier_coef", "multiplier_r2", "A", "E", "alpha")  # fmt: skip
CORPORA = MappingProxyType({"rw": "RefinedWeb", "owt2": "OpenWebText2"})


def _configurations(files: Mapping[str, Path]) -> Iterator[tuple[dict[str, str], dict[Any, Any]]]:
    """Each convention's name, word by word, with all that is stored under it."""
    import lzma

    for part in PARTS:
        with lzma.open(files[part]) as unpacked:
            frame = read_frame_pickle(unpacked, part)
        if not isinstance(frame, Frame):
            raise RunDataError(
                f"{part} holds a {type(frame).__name__}, not a table.", hint=GET_ANEW
            )
        for row in frame.rows():
            words = {name: str(row[name]) for name in CONVENTION}
            words["file"] = PurePosixPath(part).name.removesuffix(".pickle.xz")
            words["config"] = "/".join(words[name] for name in CONVENTION)
            yield words, row


def _inner(row: Mapping[Any, Any], *columns: str) -> Frame:
    """The table among a row's cells that has these columns."""
    for cell in row.values():
        if isinstance(cell, Frame) and set(columns) <= set(cell.columns):
            return cell
    raise RunDataError(
        f"No table with {', '.join(columns)} is stored beside {[*row][:8]}.", hint=GET_ANEW
    )


def isoflop_points(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per model and budget, losses read off the curves; a budget without is left empty."""
    import polars as pl

    rows: list[dict[str, Any]] = []
    for words, row in _configurations(files):
        for budget in _inner(row, "flops", "orig_n", "orig_t", "orig_loss").rows():
            points = zip(*(_values(budget[f"orig_{q}"]) for q in ("n", "t", "loss")), strict=True)
            rows += [
                _point(words, float(budget["flops"]), n, t, loss) for n, t, loss in points
            ] or [_point(words, float(budget["flops"]), None, None, None)]
    return pl.DataFrame(rows, infer_schema_length=None)


def _values(cell: Any) -> list[float]:
    """The numbers of a stored column; nothing where the authors stored none."""
    if isinstance(cell, Column):
        cell = cell.values
    return [float(value) for value in cell] if hasattr(cell, "__len__") else []


def _point(
    words: Mapping[str, str], flops: float, n: float | None, t: float | None, loss: float | None
) -> dict[str, Any]:
    return {
        "run_id": f"{words['config']}/N{'nan' if n is None else f'{n:.4g}'}",
        "family": "porian",
        "params": n,
        "tokens": t,
        "context_length": 2048,
        "schedule": words["decay"],
        "loss": loss,
        "eval_set": words["val"],
        "flops": flops,
        "data": CORPORA[words["dataset"]],
        # Only a cosine to the model's own end leaves a finished model at the budget.
        "is_final": words["decay"] == "chinchilla",
        **words,
    }


def optima(files: Mapping[str, Path]) -> pl.DataFrame:
    """The authors' optimum of each convention and budget."""
    import polars as pl

    taken = {"n_opt": "n", "d_opt": "t", "loss_opt": "loss", "n_opt_logstd": "n_star_std",
             "d_opt_logstd": "t_star_std", "loss_opt_std": "loss_star_std"}  # fmt: skip
    rows = []
    for words, row in _configurations(files):
        for budget in _inner(row, "flops", "n", "t", "loss", "n_star_std").rows():
            reached = budget["n"] is not None and budget["n"] == budget["n"]  # NaN differs
            rows.append(
                {"flops": float(budget["flops"])}
                | {name: words[name] for name in (*CONVENTION, "file")}
                | {k: float(budget[v]) if reached else None for k, v in taken.items()}
                | {"config": words["config"]}
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def author_fits(files: Mapping[str, Path]) -> pl.DataFrame:
    """The authors' power laws, each fitted in four ways."""
    import polars as pl

    rows = []
    for words, row in _configurations(files):
        for method in METHODS:
            fitted = row["fit_results"][method]
            rows.append(
                {name: words[name] for name in CONVENTION}
                | {"method": method}
                | {name: float(fitted[name]) for name in FITTED}
            )
    return pl.DataFrame(rows, infer_schema_length=None)


DATA = PublicData(
    key="porian_isoflop",
    title="IsoFLOP points under 15 conventions, 5M to 900M",
    citation="Porian, Wortsman, Jitsev, Schmidt & Carmon (2024), Resolving Discrepancies in "
    "Compute-Optimal Scaling of Language Models, NeurIPS, arXiv:2406.19146",
    url="https://github.com/formll/resolving-scaling-law-discrepancies",
    licence="MIT",
    permissive=True,
    units="params: as param_count says (kaplan: without embeddings; standard: with the head; "
    "attention: effective), flops accordingly; loss: nats/token, val says which",
    files=github_files(
        "formll/resolving-scaling-law-discrepancies",
        "0dc60d91b8a525858a3067fc9e4a46ff5374cc6f",
        (
            (PARTS[0], 1_287_320,
             "afbf07ec92d23182f56a44dd43599f2a7e9716fd70492fbc0a35f6093272b74f"),
            (PARTS[1], 1_342_912,
             "7aed67d1ad9bc1d7b0518e3814cee1129216b423b4538d4b724873dd670cff30"),
            (PARTS[2], 1_027_008,
             "40218b8320817bf3c34f82c57aaa28c53ccb5feb9bb3928ee6fc70868ac22af7"),
            (PARTS[3], 259_880,
             "09b6b91c9c6fa0e4c2684dcbed82475ee62d6c4fc60db5ca2ce5653b08f0ae55"),
        ),
    ),
    tables={
        "isoflop_points": Table(
            parse=isoflop_points, rows=1_748, runs=242, mapping={"params": "params"}
        ),
        "optima": Table(parse=optima, rows=177, runs=None, are_runs=False),
        "author_fits": Table(parse=author_fits, rows=60, runs=None, are_runs=False),
    },
    default_table="isoflop_points",
    notes=(
        "params counts differently by param_count: never mix two conventions in one fit.",
        "Three budgets have no point; their rows are kept, empty.",
        "Only the cosine runs to their own end (decay chinchilla) are finished models.",
        "The pickled files were not seen when this reader was written: their layout is inferred "
        "from the authors' own code. They are read without running anything in them.",
    ),
)  # fmt: skip
