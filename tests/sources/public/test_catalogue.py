"""The registry as a whole: names, facts, and runs by name from kept files."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path

import polars as pl
import pytest

import scalewise as sw
from scalewise.core.errors import RunDataError, UsageError
from scalewise.runs.columns import COLUMNS
from scalewise.sources.download import is_kept, kept_path
from scalewise.sources.public import catalogue
from scalewise.sources.public.catalogue import (
    MODULES,
    PUBLIC,
    absent_files,
    public_data,
    public_runs,
    public_table,
)
from scalewise.sources.public.entry import PublicData, RawFile, Table, github_file
from scalewise.sources.public.unread import UNREAD
from tests.shared_data import FOLDER, shared_table

SOURCE = Path(catalogue.__file__).parent
NOT_A_SOURCE = {"__init__", "catalogue", "entry", "frame_pickle", "stored_objects", "unread"}
# ColPret's own table holds more families than have a pinned file; its test compares the rows.
TABLES = [(name, table) for name in MODULES if name != "colpret" for table in PUBLIC[name].tables]
# Where a table is named here after what its rows are.
TIDIED = {
    ("misfitting", "checkpoints"): "runs_v2", ("misfitting", "finals"): "runs_v1",
    ("olmo_ladder", "losses"): "losses_ladder", ("olmo_ladder", "downstream"): "downstream_ladder",
}  # fmt: skip
OF_RUNS = [(name, table) for name, table in TABLES if PUBLIC[name].tables[table].are_runs]


def tidied_table(name: str, table: str) -> pl.DataFrame:
    return pl.read_parquet(shared_table(f"{name}/{TIDIED.get((name, table), table)}.parquet"))


def test_every_source_has_its_module_and_every_module_is_listed() -> None:
    assert {path.stem for path in SOURCE.glob("*.py")} - NOT_A_SOURCE == set(MODULES)
    assert not set(MODULES) & set(UNREAD)
    assert list(MODULES) == sorted(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_an_entry_says_whose_the_data_are_and_pins_every_file(name: str) -> None:
    data = PUBLIC[name]
    assert data.key == name
    for told in (data.title, data.citation, data.licence, data.units):
        assert told.strip()
    assert re.search(r"20\d\d", data.citation)
    assert data.url.startswith("https://")
    assert data.pins
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", pin) for pin in data.pins)
    for file in data.files:
        assert file.url.startswith("https://raw.githubusercontent.com/")
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.bytes > 0
    for table in data.tables.values():
        assert set(table.needs) <= {file.name for file in data.files}
        assert set(table.mapping) <= set(COLUMNS)
    if "none stated" in data.licence or "no licence" in data.licence:
        assert not data.permissive


@pytest.mark.parametrize("name", [name for name in MODULES if name != "colpret"])
def test_the_pinned_files_are_those_the_tidied_tables_came_from(name: str) -> None:
    import json

    path = FOLDER / name / "SOURCES.json"
    if not path.exists():
        pytest.skip(f"the sources of {name} are not beside this checkout")
    theirs = {
        (s["sha256"], s["bytes"], f"https://raw.githubusercontent.com/{s['repo']}/{s['commit']}")
        for s in json.loads(path.read_text())["sources"]
    }
    ours = {(f.sha256, f.bytes, "/".join(f.url.split("/")[:6])) for f in PUBLIC[name].files}
    assert ours <= theirs  # a file that no table is made from is not fetched


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_rows_and_runs_of_an_entry_are_those_of_the_tidied_table(name: str, table: str) -> None:
    entry = PUBLIC[name].tables[table]
    tidied = tidied_table(name, table)
    assert entry.rows == tidied.height
    counted = tidied["run_id"].n_unique() if "run_id" in tidied.columns else None
    assert entry.runs == counted


@pytest.mark.parametrize(("name", "table"), OF_RUNS)
def test_every_table_of_runs_is_read_as_one(name: str, table: str) -> None:
    data = PUBLIC[name]
    tidied = tidied_table(name, table)
    runs = catalogue.as_runs(data, table, tidied)
    assert len(runs) == tidied.height
    assert runs.source.startswith(f"public:{name}/{table} (")
    assert re.search(r"@[0-9a-f]{7}\b", runs.source)
    assert data.units in runs.assumptions


def test_listing_imports_no_source_and_no_table_library() -> None:
    import subprocess

    code = (
        "import sys; from scalewise.sources.public.catalogue import PUBLIC; list(PUBLIC); "
        "print([m for m in sys.modules if m == 'polars' or m.endswith('.chinchilla_epoch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": str(SOURCE.parents[2])})  # fmt: skip
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "near"), [("chinchila", "chinchilla_epoch"), ("gpt3_curve", "gpt3_curves")]
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"There is no public data set '{name}'") as caught:
        public_data(name)
    assert f"Did you mean '{near}'?" in caught.value.hint


@pytest.mark.parametrize("name", UNREAD)
def test_a_set_that_is_not_offered_says_why(name: str) -> None:
    with pytest.raises(UsageError, match="is known and not offered: it is published as"):
        public_data(name)


def test_an_unknown_table_is_answered_with_the_tables_there_are() -> None:
    with pytest.raises(UsageError, match="steplaw has no table 'dens'") as caught:
        public_runs("steplaw", "dens")
    assert caught.value.hint == "Did you mean 'dense'? It has dense, moe."


def test_a_table_that_is_not_of_runs_is_not_read_as_runs() -> None:
    with pytest.raises(RunDataError, match="porian_isoflop/optima is not a table of runs"):
        public_runs("porian_isoflop", "optima")


CSV = b"run_id,params,tokens,loss,lr\na,1000000,20000000,3.5,0.01\nb,2000000,40000000,3.2,0.02\n"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PublicData:
    """A data set of one kept file in the place of a published one."""
    from hashlib import sha256

    monkeypatch.setenv("SCALEWISE_DATA", str(tmp_path))
    pinned = github_file("some/where", "a" * 40, "runs.csv", len(CSV), sha256(CSV).hexdigest())
    data = PublicData(
        key="steplaw", title="T", citation="C 2024", url="https://x", licence="MIT",
        permissive=True, units="params: all", files=(pinned,),
        tables={"runs": Table(parse=lambda files: pl.read_csv(files["runs.csv"]), rows=2, runs=2)},
        default_table="runs",
    )  # fmt: skip
    module = importlib.import_module("scalewise.sources.public.steplaw")
    monkeypatch.setattr(module, "DATA", data)
    return data


def keep(file: RawFile) -> None:
    path = kept_path(file)
    path.parent.mkdir(parents=True)
    path.write_bytes(CSV)


def test_runs_by_name_are_read_from_kept_files_without_a_network(small: PublicData) -> None:
    keep(small.files[0])
    assert is_kept(small.files[0])
    runs = sw.public_runs("steplaw")
    assert runs.source == "public:steplaw/runs (some/where@aaaaaaa)"
    assert runs.column("lr_peak").tolist() == [0.01, 0.02]
    assert runs.assumptions[0] == "params: all"
    assert runs.has("flops")


def test_without_leave_to_download_a_missing_file_says_how_to_get_it(small: PublicData) -> None:
    assert absent_files(small) == small.files
    with pytest.raises(RunDataError, match="1 of the 1 files of steplaw/runs are not in") as caught:
        public_runs("steplaw", download=False)
    assert "scalewise data get steplaw --table runs" in caught.value.hint


def test_a_parser_that_loses_rows_is_found_out(
    small: PublicData, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(small.files[0])
    table = small.tables["runs"]
    object.__setattr__(table, "rows", 3)
    with pytest.raises(RunDataError, match="was read as 2 rows; it has 3") as caught:
        public_table("steplaw")
    assert "please report it" in caught.value.hint


def test_an_entry_with_two_files_of_one_name_is_refused(small: PublicData) -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="two raw files have one name"):
        replace(small, files=small.files * 2)
    with pytest.raises(ValueError, match="is none of its tables"):
        replace(small, default_table="other")


def test_no_source_module_imports_another_reader_of_tables_at_its_top() -> None:
    for path in SOURCE.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        tops = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name for node in tops for alias in node.names}
        assert not names & {"polars", "numpy", "pandas"}, path.name
