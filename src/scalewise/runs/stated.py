"""What a run table says about itself, fact by fact, for whoever publishes a fit to it.

A fact that the table does not hold is absent: that is what a reader must be told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from scalewise.core.quantities import format_count, format_flops
from scalewise.runs.columns import COLUMNS
from scalewise.runs.health import check_health
from scalewise.runs.quote import bare, listed
from scalewise.runs.table import PROGRESS, SIZES, RunTable

_SHOWN = 4
_TEXTS = ("corpus", "tokenizer", "eval_set", "schedule", "smoothing", "flop_rule")
_NO_WORDS = {"unstated", "unnamed"}  # what reading fills in where a source says nothing
_ENDS_ASSUMED = "is_final: the last checkpoint"
_LEFT_OUT = ("rows kept", "rows left out", "rows dropped", "no row is final")


def stated(table: RunTable) -> dict[str, str]:
    """The facts of a table by name: counts, shapes, rates, data, evaluation, what was left out.

    >>> from scalewise.runs.read import read_runs
    >>> facts = stated(read_runs({"N": [1e6, 2e6], "seed": [0, 1], "loss": [4.0, 3.8]}))
    >>> facts["params"], facts["seed"], "schedule" in facts
    ("N, total, embeddings included (column 'N'): 1M to 2M, 2 values", "2 values: '0', '1'", False)
    """
    found = {name: _counted(table, name) for name in (*SIZES, "tokens", "flops") if table.has(name)}
    found |= {name: text for name in _TEXTS if table.has(name) and (text := _words(table, name))}
    found |= {name: text for name, read in _FACTS.items() if (text := read(table))}
    return found


def _counted(table: RunTable, name: str) -> str:
    write = format_flops if name == "flops" else format_count
    column = COLUMNS[name]
    source = table.mapping.get(name, name)
    made = "" if name in table.mapping or not table.mapping else ", derived"
    return f"{column.note} (column {source!r}{made}): {_span(table, name, write)}"


def _span(table: RunTable, name: str, write: Callable[[float], str]) -> str:
    values = table.column(name)
    values = np.unique(values[np.isfinite(values)])
    if not len(values):
        return "no finite value"
    if len(values) == 1:
        return write(float(values[0]))
    return f"{write(float(values[0]))} to {write(float(values[-1]))}, {len(values)} values"


def _plain(value: float) -> str:
    return f"{value:.4g}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _words(table: RunTable, name: str) -> str:
    words = sorted({text for text in table.text(name) if text} - _NO_WORDS)
    if not words:
        return ""
    shown = listed([bare(word, 80) for word in words], _SHOWN)
    return shown if len(words) == 1 else f"{len(words)} values: {shown}"


def _several(table: RunTable, names: tuple[str, ...], write: Callable[[float], str]) -> str:
    """Ranges of the columns that there are, each by its name."""
    return ", ".join(f"{name} {_span(table, name, write)}" for name in names if table.has(name))


def ends_assumed(table: RunTable) -> bool:
    """Whether the source does not say which rows are finished models, or that none is.

    >>> from scalewise.runs.read import read_runs
    >>> ends_assumed(read_runs({"N": [1e6, 2e6], "loss": [4.0, 3.8]}))
    True
    """
    if not table.has("is_final") or not bool((table.column("is_final") == 1).any()):
        return True
    return any(note.startswith(_ENDS_ASSUMED) for note in table.assumptions)


def _ends(table: RunTable) -> str:
    """Which rows are of finished models and which of annealed ones."""
    counts = {
        word: int(np.nansum(table.column(name)))
        for name, word in (("is_final", "finished models"), ("is_annealed", "annealed"))
        if table.has(name)
    }
    if not any(counts.values()) and "annealed" not in counts:
        return ""  # no row is final: which ones end a run is not said
    told = ", ".join(f"{n} of {len(table)} rows are {word}" for word, n in counts.items())
    return f"{told}, taken for the last checkpoint of each run" if ends_assumed(table) else told


def _seeds(table: RunTable) -> str:
    if not table.has("seed"):
        return ""
    seeds = sorted({text for text in table.text("seed") if text})
    return f"{len(seeds)} value{'s' if len(seeds) != 1 else ''}: {listed(seeds, _SHOWN)}"


def _loss(table: RunTable) -> str:
    if not table.has("loss"):
        return ""
    source = table.mapping.get("loss", "loss")
    error = f", standard errors {_span(table, 'loss_se', _plain)}" if table.has("loss_se") else ""
    length = (
        f", bytes_per_token {_span(table, 'bytes_per_token', _plain)}"
        if table.has("bytes_per_token")
        else ""
    )
    return f"{COLUMNS['loss'].note} in {COLUMNS['loss'].unit} (column {source!r}){error}{length}"


def _repeats(table: RunTable) -> str:
    return _several(table, ("tokens_unique", "epochs"), format_count)


def _left_out(table: RunTable) -> str:
    """Every note of rows that did not come through."""
    told = [text for text in table.assumptions if any(word in text for word in _LEFT_OUT)]
    return "; ".join(told)


def _assumed(table: RunTable) -> str:
    told = [text for text in table.assumptions if not any(word in text for word in _LEFT_OUT)]
    return "; ".join(told)


def _health(table: RunTable) -> str:
    found = [f for f in check_health(table) if f.severity != "note"]
    if not found:
        return "no errors, no warnings"
    return "; ".join(f"{f.severity}: {f.name}" for f in found)


def _rows(table: RunTable) -> str:
    progress = [name for name in PROGRESS if table.has(name)]
    return f"{len(table)} rows of {table.run_count} runs" + (
        "" if progress else ", without tokens or steps"
    )


_FACTS: Mapping[str, Callable[[RunTable], str]] = {
    "rows": _rows,
    "repeats": _repeats,
    "shapes": lambda t: _several(t, ("d_model", "n_layer"), _whole),
    "context_length": lambda t: _several(t, ("context_length",), _whole),
    "vocab_size": lambda t: _several(t, ("vocab_size",), _whole),
    "lr_peak": lambda t: _several(t, ("lr_peak",) if t.has("lr_peak") else ("lr",), _plain),
    "batch_tokens": lambda t: _several(t, ("batch_tokens",), format_count),
    "warmup_steps": lambda t: _several(t, ("warmup_steps", "decay_fraction"), _plain),
    "ends": _ends,
    "seed": _seeds,
    "loss": _loss,
    "left out": _left_out,
    "assumed": _assumed,
    "health": _health,
}
