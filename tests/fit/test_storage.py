"""Fits as files: what is written comes back to the bit, and what is not a fit is refused."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import LawError, RunDataError
from scalewise.fit import storage
from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult, Rival
from scalewise.fit.storage import fit_data, read_fit, write_fit
from scalewise.laws.catalogue import PUBLISHED
from tests.fit.simulated_runs import simulated

PARAMS, TOKENS = np.array([1e8, 7e9, 7e10]), np.array([1e10, 2e12, 1.4e12])


def combined() -> FitResult:
    leader, other = (fit(law, simulated(), bootstrap=30) for law in ("chinchilla", "overtraining"))
    rivals = (Rival(weight=1 / 3, result=other),)
    return leader.combined_with(rivals, weight=2 / 3, spread=1.37)


FITS = {
    "one law": lambda: fit("chinchilla", simulated(), bootstrap=30),
    "laws combined": combined,
    "a formula of the user": lambda: fit(
        "E + A * N**-a * (1 + k / D**b)", simulated(), objective="ls-log", bootstrap=30
    ),
    "bounds and fixed constants": lambda: fit(
        "chinchilla", simulated(), bounds={"alpha": (0, 0.2)}, fixed={"E": 1.6}, bootstrap=30
    ),
    "no resamples": lambda: fit("chinchilla", simulated(), objective="lad-log", bootstrap=0),
    "not identified": lambda: fit(
        "power", {"params": [1e7, 1e7, 1e8, 1e8], "loss": [3.5, 3.51, 3.0, 3.01]}
    ),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("fit") / "fit.json"
    write_fit(combined(), path)
    return dict(json.loads(path.read_text()))


@pytest.mark.parametrize("made", FITS.values(), ids=FITS.keys())
def test_a_fit_comes_back_from_its_file_to_the_last_bit(made: Any, tmp_path: Path) -> None:
    result = made()
    write_fit(result, tmp_path / "fit.json")
    again = read_fit(tmp_path / "fit.json")
    for field in fields(FitResult):
        before, after = getattr(result, field.name), getattr(again, field.name)
        if field.name in ("draws", "correlation", "observed", "weights", "cluster"):
            np.testing.assert_array_equal(after, before)
        elif field.name not in ("law", "inputs", "rivals"):
            assert after == before, field.name
    before, after = (r.predict(params=PARAMS, tokens=TOKENS) for r in (result, again))
    for name in ("value", "low", "high"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_array_equal(again.residuals, result.residuals)
    write_fit(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "fit.json").read_bytes()


def test_the_law_comes_back_with_its_units_and_bounds(tmp_path: Path) -> None:
    result = fit("error-exponential", {"loss": [2.5, 3, 4, 5], "error": [0.5, 0.6, 0.75, 0.8]})
    write_fit(result, tmp_path / "fit.json")
    law = read_fit(tmp_path / "fit.json").law
    assert law.constants == result.law.constants
    assert (law.quantity, law.source, law.key) == ("error", result.law.source, result.law.key)
    assert law.unit("gamma") == result.law.unit("gamma")


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_set_of_constants_reads_as_a_fit(name: str) -> None:
    result = read_fit(name)
    assert dict(result.theta) == dict(PUBLISHED[name][1].theta)
    assert result.source.startswith("published: ")
    assert result.intervals() == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("besiroglu2042", r"No published constants are named 'besiroglu2042'\. Did you mean"),
        ("chinchilla", r"'chinchilla' is a law, not a set.*Published for it: hoffmann2022"),
    ],
)
def test_a_name_that_is_no_set_of_constants_is_refused(name: str, text: str) -> None:
    with pytest.raises(LawError, match=text):
        read_fit(name)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", r"fit\.json cannot be read as a fit.*Give the file that scalewise fit --out wrote"),
        (b"\xff\xfe\x00", r"cannot be read as a fit"),
        (b"params,tokens,loss\n1,2,3\n", r"cannot be read as a fit"),
        (b"[1, 2]", r"has schema 'None', not 'scalewise\.fit/1'\. Give the file"),
        (b'{"schema": "scalewise.fit/99"}', r"has schema 'scalewise\.fit/99', not"),
        (b'{"schema": "scalewise.fit/1"}', r"is damaged: KeyError at 'certificate'.*Fit again"),
        (b"[" * 100_000, r"cannot be read as a fit"),
        (b'{"schema": "' + b"x" * 10_000 + b'"}', r"has schema 'x{40}', not"),
    ],
    ids=["empty", "binary", "a table", "a list", "a later schema", "hollow", "deep", "long"],
)
def test_a_file_that_is_no_fit_is_refused(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "fit.json").write_bytes(content)
    with pytest.raises(RunDataError, match=text):
        read_fit(tmp_path / "fit.json")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDataError, match=r"There is no file .*nothing\.json\..*or a name from"):
        read_fit(tmp_path / "nothing.json")
    with pytest.raises(RunDataError, match=r"cannot be read as a fit.*or a name from"):
        read_fit(tmp_path)


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_BYTES", 10)
    (tmp_path / "fit.json").write_text("{" + " " * 10)
    with pytest.raises(RunDataError, match=r"fit\.json has 11 bytes, more than any fit file"):
        read_fit(tmp_path / "fit.json")


_KEYS = [f.name for f in fields(FitResult)]
_LATER = (
    "weights",
    "cluster",
    "penalty",
    "provenance",
    "tasks",
    "stages",
    "calibration",
    "policy",
    "facts",
)  # parts that files of the first release do not have


def test_a_file_of_the_first_release_is_still_read(written: dict[str, Any], tmp_path: Path) -> None:
    older = {k: v for k, v in written.items() if k not in _LATER}
    (tmp_path / "fit.json").write_text(json.dumps(older))
    assert read_fit(tmp_path / "fit.json").tasks == {}


@pytest.mark.parametrize("key", [k for k in _KEYS if k not in _LATER])
def test_a_file_without_one_of_its_parts_is_damaged(
    key: str, written: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "fit.json").write_text(json.dumps({k: v for k, v in written.items() if k != key}))
    with pytest.raises(RunDataError, match=r"is damaged: KeyError.*Fit again"):
        read_fit(tmp_path / "fit.json")


@pytest.mark.parametrize("key", [k for k in _KEYS if k not in ("resampling", "source", "sha256")])
@pytest.mark.parametrize("value", [None, 3, "three", [[1, "two"]], {"x": []}], ids=repr)
def test_a_part_of_another_kind_is_either_refused_or_harmless(
    key: str, value: Any, written: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "fit.json").write_text(json.dumps({**written, key: value}))
    try:
        result = read_fit(tmp_path / "fit.json")
    except RunDataError as error:
        assert "is damaged" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(result.predict(params=1e9, tokens=1e10).value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("formula", "__import__('os').system('true')"),
        ("formula", "E + A / N**alpha"),
        ("variables", {"N": "params", "D": "params"}),
        ("quantity", 7),
    ],
)
def test_a_law_that_was_tampered_with_is_refused(
    key: str, value: Any, written: dict[str, Any], tmp_path: Path
) -> None:
    record = {**written, "law": {**written["law"], key: value}}
    (tmp_path / "fit.json").write_text(json.dumps(record))
    with pytest.raises(RunDataError, match=r"is damaged.*Fit again"):
        read_fit(tmp_path / "fit.json")


def test_an_objective_that_does_not_exist_is_refused(
    written: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "fit.json").write_text(json.dumps({**written, "objective": ["mse", 1.0]}))
    with pytest.raises(RunDataError, match=r"is damaged.*No objective is named 'mse'"):
        read_fit(tmp_path / "fit.json")


def test_the_json_data_of_a_fit_has_the_agreed_keys() -> None:
    result = combined()
    data = fit_data(result, level=0.8)
    assert {"law", "theta", "objective", "status", "points", "runs", "intervals"} <= set(data)
    assert data["status"] == "converged"
    assert set(data["objective"]) == {"name", "delta", "value"}
    assert data["intervals"]["alpha"] == list(result.intervals(0.8)["alpha"])
    assert [m["law"] for m in data["combined"]] == ["chinchilla", "overtraining"]
    assert data["units"]["A"] == "nats/token * params**alpha"
