from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalewise.sources.logs.detect import detect
from scalewise.sources.logs.readers import READERS
from tests.sources.logs.damage import damaged, read_all, samples, watched

SAMPLES = samples()


def placed(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_one_that_a_reader_claims(name: str, tmp_path: Path) -> None:
    placed(tmp_path, name, SAMPLES[name])
    assert detect(tmp_path, READERS).units or name.endswith(".safetensors")
    read_all(tmp_path)


@settings(max_examples=150, deadline=5000, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(sorted(SAMPLES)), seed=st.integers(0, 2**32))
def test_damaged_logs_are_read_or_told_and_nothing_else_is_touched(name: str, seed: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        placed(folder, "tb/events.out.tfevents.1.host", SAMPLES["tb/events.out.tfevents.1.host"])
        placed(folder, name, damaged(SAMPLES[name], random.Random(seed)))  # noqa: S311
        with watched(folder) as touched:
            read_all(folder)
        assert not touched


def test_the_watch_sees_a_file_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x")
    (tmp_path / "inside").mkdir()
    with watched(tmp_path / "inside") as touched:
        outside.read_text()
    assert touched == [f"open {outside}"]
