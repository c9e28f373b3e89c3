from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from scalewise.core.errors import RunDataError, ScalewiseError, UsageError
from scalewise.sources.logs.gather import gather
from scalewise.sources.logs.mapping import corrections_from, read_corrections
from scalewise.sources.logs.propose import proposal
from scalewise.sources.logs.read import read_logs
from tests.sources.logs.damage import samples
from tests.sources.logs.wandb_files import history, run, write_run


def test_a_proposal_is_a_mapping_that_changes_nothing(tmp_path: Path) -> None:
    for name, data in samples().items():
        path = tmp_path / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    path = tmp_path / "mapping.toml"
    path.write_text(proposal(gather(tmp_path / "logs", every_metric=True)))
    told = read_corrections(path)
    assert told.columns
    before = read_logs(tmp_path / "logs").frame
    after = read_logs(tmp_path / "logs", mapping=path).frame
    assert before.equals(after)


def test_lines_that_are_off_in_a_proposal_may_be_switched_on(tmp_path: Path) -> None:
    write_run(tmp_path, "abc", [run("abc", "odd \"name\"\n[x]", {"n_params": 1e6}),
                                history(1, {"val/loss": 1.0, "cost": 2.0})])  # fmt: skip
    text = proposal(gather(tmp_path, every_metric=True))
    assert "cost" in text
    on = "\n".join(line.removeprefix("# ") if line.startswith(("# [runs", "# params = 1"))
                   else line for line in text.splitlines())  # fmt: skip
    assert tomllib.loads(on)["runs"] == {'odd "name"\n[x]': {"params": 1000000}}


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"column": {}}, "Did you mean 'columns'"),
        ({"columns": {"los": "x"}}, "'los', which is no column"),
        ({"columns": {"loss": 3}}, "loss = 3"),
        ({"columns": "x"}, "not a table"),
        ({"constants": {"loss": 3}}, "each row has its own"),
        ({"constants": {"params": "many"}}, "params"),
        ({"constants": {"params": [1]}}, "is not a number"),
        ({"runs": {"a": 3}}, "a = 3, not a table"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(tree: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        corrections_from(tree)


def test_a_mapping_of_runs_that_are_not_there_is_told(tmp_path: Path) -> None:
    write_run(tmp_path, "abc", [history(1, {"val/loss": 1.0})])
    with pytest.raises(ScalewiseError, match="runs 'x', which are not there"):
        read_logs(tmp_path, mapping={"runs": {"x": {"params": 1e6}}})


def test_a_file_that_is_no_toml_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text("[columns\n")
    with pytest.raises(RunDataError, match=r"mapping\.toml is not TOML"):
        read_corrections(path)


def test_a_proposal_keeps_the_units_and_the_runs_of_a_table(tmp_path: Path) -> None:
    rows = [(n, 4 - n / 10, n / 2, n) for n in range(1, 5)]
    names = ("step", "val_loss", "tokens_B", "total_petaflops")
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "m.jsonl").write_text("\n".join(lines) + "\n")
    path = tmp_path / "mapping.toml"
    path.write_text(proposal(gather(tmp_path / "logs", every_metric=True)))
    assert 'flops = "total_petaflops"' in path.read_text()
    before = read_logs(tmp_path / "logs").frame
    assert before.equals(read_logs(tmp_path / "logs", mapping=path).frame)
    assert before["flops"].to_list() == [1e15, 2e15, 3e15, 4e15]


def test_a_metric_that_a_run_table_calls_otherwise_is_proposed_as_a_comment(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n100,3.5\n200,3.0\n")
    (tmp_path / "table.csv").write_text("run_id,params,tokens,loss\na,1e6,2e7,3.5\nb,2e6,4e7,3.1\n")
    text = proposal(gather(tmp_path, every_metric=True))
    assert '\n# train_loss = "loss"' in text
    path = tmp_path.parent / f"{tmp_path.name}.toml"
    path.write_text(text)
    assert read_logs(tmp_path, mapping=path).frame.equals(read_logs(tmp_path).frame)
