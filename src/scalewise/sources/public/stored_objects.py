"""Python's stored objects taken apart as data: names in them are read, never called.

The format is a list of instructions to a small stack machine, some of which call a function by
name. The machine is run here with the standard library's own disassembler, and a name can only be
answered by one of the builders given: plain values, NumPy arrays, and what the caller adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any, Literal

from scalewise.core.errors import RunDataError

Name = tuple[str, str]
"""Module and name of something that the file refers to."""

Builders = Mapping[Name, Callable[..., Any]]

_ADDED = ("PROTO", "FRAME", "STOP")
_EMPTY: Mapping[str, Callable[[], Any]] = {
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set,
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
}  # fmt: skip
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_LITERALS = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip


class Stored:
    """An object whose class is only stood in for; it is given its state as it was stored."""

    def take(self, state: Any) -> None:
        """Keep what the file stored of the object."""
        raise NotImplementedError


class Array(Stored):
    """A NumPy array on its way: empty until its state says shape, kind and bytes."""

    def __init__(self, *_: Any) -> None:
        self.values: Any = ()

    def take(self, state: Any) -> None:
        """State is (version, shape, dtype, column-major, bytes or objects)."""
        _, shape, kind, by_column, content = state
        order: Literal["F", "C"] = "F" if by_column else "C"
        if isinstance(content, list):
            import numpy as np

            flat = np.empty(len(content), dtype=object)
            flat[:] = content
            self.values = flat.reshape(shape, order=order)
        else:
            self.values = _array(content, kind, shape, order)


class _Kind(Stored):
    """A NumPy dtype: its word, then its byte order."""

    def __init__(self, word: str, *_: Any) -> None:
        self.word = word

    def take(self, state: Any) -> None:
        """State begins with (version, byte order)."""
        if state[1] in "<>" and self.word[:1] in "fiuc":
            self.word = state[1] + self.word


def _array(content: bytes, kind: _Kind, shape: tuple[int, ...], order: str) -> Any:
    import numpy as np

    if kind.word.lstrip("<>|=")[:1] not in tuple("fiubcSU"):
        raise ValueError(f"an array of {kind.word}")
    flat = np.frombuffer(content, dtype=np.dtype(kind.word))
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(content: bytes, kind: _Kind, shape: tuple[int, ...], order: str) -> Array:
    array = Array()
    array.values = _array(content, kind, shape, order)
    return array


def _scalar(kind: _Kind, content: Any) -> Any:
    return _array(content, kind, (1,), "C")[0].item()


def _encoded(text: str, encoding: str = "utf-8") -> bytes:
    return text.encode("latin-1" if encoding in ("latin1", "latin-1") else "utf-8")


_PLAIN: dict[Name, Callable[..., Any]] = {
    ("builtins", "slice"): slice, ("builtins", "list"): list, ("builtins", "dict"): dict,
    ("builtins", "set"): set, ("builtins", "bytearray"): bytes, ("_codecs", "encode"): _encoded,
    ("collections", "OrderedDict"): dict, ("numpy", "dtype"): _Kind, ("numpy", "ndarray"): Array,
}  # fmt: skip
for _core in ("numpy.core", "numpy._core"):
    _PLAIN[f"{_core}.multiarray", "_reconstruct"] = Array
    _PLAIN[f"{_core}.multiarray", "scalar"] = _scalar
    _PLAIN[f"{_core}.numeric", "_frombuffer"] = _from_buffer


def read_stored(file: IO[bytes], name: str, builders: Builders) -> Any:
    """The object that a file holds, made of plain values and what ``builders`` make.

    Raises RunDataError for a file that refers to anything else, or is no such file.
    """
    machine = _Machine(name, {**_PLAIN, **builders})
    try:
        return machine.run(file)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise RunDataError(
            f"{name} is not a stored table of a known layout: {error}.",
            hint="Please report it, with the version of the file.",
        ) from error


class _Machine:
    """The stack machine: values, marks between them, and a memory of what came before."""

    def __init__(self, name: str, builders: Builders) -> None:
        self.name = name
        self.builders = builders
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}

    def run(self, file: IO[bytes]) -> Any:
        from pickletools import genops

        for code, argument, _ in genops(file):
            self.step(code.name, argument)
        return self.stack.pop()

    def step(self, code: str, argument: Any) -> None:
        stack = self.stack
        if code in _LITERALS:
            stack.append(argument)
        elif code in _EMPTY:
            stack.append(_EMPTY[code]())
        elif code in _GETS:
            stack.append(self.memory[int(argument)])
        elif code in _PUTS or code == "MEMOIZE":
            self.memory[len(self.memory) if argument is None else int(argument)] = stack[-1]
        elif code not in _ADDED:
            rule = getattr(self, f"_{code.lower()}", None)
            if rule is None:
                raise ValueError(f"the instruction {code}")
            rule(argument)

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def _mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _tuple1(self, _: Any) -> None:
        self.stack[-1:] = [(self.stack[-1],)]

    def _tuple2(self, _: Any) -> None:
        self.stack[-2:] = [tuple(self.stack[-2:])]

    def _tuple3(self, _: Any) -> None:
        self.stack[-3:] = [tuple(self.stack[-3:])]

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        self.stack[-1].append(item)

    def _appends(self, _: Any) -> None:
        items = self._since_mark()
        self.stack[-1].extend(items)

    def _additems(self, _: Any) -> None:
        items = self._since_mark()
        self.stack[-1].update(items)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][key] = value

    def _setitems(self, _: Any) -> None:
        items = self._since_mark()
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def _global(self, argument: str) -> None:
        module, name = argument.split(" ", 1)
        self.stack.append(self._builder(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self._builder(module, name))

    def _builder(self, module: str, name: str) -> Callable[..., Any]:
        module = "builtins" if module == "__builtin__" else module  # as old files call it
        if (module, name) not in self.builders:
            raise RunDataError(
                f"{self.name} asks for {module}.{name}, which is not needed to hold a table.",
                hint="Nothing of it was run. The file is not the one that this reader knows.",
            )
        return self.builders[module, name]

    def _reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if function not in self.builders.values():
            raise ValueError("a call of something that is no builder")
        self.stack.append(function(*arguments))

    _newobj = _reduce

    def _build(self, _: Any) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if not isinstance(made, Stored):
            raise ValueError(f"a state for a {type(made).__name__}")
        made.take(state)
