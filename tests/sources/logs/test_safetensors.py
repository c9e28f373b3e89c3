from __future__ import annotations

import json
from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.read import read_logs
from scalewise.sources.logs.safetensors import counts_beside, tensor_sizes
from tests.sources.logs.wandb_files import history, write_run


def write_weights(path: Path, **shapes: list[int]) -> Path:
    header = json.dumps({
        "__metadata__": {"format": "pt"},
        **{name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]}
           for name, shape in shapes.items()},
    }).encode()  # fmt: skip
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


def test_shapes_are_summed_over_shards_and_embeddings_set_aside(tmp_path: Path) -> None:
    first = {"model.embed_tokens.weight": [100, 8], "model.layers.0.mlp.w": [8, 32]}
    second: dict[str, list[int]] = {"lm_head.weight": [100, 8], "norm.weight": [8], "scale": []}
    write_weights(tmp_path / "model-1.safetensors", **first)
    write_weights(tmp_path / "model-2.safetensors", **second)
    counts = counts_beside(tmp_path)
    assert counts is not None
    assert (counts.params, counts.params_nonembed) == (1865, 265)


def test_weights_beside_a_log_give_its_parameter_count(tmp_path: Path) -> None:
    path = write_run(tmp_path, "abc", [history(1, {"val/loss": 1.0})])
    write_weights(path.parent / "model.safetensors", wte=[10, 4], h=[4, 4])
    table = read_logs(tmp_path)
    assert table.column("params").tolist() == [56]
    assert table.column("params_nonembed").tolist() == [16]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "would take 0 of 0 bytes"),
        (b"\xff" * 8 + b"x", "would take"),
        (b"\x02\0\0\0\0\0\0\0{]", "not JSON"),
        (b"\x02\0\0\0\0\0\0\0[]", "header is"),
        (b"\x12\0\0\0\0\0\0\0" + b'{"a":{"shape":[-1]}', "not JSON|shape"),
    ],
)
def test_a_damaged_header_is_told(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(RunDataError, match=told):
        tensor_sizes(path)
