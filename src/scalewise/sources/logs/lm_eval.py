"""lm-evaluation-harness: ``results_*.json`` and the ``samples_*.jsonl`` beside it.

Keys are ``acc,none`` since 0.4 and ``acc`` before. The step of a checkpoint is in the name of the
model, its revision or the file. Samples give what results lack: the chance level, and the bits per
byte of the right answer, which falls smoothly long before accuracy rises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare
from scalewise.sources.logs.limits import head_of, json_object
from scalewise.sources.logs.lm_eval_samples import SAMPLES, Gold, gold_of, task_of
from scalewise.sources.logs.log import Fact, Log, Meaning, Wanted
from scalewise.sources.logs.points import Points, without_step

_RESULTS = re.compile(r"results(?:_(?P<when>.+))?\.json")
_STEP = re.compile(r"(?:^|[/_.-])(?:checkpoint|step|iter|global_step|global-step)[-_]?0*(\d+)"
                   r"(?=$|[/_.,-])")  # fmt: skip
_MODEL = re.compile(r"(?:^|,)(pretrained|model|path|revision)=([^,]+)")
_STDERR = "_stderr"
_BITS = "bits_per_byte"
_SETTINGS = ("model", "model_args", "num_fewshot", "limit", "model_revision", "model_dtype")
_TITLES = {"alias", "name", "sample_len", "sample_count"}
_DEFAULT_FILTERS = {"", "none", "strict-match"}


class LmEvalReader:
    """Results of lm-evaluation-harness, of any version, with their samples."""

    key = "lm-eval"
    title = "lm-evaluation-harness results"

    def units(self, path: Path) -> list[Path]:
        """A file of results or of samples; samples are read with the results beside them."""
        if not path.is_file():
            return []
        if path.suffix == ".jsonl":
            is_one = bool(SAMPLES.fullmatch(path.name)) and b'"doc_id"' in head_of(path)
        else:
            is_one = path.suffix == ".json" and _has_results(path)
        return [path] if is_one else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """The evaluation of one model; nothing for samples that are read with their results.

        Raises RunDataError if the file cannot be read.
        """
        if unit.suffix == ".jsonl":
            return [] if _results_of(unit) else [_orphan(unit, wanted)]
        return [_Evaluation(unit, _object(unit), wanted).log()]


def _has_results(path: Path) -> bool:
    head = head_of(path)
    begins = re.match(rb'\s*\{\s*"results"\s*:\s*\{', head) is not None
    return begins or (bool(_RESULTS.fullmatch(path.name)) and b'"results"' in head)


def _results_of(samples: Path) -> Path | None:
    """The results that were written together with samples."""
    found = SAMPLES.fullmatch(samples.name)
    beside = samples.with_name(f"results_{found['when']}.json") if found else None
    return beside if beside is not None and beside.is_file() else None


class _Evaluation:
    """One file of results while it is read."""

    def __init__(self, unit: Path, held: Mapping[str, Any], wanted: Wanted | None) -> None:
        self.unit, self.held, self.wanted = unit, held, wanted
        self.values: dict[str, float] = {}
        self.meanings: dict[str, Meaning] = {}
        self.notes: list[str] = []
        self.lost: dict[str, int] = {}

    def log(self) -> Log:
        results = self.held.get("results")
        for task, metrics in results.items() if isinstance(results, dict) else ():
            if isinstance(metrics, dict):
                self._task(str(task), metrics)
        for path in self._samples():
            self._gold(path)
        if not self.values:
            raise RunDataError(
                f"{bare(self.unit.name, 120)} holds no number of any task.",
                hint="Check that the evaluation has finished.",
            )
        setting = _mapping(self.held.get("config"))
        run_id, name, step = _model(self.unit, self.held, setting)
        count = setting.get("model_num_parameters")
        how = "model_num_parameters of the results"
        facts = {}
        if isinstance(count, (int, float)) and 0 < count < 1e18:
            facts["params"] = Fact(value=float(count), how=how)
        return Log(
            run_id=run_id,
            name=name,
            kind=LmEvalReader.key,
            source=str(self.unit),
            points=_points(self.values, step),
            config={k: setting[k] for k in _SETTINGS if k in setting},
            meanings=self.meanings,
            facts=facts,
            notes=tuple(self.notes),
            lost=self.lost,
            state="finished",
        )

    def _task(self, task: str, metrics: Mapping[str, object]) -> None:
        where = self._where(task)
        # A task that measures text as such is a validation set; a task has answers.
        is_text = any(key.partition(",")[0] == _BITS for key in metrics)
        for key, value in metrics.items():
            name, _, kept = key.partition(",")
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or name in _TITLES or name.endswith(_STDERR):
                continue
            meaning = None if is_text and name != _BITS else _meaning(name, kept, where)
            self._add(f"{task}/{key}", float(str(value)), meaning)
        choices = _mapping(_of(self.held, "configs", task)).get("doc_to_choice")
        if isinstance(choices, list) and len(choices) > 1:
            self._add(f"{task}/chance", 1 / len(choices), Meaning(column="chance", eval_set=where))
        version = _of(self.held, "versions", task)
        if isinstance(version, (int, float, str)) and version not in {"", "N/A", "Yaml"}:
            self.notes.append(f"{bare(task)} is version {bare(str(version))}")

    def _samples(self) -> Iterator[Path]:
        found = _RESULTS.fullmatch(self.unit.name)
        if found and found["when"]:
            pattern = f"samples_*_{_literal(found['when'])}.jsonl"
            yield from sorted(p for p in self.unit.parent.glob(pattern) if not p.is_symlink())

    def _gold(self, path: Path) -> None:
        task = task_of(path)
        gold = gold_of(path, self.lost)
        where = self._where(task)
        for metric, value, meaning in gold_metrics(task, where, gold):
            self._add(metric, value, meaning)
        if gold.untold:
            self.notes.append(
                f"{bare(task)}: the right answer of {gold.untold} samples is not told"
            )

    def _where(self, task: str) -> str:
        """The task with its number of examples, which changes what it measures."""
        shots = _of(self.held, "n-shot", task)
        if shots is None:
            shots = _mapping(self.held.get("config")).get("num_fewshot")
        return f"{task} {shots}-shot" if isinstance(shots, int) and shots > 0 else task

    def _add(self, metric: str, value: float, meaning: Meaning | None) -> None:
        if meaning is not None or self.wanted is None or self.wanted(metric):
            self.values[metric] = value
            if meaning is not None:
                self.meanings[metric] = meaning


def gold_metrics(task: str, where: str, gold: Gold) -> Iterator[tuple[str, float, Meaning]]:
    """What samples tell of a task beyond its results."""
    if gold.bits_per_byte is not None:
        note = f"of the right answer, mean over {gold.counted} samples, no leading space counted"
        meaning = Meaning(column="bits_per_byte", eval_set=where, note=note)
        yield f"{task}/gold_bits_per_byte", gold.bits_per_byte, meaning
    if gold.chance is not None:
        meaning = Meaning(column="chance", eval_set=where, note="one over the number of choices")
        yield f"{task}/chance", gold.chance, meaning


def _meaning(name: str, kept: str, where: str) -> Meaning | None:
    """What a metric is; the answers of filters other than the usual one are left as they are."""
    if kept not in _DEFAULT_FILTERS:
        return Meaning(column=f"{name}_{kept}", eval_set=where)
    if name in {"acc", "exact_match"}:
        return Meaning(column="accuracy", eval_set=where, note=name)
    if name in {"perplexity", "ppl"}:
        return Meaning(column="answer_perplexity", eval_set=where, note="of whole answers")
    return Meaning(column=name, eval_set=where)


def _orphan(unit: Path, wanted: Wanted | None) -> Log:
    """Samples whose results are not there."""
    lost: dict[str, int] = {}
    task, gold = task_of(unit), gold_of(unit, lost)
    told = [m for m in gold_metrics(task, task, gold) if wanted is None or wanted(m[0])]
    if not told:
        raise RunDataError(
            f"{bare(unit.name, 120)} tells no likelihood of a right answer.",
            hint="Tasks that generate text have none; keep their results file.",
        )
    run_id, name, step = _model(unit, {}, {})
    return Log(
        run_id=run_id,
        name=name,
        kind=LmEvalReader.key,
        source=str(unit),
        points=_points({metric: value for metric, value, _ in told}, step),
        meanings={metric: meaning for metric, _, meaning in told},
        notes=("the results file of these samples is missing",),
        lost=lost,
        state="unknown",
    )


def _model(
    unit: Path, held: Mapping[str, Any], setting: Mapping[str, Any]
) -> tuple[str, str, int | None]:
    """Which model was evaluated, without its step, its name, and the step if one is told."""
    arguments = setting.get("model_args")
    if isinstance(arguments, dict):
        arguments = ",".join(f"{key}={value}" for key, value in arguments.items())
    parts = dict(_MODEL.findall(str(arguments or "")))
    named = parts.get("pretrained") or parts.get("model") or parts.get("path")
    named = named or str(held.get("model_name") or "")
    is_plain = bool(_RESULTS.fullmatch(unit.name) or SAMPLES.fullmatch(unit.name))
    stem = unit.parent.as_posix() if is_plain else unit.with_suffix("").as_posix()
    step = None
    for text in (parts.get("revision", ""), named, stem):
        if found := _STEP.search(text):
            step = int(found[1][:18])
            break
    run_id = _STEP.sub("", named or stem).rstrip("/_-") or stem
    return run_id, run_id.rsplit("/", 1)[-1] or run_id, step


def _points(values: Mapping[str, float], step: int | None) -> Any:
    if step is None:
        return without_step(values)
    points = Points()
    points.add_row(step, values)
    return points.frame()


def _of(held: Mapping[str, Any], table: str, task: str) -> object:
    return _mapping(held.get(table)).get(task)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _literal(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


def _object(path: Path) -> dict[str, Any]:
    return json_object(
        path,
        unfinished="Wait until the evaluation has finished, or leave it out.",
        wrong="Give a results file as lm-eval writes it.",
    )
