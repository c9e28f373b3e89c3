"""Logs of every format, damaged at random, and a watch on what reading them touches."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.gather import gather
from scalewise.sources.logs.propose import proposal
from scalewise.sources.logs.read import reading_of
from tests.sources.logs import (
    test_chart_tables,
    test_hf_trainer,
    test_lm_eval,
    test_megatron,
    test_nanochat,
    test_nanogpt,
    test_olmo_core,
    test_stores,
    test_torchtitan,
)
from tests.sources.logs.tensorboard_files import event, event_bytes, scalar, tensor
from tests.sources.logs.wandb_files import ended, field, history, run, wandb_bytes


def _wandb() -> bytes:
    rows = [history(n, {"train/loss": 3.0 / (n + 1), "val/loss": 4.0, "tokens": 512 * n, "s": "x"})
            for n in range(60)]  # fmt: skip
    return wandb_bytes([run("abc", "tiny", {"n_params": 1e6, "a": {"b": [1]}}), *rows, ended(0)])


def _tensorboard() -> bytes:
    events = [event(n, scalar("loss", 1.0 / n)) for n in range(1, 60)]
    return event_bytes([*events, event(60, tensor("val/loss", field(1, 1) + field(5, b"\0" * 4)))])


def _safetensors() -> bytes:
    shapes = {"model.embed_tokens.weight": [64, 8], "model.layers.0.mlp.weight": [8, 32]}
    header = {n: {"dtype": "F32", "shape": s, "data_offsets": [0, 0]} for n, s in shapes.items()}
    text = json.dumps({**header, "__metadata__": {"format": "pt"}}).encode()
    return len(text).to_bytes(8, "little") + text


def _store(make: Callable[[Path], Path]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return make(Path(folder) / "store.db").read_bytes()


def _lines(*rows: object) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def _results() -> bytes:
    scores = {"arc_easy": {"acc,none": 0.5, "acc_stderr,none": 0.1, "alias": "arc_easy"}}
    return json.dumps({"results": scores, "config": {"model": "hf", "model_num_parameters": 1e6},
                       "n-samples": {"arc_easy": {"effective": 10}}}).encode()  # fmt: skip


def samples() -> dict[str, bytes]:
    """Intact files by the path that they lie at."""
    log = [{"step": n, "train/loss": 3.0, "val/loss": 2.5, "tokens": 512 * n} for n in range(1, 40)]
    text = {
        "megatron.out": test_megatron.ARGUMENTS + test_megatron.TRAINING,
        "neox.out": test_megatron.NEOX,
        "nemo.log": test_megatron.NEMO,
        "nanochat.log": test_nanochat.HEAD + test_nanochat.STEPS,
        "nanogpt.log": test_nanogpt.HEAD + test_nanogpt.STEPS,
        "nanochat/results.csv": test_nanochat.RESULTS,
        "torchtitan.log": test_torchtitan.HEAD + test_torchtitan.STEPS,
        "olmo.log": test_olmo_core.OLMO,
        "core.log": test_olmo_core.CORE,
        "ladder.csv": test_olmo_core.LADDER,
        "version_0/metrics.csv": test_chart_tables.SPARSE,
        "chart.csv": test_chart_tables.CHART,
        "out/trainer_state.json": json.dumps(test_hf_trainer.state(8, tokens=4096)),
        "table.csv": "run_id,params,tokens,loss\na,1e6,2e7,3.5\nb,2e6,4e7,3.1\n",
    }
    return {name: content.encode() for name, content in text.items()} | {
        "offline-run-1-abc/run-abc.wandb": _wandb(),
        "tb/events.out.tfevents.1.host": _tensorboard(),
        "tb/model.safetensors": _safetensors(),
        "mlflow.db": _store(
            lambda path: test_stores.mlflow_db(path, ("val/loss", 2.5, 1, "r1", 1, 0))
        ),
        "trackio.db": _store(
            lambda path: test_stores.trackio_db(path, ("d12", 1, '{"val/loss": 2.5}'))
        ),
        f"results_{test_lm_eval.WHEN}.json": _results(),
        f"samples_arc_easy_{test_lm_eval.WHEN}.jsonl": _lines(
            test_lm_eval.sample(0, [-1.0, -2.0], 0), test_lm_eval.sample(1, [-3.0, -2.0], 1)
        ),
        "metrics.jsonl": _lines(*log),
    }


_TOKENS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"NaN", b"1e999", b"-1", b"9" * 40, b"{" * 50, b'"',
           b",", b"\n", b"../../../../etc/passwd", b"\xe2\x80\xae", b"\x1b[31m", b"[" * 2000,
           b"null", b"step", b": ", b"18446744073709551615", b"1" * 5000)  # fmt: skip


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes with a few of them changed, cut, repeated, or put in place of others."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0 if changed:
                changed[at % len(changed)] = chance.randrange(256)
            case 1 if changed:
                changed[at % len(changed)] ^= 1 << chance.randrange(8)
            case 2:
                changed[at : at + chance.choice((0, 0, 1, 8, 64))] = chance.choice(_TOKENS)
            case 3:
                del changed[at:]
            case 4:
                changed[at:at] = changed[at : at + chance.choice((1, 16, 256))]
            case _:
                del changed[at : at + chance.choice((1, 7, 64))]
    return bytes(changed)


def read_all(folder: Path) -> None:
    """Everything that the program does with a folder; bad data may raise RunDataError only."""
    try:
        gathering = gather(folder, every_metric=True)
        proposal(gathering)
        reading_of(gathering)
    except RunDataError:
        return


class _Watch:
    """What files are opened, while one is set; an audit hook cannot be taken away again."""

    def __init__(self) -> None:
        self.inside: Path | None = None
        self.touched: list[str] = []
        self.hooked = False

    def __call__(self, happening: str, given: tuple[object, ...]) -> None:
        if self.inside is None or happening not in _TOUCHING or not given:
            return
        name = given[0]
        if isinstance(name, (str, bytes, Path)):
            path = str(name if not isinstance(name, bytes) else name.decode("utf-8", "replace"))
            path = path.removeprefix("file:").partition("?")[0]
            own = (str(self.inside), str(Path(tempfile.gettempdir()) / "scalewise-"), *_PYTHON)
            if not path.startswith(own) or "/../" in path:
                self.touched.append(f"{happening} {path}")
        elif happening in _RUNNING:
            self.touched.append(happening)


_RUNNING = {"os.system", "subprocess.Popen", "os.exec", "socket.connect", "pickle.find_class"}
_TOUCHING = _RUNNING | {"open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir",
                        "os.rmdir", "sqlite3.connect", "shutil.copyfile", "os.symlink"}  # fmt: skip
_PYTHON = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[3] / "src"))
_WATCH = _Watch()


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """What is touched outside a folder, Python's own files aside."""
    if not _WATCH.hooked:
        sys.addaudithook(_WATCH)
        _WATCH.hooked = True
    _WATCH.inside, _WATCH.touched = folder, []
    try:
        yield _WATCH.touched
    finally:
        _WATCH.inside = None
