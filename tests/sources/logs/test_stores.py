"""MLflow's and trackio's stores, made by hand; `formats` has them from the real tools."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs import sqlite
from scalewise.sources.logs.mlflow import LARGEST, MlflowReader
from scalewise.sources.logs.read import read_logs
from scalewise.sources.logs.sqlite import opened, tables
from scalewise.sources.logs.trackio import TrackioReader

MLFLOW = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR);
CREATE TABLE runs (run_uuid VARCHAR PRIMARY KEY, name VARCHAR, status VARCHAR, start_time BIGINT,
                   lifecycle_stage VARCHAR, experiment_id INTEGER);
CREATE TABLE metrics (key VARCHAR, value FLOAT, timestamp BIGINT, run_uuid VARCHAR, step BIGINT,
                      is_nan BOOLEAN);
CREATE TABLE params (key VARCHAR, value VARCHAR, run_uuid VARCHAR);
INSERT INTO experiments VALUES (1, 'ladder');
INSERT INTO runs VALUES ('r1', 'd12', 'FINISHED', 1, 'active', 1),
                        ('r2', 'd20', 'RUNNING', 2, 'active', 1), ('r3', 'x', 'FAILED', 3, 'deleted', 1);
INSERT INTO params VALUES ('batch_tokens', '1024', 'r1'), ('n_layer', '12', 'r1');
"""  # noqa: E501


def mlflow_db(path: Path, *points: tuple[str, float, int, str, int, int]) -> Path:
    with closing(sqlite3.connect(path)) as made:
        made.executescript(MLFLOW)
        made.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", points)
        made.commit()
    return path


def trackio_db(path: Path, *rows: tuple[str, int, object], wal: bool = False) -> Path:
    with closing(sqlite3.connect(path)) as made:
        if wal:
            made.execute("PRAGMA journal_mode = WAL")
        made.executescript(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, "
            "step INTEGER, metrics TEXT); CREATE TABLE configs (id INTEGER, run_name TEXT, "
            "config TEXT, created_at TEXT);"
        )
        made.execute("INSERT INTO configs VALUES (1, 'd12', ?, '')", ['{"batch_tokens": 1024}'])
        made.executemany(
            "INSERT INTO metrics (timestamp, run_name, step, metrics) "
            "VALUES ('2026-11-22T06:01:52+00:00', ?, ?, ?)",
            rows,
        )
        made.commit()
    return path


def test_nan_and_infinity_are_not_read_as_the_numbers_they_are_stored_as(tmp_path: Path) -> None:
    path = mlflow_db(
        tmp_path / "mlflow.db", ("val/loss", 3.0, 1000, "r1", 10, 0),
        ("val/loss", 0.0, 2000, "r1", 20, 1), ("val/loss", -LARGEST, 3000, "r1", 30, 0),
    )  # fmt: skip
    reader = MlflowReader()
    assert reader.units(path) == [path]
    first, second = reader.read(path)
    values = first.points["val/loss"].to_list()
    assert values[0] == 3.0
    assert math.isnan(values[1])
    assert values[2] == -math.inf
    assert first.points["wall_time"].to_list() == [1.0, 2.0, 3.0]
    assert (first.name, first.state, second.state) == ("d12", "finished", "running or crashed")


def test_of_points_at_one_step_the_latest_stamp_wins_and_the_others_are_counted(
    tmp_path: Path,
) -> None:
    path = mlflow_db(
        tmp_path / "mlflow.db", ("val/loss", 2.0, 9000, "r1", 10, 0),
        ("val/loss", 3.0, 1000, "r1", 10, 0),
    )  # fmt: skip
    table = read_logs(path)
    assert table.column("loss").tolist() == [2.0]
    assert table.column("tokens").tolist() == [10 * 1024]
    assert "lost: 1 overwritten points in 1 runs" in table.assumptions


def test_a_run_of_the_file_store_is_a_folder(tmp_path: Path) -> None:
    run = tmp_path / "mlruns" / "1" / "26b361b5"
    (run / "metrics" / "val").mkdir(parents=True)
    (run / "params").mkdir()
    (run / "meta.yaml").write_text("run_id: 26b361b5\nrun_name: f1\nstatus: 3\n")
    (run / "metrics" / "val" / "loss").write_text("1500 3.0 10\n2500 nan 20\nhalf a\n")
    (run / "params" / "batch_tokens").write_text("1024")
    (run / "metrics" / "link").symlink_to(tmp_path / "elsewhere")
    reader = MlflowReader()
    assert reader.units(run) == [run]
    assert reader.units(run.parent) == []
    (log,) = reader.read(run)
    assert log.points.columns == ["step", "val/loss", "wall_time"]
    assert log.points["val/loss"].to_list()[0] == 3.0
    assert log.config == {"batch_tokens": "1024"}
    assert (log.name, log.state, log.lost) == ("f1", "finished", {"unreadable records": 1})


def test_a_store_with_deleted_runs_only_says_so(tmp_path: Path) -> None:
    path = mlflow_db(tmp_path / "mlflow.db")
    with closing(sqlite3.connect(path)) as made:
        made.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
        made.commit()
    with pytest.raises(RunDataError, match="holds 3 deleted runs and no other"):
        MlflowReader().read(path)


def test_trackio_metrics_are_json_with_words_for_what_json_lacks(tmp_path: Path) -> None:
    path = trackio_db(
        tmp_path / "ladder.db", ("d12", 0, '{"val/loss": 3.0, "n": {"a": 1}, "t": "x"}'),
        ("d12", 10, b'{"val/loss": "NaN", "b": true}'), ("d12", 20, "{half"),
        ("d20", 10, '{"val/loss": "-Infinity"}'),
    )  # fmt: skip
    reader = TrackioReader()
    assert reader.units(path) == [path]
    first, second = reader.read(path)
    assert first.points.columns == ["step", "val/loss", "n.a", "wall_time"]
    assert first.points["step"].to_list() == [0, 10]
    assert math.isnan(first.points["val/loss"].to_list()[1])
    assert first.config == {"batch_tokens": 1024}
    assert first.lost == {"unreadable records": 1}
    assert second.points["val/loss"].to_list() == [-math.inf]


def test_a_store_that_is_being_written_is_read_with_its_log_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    path = trackio_db(tmp_path / "live.db", wal=True)
    with closing(sqlite3.connect(path)) as live:
        live.execute("PRAGMA wal_autocheckpoint = 0")
        live.execute(
            "INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES ('', 'd12', 5, ?)",
            ['{"val/loss": 2.0}'],
        )
        live.commit()
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        (log,) = TrackioReader().read(path)
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert log.points["val/loss"].to_list() == [2.0]


def test_a_store_that_was_closed_is_left_without_new_files(tmp_path: Path) -> None:
    path = trackio_db(tmp_path / "closed.db", ("d12", 1, '{"val/loss": 2.0}'), wal=True)
    assert TrackioReader().read(path)[0].points.height == 1
    assert [p.name for p in tmp_path.iterdir()] == ["closed.db"]


def test_a_truncated_store_is_read_as_far_as_it_goes_or_told(tmp_path: Path) -> None:
    rows = [("d12", step, json.dumps({"val/loss": 1.0 + step})) for step in range(5000)]
    path = trackio_db(tmp_path / "cut.db", *rows)
    path.write_bytes(path.read_bytes()[:200_000])
    try:
        logs = TrackioReader().read(path)
    except RunDataError as error:
        assert "cannot be read as SQLite" in error.message  # noqa: PT017 - either is right
    else:
        assert 0 < logs[0].points.height < 5000


def test_a_view_is_no_table_and_an_endless_query_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trap.db"
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    with closing(sqlite3.connect(path)) as made:
        made.execute(
            f"CREATE VIEW metrics AS {endless} SELECT i AS run_name, i AS step, "  # noqa: S608
            "'{}' AS metrics, '' AS timestamp FROM n"
        )
        made.commit()
    assert "metrics" not in tables(path)
    assert TrackioReader().units(path) == []
    monkeypatch.setattr(sqlite, "_MOST_CALLS", 2)
    with pytest.raises(RunDataError, match="interrupted"), opened(path) as connection:
        connection.execute(f"{endless} SELECT sum(i) FROM n").fetchall()  # noqa: S608


def test_other_databases_and_texts_called_db_are_not_claimed(tmp_path: Path) -> None:
    text, other = tmp_path / "a.db", tmp_path / "b.db"
    text.write_bytes(b"SQLite format 3\0 and no more")
    with closing(sqlite3.connect(other)) as made:
        made.execute("CREATE TABLE metrics (a INTEGER)")
        made.commit()
    for path in (text, other, tmp_path / "none.db"):
        assert MlflowReader().units(path) == []
        assert TrackioReader().units(path) == []
