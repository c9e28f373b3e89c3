"""Results and samples that lm-evaluation-harness writes for its dummy model and local tasks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from scalewise.sources.logs.lm_eval import LmEvalReader
from scalewise.sources.logs.log import Log
from tests.sources.formats.processes import run_module
from tests.sources.formats.tools import need

DOCUMENTS = [
    {"q": "The sky is", "choices": ["blue", "green as grass"], "gold": 0},
    {"q": "Two plus two is", "choices": ["five", "four"], "gold": 1},
    {"q": "Ice is", "choices": ["cold", "hot", "dry"], "gold": 0},
]
HEAD = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
metadata:
  version: 1.0
"""
TASKS = {
    "tiny_choice": """\
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: "{{choices}}"
doc_to_target: gold
metric_list:
  - metric: acc
  - metric: acc_norm
""",
    "tiny_text": """\
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{q}}"
metric_list:
  - metric: bits_per_byte
  - metric: word_perplexity
""",
    "tiny_written": """\
output_type: generate_until
doc_to_text: "{{q}}"
doc_to_target: "{{choices[gold]}}"
generation_kwargs:
  until: ["."]
filter_list:
  - name: strict-match
    filter:
      - function: take_first
  - name: flexible-extract
    filter:
      - function: take_first
metric_list:
  - metric: exact_match
""",
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation of all tasks, with samples."""
    need("lm_eval", "datasets")
    folder = tmp_path_factory.mktemp("lm-eval")
    data = folder / "data.jsonl"
    data.write_text("".join(f"{json.dumps(document)}\n" for document in DOCUMENTS))
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(HEAD.format(name=name, data=data) + text)
    run_module(
        folder, "-m", "lm_eval", "--model", "dummy", "--log_samples", "--include_path", str(folder),
        "--tasks", ",".join(TASKS), "--output_path", "out",
    )  # fmt: skip
    return folder / "out"


def read(evaluated: Path) -> tuple[Log, Path]:
    (path,) = evaluated.rglob("results_*.json")
    reader = LmEvalReader()
    assert reader.units(path) == [path]
    (log,) = reader.read(path)
    return log, path


def test_every_metric_of_real_results_with_what_it_is(evaluated: Path) -> None:
    log, path = read(evaluated)
    held = json.loads(path.read_text())["results"]
    (values,) = log.points.rows(named=True)
    assert values["step"] is None
    assert values["tiny_choice/acc,none"] == held["tiny_choice"]["acc,none"]
    told = {name: (m.column, m.eval_set) for name, m in log.meanings.items()}
    assert told["tiny_choice/acc,none"] == ("accuracy", "tiny_choice")
    assert told["tiny_text/bits_per_byte,none"] == ("bits_per_byte", "tiny_text")
    assert told["tiny_written/exact_match,strict-match"] == ("accuracy", "tiny_written")
    assert told["tiny_written/exact_match,flexible-extract"][0] == "exact_match_flexible-extract"
    assert "tiny_text/word_perplexity,none" not in told
    assert log.state == "finished"


def test_bits_per_byte_of_the_right_answers_and_the_chance_level(evaluated: Path) -> None:
    log, path = read(evaluated)
    (beside,) = path.parent.glob("samples_tiny_choice_*.jsonl")
    rows = [json.loads(line) for line in beside.read_text().splitlines()]
    bits = []
    for row in rows:
        gold = row["doc"]["gold"]
        nats = -float(row["resps"][gold][0][0])
        bits.append(nats / math.log(2) / len(row["doc"]["choices"][gold]))
    (values,) = log.points.rows(named=True)
    assert values["tiny_choice/gold_bits_per_byte"] == pytest.approx(sum(bits) / 3)
    assert values["tiny_choice/chance"] == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)
    assert "tiny_written/gold_bits_per_byte" not in values


def test_samples_are_claimed_and_read_with_their_results(evaluated: Path) -> None:
    reader = LmEvalReader()
    paths = sorted(evaluated.rglob("samples_*.jsonl"))
    assert len(paths) == 3
    for path in paths:
        assert reader.units(path) == [path]
        assert reader.read(path) == []
