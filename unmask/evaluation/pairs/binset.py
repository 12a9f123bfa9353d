"""insightface's ``.bin`` verification sets: a pickle, read here without unpickling anything.

Only the opcodes that write down lists, tuples, byte strings and booleans are understood. A file with any
other opcode, such as one that would import or call something, is refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import UnmaskError

__all__ = ["parse"]

_MARK = object()
_CURE = "unpack it to pictures and a CSV of path_a,path_b,issame where you trust it"
_BYTES = {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_STRINGS = {"SHORT_BINSTRING", "BINSTRING"}  # Python 2 wrote pictures as these
_IGNORED = {"PROTO", "FRAME"}


def parse(path: Path, data: bytes) -> tuple[list[bytes], list[bool]]:
    """The encoded pictures (two a pair, in order) and the labels of a ``.bin`` set.

    Raises UnmaskError for anything but ``([picture, ...], [label, ...])`` with two pictures a label.
    """
    try:
        value = _run(path, data)
    except UnmaskError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise UnmaskError(f"{path}: not an insightface .bin set ({_line(error)}); {_CURE}") from error
    if not (isinstance(value, tuple | list) and len(value) == 2):
        raise UnmaskError(f"{path}: not a pair of pictures and labels; {_CURE}")
    pictures, labels = value
    if not (isinstance(pictures, list) and all(isinstance(p, bytes) and p for p in pictures)):
        raise UnmaskError(f"{path}: its pictures are not all plain bytes; {_CURE}")
    if not (isinstance(labels, list | tuple) and all(label in (0, 1) for label in labels)):
        raise UnmaskError(f"{path}: its labels are not all true or false; {_CURE}")
    if len(pictures) != 2 * len(labels) or not labels:
        raise UnmaskError(f"{path}: {len(pictures)} pictures for {len(labels)} labels, not two each; {_CURE}")
    return pictures, [bool(label) for label in labels]


def _run(path: Path, data: bytes) -> Any:
    """Work through the opcodes with a stack and a memo, as plain data only."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, position in pickletools.genops(data):
        name = opcode.name
        if name == "STOP":
            return stack.pop()
        if name in _IGNORED:
            continue
        if name in _BYTES:
            stack.append(bytes(argument))
        elif name in _STRINGS:
            stack.append(argument.encode("latin-1"))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _SIMPLE:
            _SIMPLE[name](stack, argument)
        else:
            raise UnmaskError(
                f"{path}: holds more than bytes and labels ({name} at byte {position}), and no pickle is run; {_CURE}"
            )
    raise ValueError("it is cut short")


def _since_mark(stack: list[Any]) -> list[Any]:
    at = len(stack) - 1 - stack[::-1].index(_MARK)
    items = stack[at + 1 :]
    del stack[at:]
    return items


def _append(stack: list[Any], _: Any) -> None:
    item = stack.pop()
    stack[-1].append(item)


def _appends(stack: list[Any], _: Any) -> None:
    items = _since_mark(stack)
    stack[-1].extend(items)


def _pair(stack: list[Any], _: Any) -> None:
    second, first = stack.pop(), stack.pop()
    stack.append((first, second))


_SIMPLE: dict[str, Callable[[list[Any], Any], None]] = {
    "MARK": lambda stack, _: stack.append(_MARK),
    "EMPTY_LIST": lambda stack, _: stack.append([]),
    "EMPTY_TUPLE": lambda stack, _: stack.append(()),
    "LIST": lambda stack, _: stack.append(_since_mark(stack)),
    "TUPLE": lambda stack, _: stack.append(tuple(_since_mark(stack))),
    "TUPLE2": _pair,
    "APPEND": _append,
    "APPENDS": _appends,
    "NEWTRUE": lambda stack, _: stack.append(True),
    "NEWFALSE": lambda stack, _: stack.append(False),
    "INT": lambda stack, value: stack.append(value),  # I01 and I00 are booleans
    "BININT": lambda stack, value: stack.append(value),
    "BININT1": lambda stack, value: stack.append(value),
}


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
