"""Parameter counts from the header of ``.safetensors`` files: shapes only, no tensor is read."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare, quoted
from scalewise.sources.logs.limits import size_of

MAX_HEADER_BYTES = 100 * 2**20  # what the format itself allows
MAX_BYTES = 2**42
MAX_SHARDS = 4096

# Token and position embeddings and the head, under the names that model families give them.
_EMBEDDING = re.compile(
    r"(^|\.)(wte|wpe|embed_tokens|tok_embeddings|token_embedding|position_embedding|embed_in|"
    r"embed_out|embed_positions|word_embeddings|position_embeddings|tok_emb|pos_emb|embeddings?|"
    r"lm_head|output_layer)(\.|$)|^(model\.)?output\.weight$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """``params`` as stored (a head tied to the embedding is stored once) and without embeddings."""

    params: int
    params_nonembed: int
    how: str


def counts_beside(path: Path) -> Counts | None:
    """The counts of the model whose weights lie in a folder; None if none lie there.

    All ``*.safetensors`` files of the folder are taken for shards of one model.
    Raises RunDataError if one of them is damaged.
    """
    files = sorted(p for p in path.glob("*.safetensors") if p.is_file() and not p.is_symlink())
    # Adapters are no model, and what a consolidated file repeats would count twice.
    files = [p for p in files if not p.name.startswith(("adapter", "consolidated", "optimizer"))]
    if not files or len(files) > MAX_SHARDS:
        return None
    shapes: dict[str, int] = {}
    for file in files:
        shapes |= tensor_sizes(file)
    total = sum(shapes.values())
    embed = sum(size for name, size in shapes.items() if _EMBEDDING.search(name))
    named = files[0].name if len(files) == 1 else f"{len(files)} safetensors files"
    return Counts(
        params=total,
        params_nonembed=total - embed,
        how=f"shapes in the header of {bare(named, 80)}",
    )


def tensor_sizes(path: Path) -> dict[str, int]:
    """Elements of each tensor in a file. Raises RunDataError if its header is damaged."""
    whole = size_of(path, MAX_BYTES)
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if whole < 8 or size > min(whole - 8, MAX_HEADER_BYTES):
            raise _damaged(path, f"its header would take {size} of {whole} bytes")
        text = file.read(size)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _damaged(path, f"its header is {quoted(header)}")
    sizes: dict[str, int] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if not isinstance(shape, list) or not all(
            type(n) is int and 0 <= n < 2**40 for n in shape[:16]
        ):
            raise _damaged(path, f"tensor {quoted(name)} has shape {quoted(shape)}")
        sizes[name] = math.prod(shape[:16])
    return sizes


def _damaged(path: Path, fact: str) -> RunDataError:
    return RunDataError(
        f"{bare(str(path), 200)} is not a safetensors file: {fact}.", hint="Copy it again."
    )
