"""Configuration: YAML is data, a frozen dataclass is its shape, and an unknown or ill-typed key names itself."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from .errors import UsageError

T = TypeVar("T")
_TRUE, _FALSE, _NULL = ("true", "yes", "on"), ("false", "no", "off"), ("", "null", "~", "none")


class _Loader(yaml.BaseLoader):
    """YAML with every scalar kept as text (the dataclass decides the type) and duplicate keys refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise UsageError(f"line {key.start_mark.line + 1}: the key {key.value!r} stands twice; remove one")
            seen.add(key.value)
        return super().construct_mapping(node, deep=True)


def read(path: str | Path) -> dict[str, Any]:
    """Read a YAML file of nested mappings, all scalars as text. Raises UsageError naming the file."""
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)  # a safe loader: text only
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give an existing config file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text file; a config is YAML in UTF-8") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}:" if mark else ""
        raise UsageError(f"{path}:{where} not valid YAML ({getattr(error, 'problem', error)})") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: a config is a mapping of keys to values")
    return content


def override(content: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Apply ``a.b=value`` assignments to nested mappings and return the result (the input is left alone)."""
    result: dict[str, Any] = {k: override(v, ()) if isinstance(v, Mapping) else v for k, v in content.items()}
    for assignment in assignments:
        dotted, found, value = assignment.partition("=")
        if not found or not dotted:
            raise UsageError(f"{assignment!r}: an override reads key=value, for instance batch_size=16")
        try:
            parsed = yaml.load(value, Loader=_Loader)
        except yaml.YAMLError:
            raise UsageError(f"{assignment!r}: the value is not valid YAML") from None
        place = result
        *parents, last = dotted.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise UsageError(f"{assignment!r}: {parent!r} holds a value, not a group of keys")
        place[last] = "" if parsed is None else parsed
    return result


def load(path: str | Path, schema: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a config file, apply ``key=value`` overrides and build ``schema``. Raises UsageError naming file and key."""
    content = override(read(path), overrides)
    try:
        return build(schema, content)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def build(schema: type[T], content: Mapping[str, Any], where: str = "") -> T:
    """Build a frozen dataclass from nested mappings of text; raises UsageError naming the key that is wrong."""
    hints = typing.get_type_hints(schema)
    fields = {f.name: f for f in dataclasses.fields(schema) if f.init}  # type: ignore[arg-type]
    for key in content:
        if key not in fields:
            raise UsageError(f"unknown key {where + key!r}; known here: {', '.join(fields)}")
    missing = [
        n
        for n, f in fields.items()
        if n not in content and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"missing key {where + missing[0]!r}; add it to the config")
    return schema(**{key: _convert(value, hints[key], where + key) for key, value in content.items()})


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if type(None) in arguments and (value is None or (isinstance(value, str) and value.lower() in _NULL)):
            return None
        inner = [a for a in arguments if a is not type(None)]
        return _convert(value, inner[0], where)
    if origin is typing.Literal:
        if value not in arguments:
            raise UsageError(f"{where} is {value!r}; it can be {', '.join(map(str, arguments))}")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise UsageError(f"{where} is {value!r}; it holds a group of keys")
        return build(hint, value, where + ".")
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise UsageError(f"{where} is {value!r}; it is a list such as [a, b]")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise UsageError(f"{where} has {len(value)} values; it takes {len(kinds)}")
        return tuple(_convert(v, k, f"{where}[{i}]") for i, (v, k) in enumerate(zip(value, kinds, strict=True)))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise UsageError(f"{where} is {value!r}; it holds a group of keys")
        return {_convert(k, arguments[0], where): _convert(v, arguments[1], f"{where}.{k}") for k, v in value.items()}
    return _scalar(value, hint, where)


def _scalar(value: Any, hint: Any, where: str) -> Any:
    if isinstance(value, (Mapping, list, tuple)):
        raise UsageError(f"{where} is a group; it is a single {hint.__name__}")
    text = str(value).strip()
    try:
        if hint is bool:
            if text.lower() in _TRUE + _FALSE:
                return text.lower() in _TRUE
            raise ValueError
        if hint is int:
            return int(text.replace("_", ""))
        if hint is float:
            return float(text)
    except ValueError:
        raise UsageError(f"{where} is {text!r}; it is a {hint.__name__}") from None
    return Path(text).expanduser() if hint is Path else text


def plain(config: Any) -> dict[str, Any]:
    """A config dataclass as nested mappings of plain values, as checkpoints and logs carry it."""

    def simple(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, Mapping):
            return {k: simple(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [simple(v) for v in value]
        return value

    return {k: simple(v) for k, v in dataclasses.asdict(config).items()}
