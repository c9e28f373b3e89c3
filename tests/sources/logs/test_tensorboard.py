from __future__ import annotations

import struct
from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.tensorboard import TensorBoardReader
from tests.sources.logs.tensorboard_files import (
    event,
    event_bytes,
    restart,
    scalar,
    tensor,
    write_events,
)
from tests.sources.logs.wandb_files import field

READER = TensorBoardReader()


def test_every_point_of_a_long_run_is_read(tmp_path: Path) -> None:
    path = write_events(tmp_path, (event(n, scalar("loss", float(n % 7))) for n in range(20_000)))
    assert READER.units(path) == [path]
    (log,) = READER.read(path)
    assert log.points["step"].to_list() == list(range(20_000))
    assert log.points["loss"].to_list() == [float(n % 7) for n in range(20_000)]
    assert log.run_id == tmp_path.as_posix()


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (field(1, 1) + field(5, struct.pack("<f", 2.5)), 2.5),
        (field(1, 2) + field(4, struct.pack("<d", 1e12 + 1)), 1e12 + 1),
        (field(1, 9) + field(10, 2**64 - 3), -3.0),
        (field(1, 14) + field(13, 0x4010), 2.25),
        (field(1, 19) + field(4, struct.pack("<e", 0.5)), 0.5),
        (field(1, 1), 0.0),
    ],
    ids=["float", "double content", "negative integer", "bfloat16", "half content", "left out"],
)
def test_a_scalar_in_a_tensor_is_read_in_its_type(
    tmp_path: Path, content: bytes, value: float
) -> None:
    (log,) = READER.read(write_events(tmp_path, [event(1, tensor("x", content))]))
    assert log.points["x"].to_list() == [value]


def test_text_and_larger_tensors_are_no_scalars(tmp_path: Path) -> None:
    several = field(1, 1) + field(2, field(2, field(1, 3))) + field(4, b"\0" * 12)
    words = field(1, 7) + field(8, b"hello")
    events = [event(1, tensor("h", several)), event(1, tensor("t", words)),
              event(2, scalar("loss", 1.0))]  # fmt: skip
    (log,) = READER.read(write_events(tmp_path, events))
    assert [name for name in log.points.columns if name != "wall_time"] == ["step", "loss"]


def test_a_restart_gives_up_what_lay_beyond_it(tmp_path: Path) -> None:
    events = [event(n, scalar("loss", float(n))) for n in range(1, 6)]
    (log,) = READER.read(write_events(tmp_path, [*events, restart(3), event(3, scalar("loss", 9))]))
    assert log.points.select("step", "loss").rows() == [(1, 1.0), (2, 2.0), (3, 9.0)]
    assert log.restart_step == 3


def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = event_bytes(event(n, scalar("loss", 1.0)) for n in range(1, 101))
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(whole[: len(whole) // 2])
    (log,) = READER.read(path)
    assert 40 < log.points.height < 60
    assert log.lost["truncated bytes"] > 0


def test_a_record_that_fails_its_checksum_is_left_out_and_counted(tmp_path: Path) -> None:
    data = bytearray(event_bytes(event(n, scalar("loss", 1.0)) for n in range(1, 101)))
    data[len(data) // 2 : len(data) // 2 + 3] = b"\xaa\xbb\xcc"
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(data)
    (log,) = READER.read(path)
    assert log.points["loss"].to_list() == [1.0] * 99
    assert log.lost == {"unreadable records": 1}


def test_a_record_larger_than_what_is_read_at_once_is_passed_over(tmp_path: Path) -> None:
    large = event(1, field(1, field(1, b"image") + field(4, bytes(2**20))))
    (log,) = READER.read(write_events(tmp_path, [large, event(2, scalar("loss", 2.0))]))
    assert log.points["loss"].to_list() == [2.0]
    assert not log.lost


def test_a_damaged_length_ends_the_reading_and_is_told(tmp_path: Path) -> None:
    first = event_bytes([event(1, scalar("loss", 1.0))])
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(first + b"\xff" * 200)
    (log,) = READER.read(path)
    assert log.points.height == 1
    assert log.lost == {"unreadable records": 1, "truncated bytes": 200}


def test_a_file_of_another_kind_is_not_claimed_and_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(b"not events")
    assert READER.units(path) == []
    with pytest.raises(RunDataError, match="holds no whole event"):
        READER.read(path)


def test_only_wanted_tags_are_kept(tmp_path: Path) -> None:
    path = write_events(tmp_path, [event(1, scalar("a", 1.0) + scalar("b", 2.0))])
    (log,) = READER.read(path, wanted=lambda name: name == "b")
    assert log.points["b"].to_list() == [2.0]
    assert "a" not in log.points.columns
