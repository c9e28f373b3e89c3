"""One dial to a model: from the width follow depth, heads and MLP."""

from __future__ import annotations

from typing import Any

from scalewise.core.errors import UsageError
from scalewise.core.shape import ModelShape

WIDTH_PER_LAYER = 64  # the aspect ratio of nanochat's one-dial ladder; two layers at least
BASE_WIDTH = 32  # the width at which hidden and other matrices learn at the same rate


def heads_for(width: int) -> int:
    """The most heads of even size with at least 16 (narrow) to 64 (wide) dimensions each.

    >>> [heads_for(width) for width in (8, 16, 24, 48, 160, 512, 1024)]
    [1, 1, 1, 3, 10, 16, 16]
    """
    least = 16 if width < 256 else 32 if width < 768 else 64
    fitting = [n for n in range(1, width + 1) if width % (2 * n) == 0 and width // n >= least]
    return max(fitting, default=1)


def shape_from_width(
    width: int,
    *,
    n_layer: int | None = None,
    vocab_size: int = 256,
    context_length: int = 64,
    **overrides: Any,
) -> ModelShape:
    """The shape of a decoder of one width; any field of ModelShape may be overridden.

    Depth is ``width / 64`` and at least 2, heads as in `heads_for`, the MLP four times the width.
    Raises UsageError for a width that is odd or not positive.

    >>> shape_from_width(96).n_head, shape_from_width(512).n_layer
    (6, 8)
    """
    if width < 2 or width % 2:
        raise UsageError(
            f"A width of {width} cannot be split into rotated pairs.",
            hint="Give an even width, such as 16, 32, 64 or 128.",
        )
    shape: dict[str, Any] = {
        "d_model": width,
        "n_layer": n_layer or max(2, round(width / WIDTH_PER_LAYER)),
        "n_head": heads_for(width),
        "vocab_size": vocab_size,
        "context_length": context_length,
    }
    return ModelShape(**(shape | overrides))
