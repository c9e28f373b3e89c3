"""Public data sets that are known and not offered, each with the reason."""

from __future__ import annotations

from types import MappingProxyType

_PICKLED = (
    "it is published as Python pickles only, whose layout could not be seen; export its tables to "
    "CSV or Parquet yourself and read those"
)

UNREAD = MappingProxyType(
    {
        "laion_clip_seg": (
            "it is published as a Parquet file whose columns are not documented; it holds "
            "vision-language models and no language-model loss"
        ),
        "supercollapse": _PICKLED,
        "xlstm_isoflop": _PICKLED,
    }
)
"""Name -> why there is no reader for it."""
