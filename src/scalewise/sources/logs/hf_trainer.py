"""Hugging Face's Trainer: ``trainer_state.json``, with the model's header and settings beside it.

Every checkpoint repeats the history so far, so the folder of a run is read as one, by its newest
state. The state has no batch: its ``train_batch_size`` counts one device only. Tokens are there if
``include_num_input_tokens_seen`` was on. ``training_args.bin`` is a pickle and is never opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare
from scalewise.sources.logs.config import flattened
from scalewise.sources.logs.limits import json_object
from scalewise.sources.logs.log import Fact, Log, Meaning, State, Wanted
from scalewise.sources.logs.points import Points
from scalewise.sources.logs.safetensors import counts_beside

STATE = "trainer_state.json"

_CHECKPOINT = re.compile(r"checkpoint-(\d{1,18})")
# What a run keeps in its own folder; anything else below it may be another run.
_OWN = re.compile(r"checkpoint-\d+|runs|logs|wandb|global_step\d+|tokenizer|\..*")
_MOST_CHECKPOINTS = 10_000
_EVAL_LOSS = re.compile(r"eval(?:_(?P<set>.+))?_loss")
_LAST = {"train_loss", "train_runtime"}  # the entry that sums a finished run up
_TOKENS = "num_input_tokens_seen"
_NO_TOKENS = (
    "tokens are not logged and the batch is not in the state; set "
    "include_num_input_tokens_seen next time, and state batch_tokens now"
)


class HfTrainerReader:
    """The folder in which a Trainer keeps its checkpoints, or one checkpoint, or one state."""

    key = "hf-trainer"
    title = "Hugging Face Trainer"

    def units(self, path: Path) -> list[Path]:
        """A folder with states and nothing of other runs, or a state by its name."""
        if path.is_file():
            return [path] if path.name == STATE else []
        if not path.is_dir() or path.is_symlink() or not _states(path):
            return []
        below = (entry.name for entry in path.iterdir() if entry.is_dir())
        is_own = bool(_CHECKPOINT.fullmatch(path.name)) or all(map(_OWN.fullmatch, below))
        return [path] if is_own else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """The run of a folder, from the newest of its states that can be read.

        Raises RunDataError if there is none.
        """
        states = _states(unit) if unit.is_dir() else [unit]
        broken = 0
        for path in states:
            try:
                state = _object(path)
            except RunDataError:
                broken += 1
                if path == states[-1]:
                    raise
                continue
            return [_log(unit, path, state, broken, wanted)]
        raise RunDataError(
            f"{bare(unit.name, 120)} holds no {STATE}.", hint="Point to the output folder of a run."
        )


def _states(folder: Path) -> list[Path]:
    """The states of one run, newest first: the folder's own, then by checkpoint."""
    kept = []
    for index, below in enumerate(folder.glob("checkpoint-*")):
        found = _CHECKPOINT.fullmatch(below.name)
        is_one = found and not below.is_symlink() and (below / STATE).is_file()
        if found and is_one and index < _MOST_CHECKPOINTS:
            kept.append((int(found[1]), below / STATE))
    by_step = [path for _, path in sorted(kept, reverse=True)]
    own = folder / STATE
    return [own, *by_step] if own.is_file() and not own.is_symlink() else by_step


def _log(
    unit: Path, path: Path, state: Mapping[str, Any], broken: int, wanted: Wanted | None
) -> Log:
    points, meanings, bad = _history(state, wanted)
    home = path.parent.parent if _CHECKPOINT.fullmatch(path.parent.name) else path.parent
    weights = [path.parent, *([home] if home in {path.parent, unit} else [])]
    facts, notes = _counts(weights)
    facts |= _by_tokens(state, facts)
    if "batch_tokens" not in facts:
        notes.append(_NO_TOKENS)
    lost = points.lost() | ({"unreadable records": bad} if bad else {})
    if broken:
        lost["unreadable checkpoints"] = broken
    frame = points.frame()
    return Log(
        run_id=home.as_posix(),
        name=home.name,
        kind=HfTrainerReader.key,
        source=str(path),
        points=frame,
        config=_settings(path, state),
        meanings=meanings,
        facts=facts,
        notes=tuple(notes),
        lost=lost | points.lost(),
        state=_state(state),
    )


def _history(
    state: Mapping[str, Any], wanted: Wanted | None
) -> tuple[Points, dict[str, Meaning], int]:
    """Points, what they mean, and how many entries could not be read."""
    points, bad = Points(), 0
    told: dict[str, tuple[int, float]] = {}
    meanings = {
        "loss": Meaning(column="train_loss", note="mean over the updates since the entry before"),
        "learning_rate": Meaning(column="lr"),
        _TOKENS: Meaning(column="tokens"),
    }
    history = state.get("log_history")
    for entry in history if isinstance(history, list) else ():
        step = entry.get("step") if isinstance(entry, dict) else None
        if not isinstance(step, int):
            bad += 1
            continue
        if entry.keys() >= _LAST:
            continue
        for name, value in entry.items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or name in {"step", "epoch"} or not (wanted is None or wanted(name)):
                continue
            # Training and evaluation at one step both tell the counters.
            if told.get(name) != (step, value):
                points.add(step, name, value)
            told[name] = (step, value)
            if found := _EVAL_LOSS.fullmatch(name):
                meanings[name] = Meaning(column="loss", eval_set=found["set"] or "validation")
    return points, meanings, bad


def _counts(folders: list[Path]) -> tuple[dict[str, Fact], list[str]]:
    """Parameter counts from the weights that lie beside the state."""
    for folder in dict.fromkeys(folders):
        try:
            counts = counts_beside(folder)
        except RunDataError as error:
            return {}, [f"no parameter counts: {error.message}"]
        if counts is not None:
            return {
                "params": Fact(value=counts.params, how=counts.how),
                "params_nonembed": Fact(value=counts.params_nonembed, how=counts.how),
            }, []
    return {}, []


def _by_tokens(state: Mapping[str, Any], known: Mapping[str, Fact]) -> dict[str, Fact]:
    """What the totals of a state that counted its tokens say: the batch, and N from the FLOPs."""
    tokens, step, flops = (
        float(value)
        if isinstance(value := state.get(name), (int, float)) and value < 1e300
        else 0.0
        for name in (_TOKENS, "global_step", "total_flos")
    )
    if not (tokens > 0 and step > 0):
        return {}
    how = f"{_TOKENS} / global_step, {tokens:g} / {step:g}"
    facts = {"batch_tokens": Fact(value=tokens / step, how=how, confidence="derived")}
    if flops > 0 and "params_nonembed" not in known:
        how = "total_flos / (6 * num_input_tokens_seen); an untied head is counted in"
        value = flops / (6.0 * tokens)
        facts["params_nonembed"] = Fact(value=value, how=how, confidence="derived")
    return facts


def _settings(path: Path, state: Mapping[str, Any]) -> dict[str, object]:
    """The model's settings and the totals of the state, under names that promise no more."""
    config: dict[str, object] = {}
    beside = path.with_name("config.json")
    if beside.is_file() and not beside.is_symlink():
        try:
            config = flattened({"model": _object(beside)})
        except RunDataError:
            config = {}
    for name in ("max_steps", "num_train_epochs", "total_flos"):
        if isinstance(state.get(name), (int, float)):
            config[name] = state[name]
    if isinstance(state.get("train_batch_size"), int):
        config["sequences_per_device"] = state["train_batch_size"]
    return config


def _state(state: Mapping[str, Any]) -> State:
    step, last = state.get("global_step"), state.get("max_steps")
    if not (isinstance(step, int) and isinstance(last, int)):
        return "unknown"
    return "finished" if step >= last > 0 else "running or crashed"


def _object(path: Path) -> dict[str, Any]:
    return json_object(
        path,
        unfinished="It may be written just now; try again, or use an earlier checkpoint.",
        wrong="Copy it anew from the run's folder.",
    )
