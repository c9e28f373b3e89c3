"""Data frames of pandas as they are stored, read without pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from scalewise.sources.public.stored_objects import Array, Builders, Stored, read_stored


def _values(stored: Any) -> Any:
    return stored.values if isinstance(stored, Array) else stored


class Column(Stored):
    """A stored column standing alone: its values, without their labels."""

    values: Sequence[Any]

    def take(self, state: Mapping[str, Any]) -> None:
        """Keep the values of the one block."""
        self.values = _manager(state).blocks[0].values


class Frame(Stored):
    """A stored table: values by column name."""

    columns: dict[Any, Sequence[Any]]

    def take(self, state: Mapping[str, Any]) -> None:
        """Put the rows of every block under the names of their columns."""
        manager = _manager(state)
        names = list(manager.axes[0].values)
        self.columns = dict.fromkeys(names, ())
        for block in manager.blocks:
            for place, values in zip(block.places(len(names)), block.values, strict=True):
                self.columns[names[place]] = values

    def rows(self) -> Iterator[dict[Any, Any]]:
        """One mapping per row; arrays in cells are NumPy's."""
        for cells in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, map(_values, cells), strict=True))


class _Block:
    def __init__(self, values: Any, placement: Any, *_: Any) -> None:
        self.values, self.placement = _values(values), _values(placement)

    def places(self, width: int) -> list[int]:
        if isinstance(self.placement, slice):
            return list(range(*self.placement.indices(width)))
        return [int(place) for place in self.placement]


class _Manager(Stored):
    """What holds a table's blocks; written as a call by newer pandas, as a state by older."""

    def __init__(self, blocks: Any = (), axes: Any = ()) -> None:
        self.blocks = [blocks] if isinstance(blocks, _Block) else list(blocks)
        self.axes = [axes] if isinstance(axes, _Labels) else list(axes)

    def take(self, state: tuple[Any, ...]) -> None:
        """Older state: arrays by block, under the version that shaped it."""
        stored = state[3]["0.14.1"]
        self.axes = list(stored["axes"])
        self.blocks = [_Block(block["values"], block["mgr_locs"]) for block in stored["blocks"]]


def _manager(state: Mapping[str, Any]) -> _Manager:
    found = state["_mgr"] if "_mgr" in state else state["_data"]
    if not isinstance(found, _Manager):
        raise TypeError(f"its blocks are a {type(found).__name__}")
    return found


class _Labels:
    """Names of columns or rows."""

    def __init__(self, kind: Any, stored: Mapping[str, Any]) -> None:
        self.values: Sequence[Any] = (
            list(_values(stored["data"]))
            if "data" in stored
            else range(stored["start"], stored["stop"], stored["step"])
        )


class _Kind:
    """A class that is only ever named, such as the kind of an index."""


def _builders() -> Builders:
    indexes = ("base.Index", "range.RangeIndex", "numeric.Int64Index", "numeric.Float64Index")
    kinds = (name.rsplit(".", 1) for name in indexes)
    return {
        **{(f"pandas.core.indexes.{module}", name): _Kind for module, name in kinds},
        ("pandas.core.frame", "DataFrame"): Frame,
        ("pandas.core.series", "Series"): Column,
        ("pandas", "DataFrame"): Frame,
        ("pandas", "Series"): Column,
        ("pandas", "Index"): _Kind,
        ("pandas", "RangeIndex"): _Kind,
        ("pandas.core.internals.managers", "BlockManager"): _Manager,
        ("pandas.core.internals.managers", "SingleBlockManager"): _Manager,
        ("pandas._libs.internals", "_unpickle_block"): _Block,
        ("pandas.core.internals.blocks", "new_block"): _Block,
        ("pandas.core.indexes.base", "_new_Index"): _Labels,
    }


def read_frame_pickle(file: IO[bytes], name: str) -> object:
    """What the file holds, with `Frame` and `Column` for the tables of pandas.

    Raises RunDataError for a file that refers to anything but tables and arrays; nothing in it
    is run.
    """
    return _plain(read_stored(file, name, _builders()))


def _plain(found: Any) -> Any:
    """Arrays within plain containers as NumPy's."""
    if isinstance(found, Array):
        return found.values
    if isinstance(found, dict):
        return {key: _plain(value) for key, value in found.items()}
    return [_plain(value) for value in found] if isinstance(found, list) else found
