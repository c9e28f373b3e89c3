"""What the settings of a run say about it: sizes, batch, schedule, whatever the tool calls them.

A setting is known by the last part of its dotted key (``model.n_layer``), by the names of
`scalewise.runs.columns` and a few that only settings have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from scalewise.core.errors import ScalewiseError
from scalewise.core.quantities import parse_quantity
from scalewise.runs.columns import COLUMNS, canonical_name, plain_name
from scalewise.runs.quote import bare
from scalewise.sources.logs.log import Fact

# Names that settings have and run tables do not.
_NAMES: Mapping[str, str] = {
    "dim": "d_model", "model_dim": "d_model", "emb_dim": "d_model", "embed_dim": "d_model",
    "d_embed": "d_model", "lr": "lr_peak", "learning_rate": "lr_peak", "max_lr": "lr_peak",
    "max_learning_rate": "lr_peak", "base_lr": "lr_peak", "max_iters": "steps",
    "train_iters": "steps", "num_iterations": "steps", "max_steps": "steps",
    "num_train_steps": "steps", "total_steps": "steps", "training_steps": "steps",
    "warmup_iters": "warmup_steps", "lr_warmup_iters": "warmup_steps", "warmup": "warmup_steps",
    "num_warmup_steps": "warmup_steps", "lr_decay_style": "schedule", "scheduler": "schedule",
    "lr_scheduler_type": "schedule", "dataset": "corpus", "dataset_name": "corpus",
    "max_position_embeddings": "context_length", "encoder_seq_length": "context_length",
    "max_sequence_length": "context_length", "max_seq_length": "context_length",
    "model_num_parameters": "params", "tokenizer_name_or_path": "tokenizer",
    "tokenizer_type": "tokenizer", "padded_vocab_size": "vocab_size",
}  # fmt: skip
_TAKEN = frozenset({
    "params", "params_nonembed", "params_active", "batch_tokens", "context_length", "lr_peak",
    "seed", "schedule", "warmup_steps", "decay_fraction", "steps", "vocab_size", "d_model",
    "n_layer", "tokenizer", "corpus", "family", "tokens_unique", "bytes_per_token",
})  # fmt: skip
# Where the last part alone could belong to something else.
_FOREIGN = ("optimizer_state", "eval", "generation", "lora", "teacher", "vision", "text_encoder")
_POSITIVE = _TAKEN - {"seed", "warmup_steps", "decay_fraction"}

# Sequences in one optimizer update, over all devices.
_WHOLE_BATCH = ("global_batch_size", "total_batch_size", "train_batch_size_global",
                "global_train_batch_size", "effective_batch_size",
                "train_global_batch_size")  # fmt: skip
_MICRO = ("per_device_train_batch_size", "micro_batch_size", "device_batch_size",
          "device_train_microbatch_size", "per_gpu_batch_size", "local_batch_size",
          "batch_size")  # fmt: skip
_ACCUMULATION = ("gradient_accumulation_steps", "grad_accum_steps", "accumulate_grad_batches",
                 "gradient_accumulation", "grad_accumulation_steps")  # fmt: skip
_WORLD = ("world_size", "num_gpus", "n_gpus", "ngpus", "num_devices", "data_parallel_size",
          "dp_size", "ddp_world_size", "num_processes")  # fmt: skip


def facts_of(config: Mapping[str, object]) -> dict[str, Fact]:
    """What dotted settings say of the run, by column of a run table.

    Where several settings name one column, the one nearest the top of the tree is taken.

    >>> facts = facts_of({"model.n_embd": 64, "global_batch_size": 8, "block_size": 32})
    >>> {name: fact.value for name, fact in facts.items()}
    {'context_length': 32.0, 'd_model': 64.0, 'batch_tokens': 256.0}
    """
    found: dict[str, Fact] = {}
    config = {key: value for key, value in config.items() if isinstance(key, str)}
    for key, value in sorted(config.items(), key=lambda item: item[0].count(".")):
        column = _column(key)
        if column is None or column in found:
            continue
        taken = _taken(column, value)
        if taken is not None:
            found[column] = Fact(value=taken, how=f"setting {bare(key)}")
    if "batch_tokens" not in found:
        found |= _batch(config, found)
    if "params" not in found and "params_nonembed" not in found:
        found |= _from_shape(found)
    return found


def _column(key: str) -> str | None:
    parts = [plain_name(part) for part in key.split(".")]
    if any(part.startswith(_FOREIGN) for part in parts[:-1]):
        return None
    last = plain_name(key.replace("/", ".").rpartition(".")[2])
    column = _NAMES.get(last) or (canonical_name(last) if len(last) > 1 else None)
    return column if column in _TAKEN else None


def _taken(column: str, value: object) -> float | str | None:
    if isinstance(value, bool) or value is None:
        return None
    if COLUMNS[column].kind == "text":
        return value[:200] if isinstance(value, str) and value else None
    number = _number(value)
    if number is None or (column in _POSITIVE and number <= 0) or number < 0:
        return None
    return number


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            return parse_quantity(value.strip(), allow_zero=True)
        except ScalewiseError:
            return None
    if isinstance(value, (int, float)) and abs(value) < 1e300:
        return float(value) if math.isfinite(value) else None
    return None


def _numbers(config: Mapping[str, object], names: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Settings under these names, in their order, positive numbers only."""
    by_last: dict[str, tuple[str, float]] = {}
    for key, value in config.items():
        number = _number(value)
        if number is not None and number > 0:
            by_last.setdefault(plain_name(key.rpartition(".")[2]), (key, number))
    for name in names:
        if name in by_last:
            yield by_last[name]


def _batch(config: Mapping[str, object], found: Mapping[str, Fact]) -> dict[str, Fact]:
    """Tokens of one optimizer update, from sequences and their length."""
    context = found.get("context_length")
    length = context.value if context and isinstance(context.value, float) else 0.0
    for key, count in _numbers(config, _WHOLE_BATCH):
        # Some tools count tokens under the name under which others count sequences.
        if count >= 16_384 and (not length or count % length == 0):
            told = f"setting {bare(key)} taken for tokens, being so large"
            return {"batch_tokens": Fact(value=count, how=told, confidence="assumed")}
        if length:
            told = f"{bare(key)} * context_length"
            return {"batch_tokens": Fact(value=count * length, how=told, confidence="derived")}
    return _micro_batch(config, length) if length else {}


def _micro_batch(config: Mapping[str, object], length: float) -> dict[str, Fact]:
    micro = next(_numbers(config, _MICRO), None)
    if micro is None:
        return {}
    value, told = micro[1] * length, [bare(micro[0])]
    for names in (_ACCUMULATION, _WORLD):
        factor = next(_numbers(config, names), None)
        if factor is not None:
            value *= factor[1]
            told.append(bare(factor[0]))
    how = f"{' * '.join(told)} * context_length"
    if not any(True for _ in _numbers(config, _WORLD)):
        how += ", on one device"
    return {"batch_tokens": Fact(value=value, how=how, confidence="assumed")}


def _from_shape(found: Mapping[str, Fact]) -> dict[str, Fact]:
    """12 n_layer d_model**2 as in the usual transformer; with a vocabulary its embedding too."""
    layers, width = (_value(found, name) for name in ("n_layer", "d_model"))
    if not (layers and width) or layers > 10_000 or width > 1_000_000:
        return {}
    blocks = 12.0 * layers * width**2
    facts = {"params_nonembed": Fact(value=blocks, how="12 * n_layer * d_model**2",
                                     confidence="assumed")}  # fmt: skip
    vocabulary = _value(found, "vocab_size")
    if vocabulary:
        whole = blocks + vocabulary * width
        facts["params"] = Fact(
            value=whole, how="12 * n_layer * d_model**2 + vocab_size * d_model",
            confidence="assumed",
        )  # fmt: skip
    return facts


def _value(found: Mapping[str, Fact], name: str) -> float:
    fact = found.get(name)
    return fact.value if fact and isinstance(fact.value, float) else 0.0
