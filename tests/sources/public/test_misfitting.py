"""(Mis)Fitting: a table of checkpoints, and a spreadsheet of finished runs."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from scalewise.sources.public.misfitting import CHECKPOINTS, DATA, SHEET
from tests.sources.public.rebuilt import assert_same, published, shared, written

# No licence is stated: the layouts are the source's, the numbers are made up.
TABLE = (
    "loss,C4 Eval Loss,N,N_no_emb,D,C,C_no_emb,C_6ND,C_6ND_no_emb,portion_steps_elapsed,model,"
    "train_tokens,total_steps,current_steps,total_epochs,current_epoch,peak_lr,sweep"
)
ROWS = (
    "5.0,5.5,3000,1000,104857600,30000000000000000000,1,2,3,0.5,tiny,0,200,100,2,1,0.002,day1",
    "4.0,4.5,3000,1000,209715200,60000000000000000000,1,2,3,1.0,tiny,0,200,200,2,2,0.002,day1",
    "4.1,4.6,3000,1000,209715200,60000000000000000000,1,2,3,1.0,tiny,0,200,200,2,2,0.002,day1",
)
COLUMNS = ("Params", "total steps", "lr", "Avg Train Loss", "Max Train Loss", "C4 Eval PPL",
           "Wiki Eval PPL", "C4 Eval Loss", "Wiki Eval Loss", "C", "Approx_C_no_emb", "Approx_C",
           "D", "N_no_emb", "N", "total train ZFLOPs", "goal train tokens")  # fmt: skip


def sheet_line(**cells: str) -> str:
    return ",".join(cells.get(name.replace(" ", "_"), "") for name in COLUMNS)


def run_line(lr: str, loss: str) -> str:
    return sheet_line(lr=lr, C4_Eval_Loss=loss, Wiki_Eval_Loss="4.0", Avg_Train_Loss="3.0",
                      C="1.5E+19", D="1048576000", N_no_emb="1000", N="3000")  # fmt: skip


def sheet(folder: Path, *lines: str) -> pl.DataFrame:
    text = "\n".join((",".join(COLUMNS), *lines)) + "\n"
    return DATA.tables["finals"]({SHEET: written(folder, SHEET, text)})


def checkpoints(folder: Path) -> pl.DataFrame:
    text = "\n".join((TABLE, *ROWS)) + "\n"
    return DATA.tables["checkpoints"]({CHECKPOINTS: written(folder, CHECKPOINTS, text)})


def test_compute_beyond_64_bit_integers_is_read_as_a_float(tmp_path: Path) -> None:
    assert checkpoints(tmp_path)["flops"].to_list() == [3e19, 6e19, 6e19]


def test_a_repeated_step_gets_a_run_of_its_own(tmp_path: Path) -> None:
    table = checkpoints(tmp_path)
    name = "tiny|lr0.002|T200|day1"
    assert table["run_id"].to_list() == [name, name, f"{name}|rep1"]
    assert table["is_final"].to_list() == [False, True, True]
    assert table["loss"].to_list() == [5.5, 4.5, 4.6]


def test_a_sheets_horizon_holds_for_the_rates_below_it_and_not_for_the_next_size(
    tmp_path: Path,
) -> None:
    table = sheet(
        tmp_path,
        sheet_line(Params="12M"),
        sheet_line(total_steps='"1,000"'),
        run_line("1E-03", "4.0"),
        run_line("2E-03", "3.9"),
        sheet_line(Params="17M", total_steps="200"),
        run_line("1E-03", "5.0"),
        sheet_line(Params="7B"),
        sheet_line(lr="1E-03", N="3000"),
    )
    assert table.select("run_id", "step", "loss").rows() == [
        ("misfit-v1-12M-lr0.001-T1000.0", 1000.0, 4.0),
        ("misfit-v1-12M-lr0.002-T1000.0", 1000.0, 3.9),
        ("misfit-v1-17M-lr0.001-T200.0", 200.0, 5.0),
    ]


def test_the_published_table_made_again_to_the_byte_reads_as_the_tidied_one(tmp_path: Path) -> None:
    runs = shared("misfitting/runs_v2.parquet").with_columns(pl.col("data").str.strip_chars())
    rows = [
        (
            row["loss"], row["loss"], row["params"], row["params_nonembed"], row["tokens"],
            int(row["flops"]), int(row["flops_nonembed"]),
            # Whole numbers of any length: the largest of these outgrow 64 bits.
            6 * row["params"] * row["tokens"], 6 * row["params_nonembed"] * row["tokens"],
            row["portion_steps_elapsed"], row["model"], row["tokens"], row["total_steps"],
            row["step"], row["total_epochs"], row["current_epoch"], row["lr"], row["sweep"],
        )
        for row in runs.iter_rows(named=True)
    ]  # fmt: skip
    files = {CHECKPOINTS: published(tmp_path, DATA.files[0], TABLE.split(","), rows, "\n")}
    assert_same(DATA, "checkpoints", files, runs)


def test_a_sheet_rebuilt_from_the_tidied_table_reads_back_the_same(tmp_path: Path) -> None:
    runs = shared("misfitting/runs_v1.parquet")
    lines, size, steps = [",".join(COLUMNS)], None, None
    for row in runs.iter_rows(named=True):
        if row["size"] != size:
            size, steps = row["size"], None
            lines.append(sheet_line(Params=size))
        if row["total_steps"] != steps:
            steps = row["total_steps"]
            lines.append(sheet_line(total_steps=f'"{steps:,.0f}"'))
        lines.append(
            sheet_line(
                lr=f"{row['lr']:.0E}", Avg_Train_Loss=f"{row['train_loss_avg']:.3f}",
                C4_Eval_Loss=f"{row['loss']:.3f}", Wiki_Eval_Loss=f"{row['loss_wiki']:.3f}",
                C=f"{row['flops']:.2E}", D=f"{row['tokens']:.0f}", N=f"{row['params']:.0f}",
                N_no_emb=f"{row['params_nonembed']:.0f}",
            )
        )  # fmt: skip
    files = {SHEET: written(tmp_path, SHEET, "\n".join(lines) + "\n")}
    assert_same(DATA, "finals", files, runs)
