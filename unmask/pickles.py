"""Pickles of others, read as data: no name in a file is ever imported and nothing of it is run.

The opcodes are worked through here with a stack and a memo. A name in the file stands for the value or the function
that the caller's table has for it; any other name, and any other opcode, is refused. What a file can make is bounded by
its own size, so that a small one cannot fill the memory.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import UnmaskError

__all__ = ["NUMPY", "PLAIN", "Array", "Damaged", "Names", "Recorded", "load"]

MAX_OPCODES = 500_000  # about a second; NVIDIA's largest generator takes a fifth of it
SPARE = 1 << 16  # bytes that calls may handle beyond four times the file
Names = Mapping[tuple[str, str], Any]


class Damaged(UnmaskError):
    """A pickle that is cut short or was written over."""


class Recorded:
    """An object that is rebuilt from a recorded state: ``build`` takes it."""

    def build(self, state: Any) -> None:
        """Take the state that the pickle gives."""
        raise UnmaskError("gives a state to an object that has none")

    def __setstate__(self, state: Any) -> None:
        self.build(state)  # where torch reads the pickle


class _Mark:
    """The opcode MARK on the stack."""


class _Callable:
    """A function of the caller's table on the stack, out of reach of everything but a call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


def load(
    data: bytes | io.BytesIO, names: Names, persistent: Callable[[Any], Any] | None = None, most: int = MAX_OPCODES
) -> Any:
    """The value of one pickle, made of plain values and of what ``names`` gives.

    Args:
        data: the pickle, or a stream that stands at its first byte and is left behind its last one.
        names: (module, name) -> a constant, or a function that is called with the arguments in the file.
        persistent: what a persistent id stands for; without it such ids are refused.
        most: opcodes that are worked through before the file is refused.

    Raises:
        Damaged: The pickle is no whole one.
        UnmaskError: It asks for more than data. The messages are parts of a line and name no file.
    """
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        return _Machine(names, persistent, len(stream.getbuffer())).run(stream, most)
    except UnmaskError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, EOFError, OverflowError) as error:
        raise Damaged(f"is damaged ({_line(error)})") from None


class _Machine:
    def __init__(self, names: Names, persistent: Callable[[Any], Any] | None, size: int) -> None:
        self.names, self.persistent = names, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.left = 4 * size + SPARE

    def run(self, stream: io.BytesIO, most: int) -> Any:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
            name = opcode.name
            if count >= most:
                raise UnmaskError(f"has more than {most} steps")
            if name == "STOP":
                return self.stack.pop()
            if name in _PUSHED:
                self.stack.append(_PUSHED[name](argument))
            elif name in _STEPS:
                _STEPS[name](self, argument)
            elif name not in ("PROTO", "FRAME"):
                raise UnmaskError(f"holds more than data ({name} at byte {position})")
        raise ValueError("cut short")

    def since_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while not isinstance(self.stack[at], _Mark):
            at -= 1
            if at < 0:
                raise ValueError("no mark")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def several(self, count: int) -> None:
        if len(self.stack) < count:
            raise ValueError("cut short")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(_key(item) for item in items)
        else:
            raise ValueError("adds to what is no list")

    def fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("puts an entry into what is no table")
        target.update(zip(map(_key, items[::2]), items[1::2], strict=True))

    def find(self, module: Any, name: Any) -> None:
        module, name = _text(module), _text(name)
        if (module, name) not in self.names:
            raise UnmaskError(f"needs {module[:80]}.{name[:80]}, which is not run here")
        found = self.names[module, name]
        self.stack.append(_Callable(found) if callable(found) else found)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Callable) or not isinstance(arguments, tuple):
            raise ValueError("calls what is no function")
        self.left -= sum(len(a) for a in arguments if isinstance(a, str | bytes | list | tuple | dict | set))
        if self.left < 0:
            raise UnmaskError("makes far more than it holds")
        self.stack.append(function.function(*arguments))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Recorded):
            target.build(state)
        elif not isinstance(target, dict):  # attributes of a dict do not matter here
            raise ValueError("gives a state to plain data")

    def named_persistently(self) -> None:
        if self.persistent is None:
            raise UnmaskError("refers to something outside of it")
        self.stack.append(self.persistent(self.stack.pop()))


def _key(value: Any) -> Any:
    """A value that may be hashed at no great cost."""
    flat = value if isinstance(value, tuple) else (value,)
    if len(flat) > 16 or not all(isinstance(v, str | bytes | int | float | None) for v in flat):
        raise ValueError("a key that is no plain value")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str | bytes):
        raise ValueError("a name that is no text")
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _line(error: Exception) -> str:
    text = (str(error).splitlines() or [type(error).__name__])[0][:100]
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _same(value: Any) -> Any:
    return value


_PUSHED: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: {},
    "EMPTY_SET": lambda _: set(),
    "MARK": lambda _: _Mark(),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"), _same),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _same),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"), _same),
    "BYTEARRAY8": bytes,
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), lambda text: text.encode("latin-1")),  # of Python 2
}


def _put(machine: _Machine, index: Any) -> None:
    machine.memo[int(index)] = machine.stack[-1]


def _get(machine: _Machine, index: Any) -> None:
    machine.stack.append(machine.memo[int(index)])


def _dict(machine: _Machine, _: Any) -> None:
    items = machine.since_mark()
    machine.stack.append({})
    machine.fill(items)


def _pop(machine: _Machine, _: Any) -> None:
    machine.stack.pop()


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    "MEMOIZE": lambda m, _: _put(m, len(m.memo)),
    "POP": _pop,
    "POP_MARK": lambda m, _: m.since_mark().clear(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "LIST": lambda m, _: m.stack.append(m.since_mark()),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
    **{f"TUPLE{n}": lambda m, _, n=n: m.several(n) for n in (1, 2, 3)},  # type: ignore[misc]
    "DICT": _dict,
    "FROZENSET": lambda m, _: m.stack.append({_key(v) for v in m.since_mark()}),
    "APPEND": lambda m, _: (lambda item: m.extend([item]))(m.stack.pop()),
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "ADDITEMS": lambda m, _: m.extend(m.since_mark()),
    "SETITEM": lambda m, _: (lambda value, key: m.fill([key, value]))(m.stack.pop(), m.stack.pop()),
    "SETITEMS": lambda m, _: m.fill(m.since_mark()),
    "GLOBAL": lambda m, both: m.find(*both.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: (lambda name, module: m.find(module, name))(m.stack.pop(), m.stack.pop()),
    "REDUCE": lambda m, _: m.call(),
    "NEWOBJ": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": lambda m, _: m.named_persistently(),
}


def _encoded(text: Any, coding: Any) -> bytes:
    """How protocols below 3 write bytes."""
    if not isinstance(text, str) or _text(coding) not in ("latin1", "latin-1"):
        raise ValueError("bytes in another coding than latin1")
    return text.encode("latin-1")


def _bytes(value: Any = b"") -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("bytes made of something else")
    return value


class _Dtype(Recorded):
    """A numpy dtype of plain numbers, such as ``f8``."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = _text(code), "="
        if self.code not in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"):
            raise UnmaskError(f"holds a numpy dtype {self.code[:20]!r}; only numbers are read")

    def build(self, state: Any) -> None:
        order = _text(state[1])
        if order not in ("<", ">", "|", "="):
            raise ValueError("no byte order")
        self.order = order

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]


class Array(Recorded):
    """A numpy array of plain numbers; ``values`` holds it."""

    values: np.ndarray

    def __init__(self, *_: Any) -> None:
        self.values = np.zeros(0)

    def build(self, state: Any) -> None:
        """Take (version, shape, dtype, whether in Fortran's order, bytes)."""
        _, shape, dtype, fortran, data = state
        self.values = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    if not isinstance(data, bytes) or not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise ValueError("an array of something else than numbers")
    return np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    found = Array()
    found.values = _array(data, dtype, shape, order)
    return found


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(data, dtype, (1,))[0].item()


PLAIN: Names = {
    ("_codecs", "encode"): _encoded,
    **{(module, name): _bytes for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray")},
}
NUMPY: Names = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): Array,
    **{
        (f"numpy.{core}.{module}", name): made
        for core in ("core", "_core")
        for module, name, made in (
            ("multiarray", "scalar", _scalar),
            ("multiarray", "_reconstruct", Array),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
