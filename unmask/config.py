"""Configuration: YAML is data, a frozen dataclass is its shape, and an unknown or ill-typed key names itself."""

from __future__ import annotations

import dataclasses
import itertools
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml

from . import files
from .errors import UnmaskError, UsageError

T = TypeVar("T")
_TRUE, _FALSE, _NULL = ("true", "yes", "on"), ("false", "no", "off"), ("", "null", "~", "none")
CONFIGS = Path(__file__).parent / "configs"
MAX_BYTES = 200_000  # of a config file
MAX_DEPTH = 20  # groups within groups
MAX_INT = 10**12


@dataclasses.dataclass(frozen=True)
class Range:
    """Which numbers a field takes.

    From ``least`` (itself excluded if ``above``) to ``most``, multiples of ``step`` or powers of two. No field takes
    infinity or what is no number.
    """

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    step: int = 0
    power: bool = False

    def fault(self, value: float) -> str:
        """What is wrong with a value, or an empty string."""
        if not math.isfinite(value) or value < self.least or value > self.most or (self.above and value == self.least):
            low = f"above {self.least:.10g}" if self.above else f"from {self.least:.10g}"
            high = f" to {self.most:.10g}" if math.isfinite(self.most) else ""
            return f"it is {low}{high}" if math.isfinite(self.least) else "it is a finite number"
        if self.power and int(value) & (int(value) - 1):
            return f"it is a power of two from {self.least:g} to {self.most:g}"
        return f"it is a multiple of {self.step}" if self.step and value % self.step else ""


@dataclasses.dataclass(frozen=True)
class Length:
    """How many entries a list takes."""

    least: int
    most: int

    def fault(self, value: Sequence[Any]) -> str:
        """What is wrong with a list, or an empty string."""
        return "" if self.least <= len(value) <= self.most else f"it takes {self.least} to {self.most} entries"


Count = Annotated[int, Range(1, MAX_INT)]
Number = Annotated[int, Range(0, MAX_INT)]
Seed = Annotated[int, Range(0, 2**32 - 1)]
BatchSize = Annotated[int, Range(1, 65536)]
PoolSize = Annotated[int, Range(1, 10_000_000)]
Threads = Annotated[int, Range(0, 1024)]
Workers = Annotated[int, Range(1, 256)]
Variants = Annotated[int, Range(1, 1000)]
Side = Annotated[int, Range(8, 1024, power=True)]
SceneSide = Annotated[int, Range(32, 4096, step=32)]
Pixels = Annotated[int, Range(16, 1024)]
Width = Annotated[int, Range(1, 8192)]
Width0 = Annotated[int, Range(0, 8192)]
Few = Annotated[int, Range(0, 256)]
Layers = Annotated[int, Range(1, 64)]
Grid = Annotated[int, Range(1, 16)]
Stride = Annotated[int, Range(1, 2)]
Share = Annotated[float, Range(0, 1)]
Margin = Annotated[float, Range(0, 1)]
Sign = Annotated[float, Range(-1, 1)]
Weight = Annotated[float, Range(0, 1e12)]
Minutes = Annotated[float, Range(0, 1e9)]
Rate = Annotated[float, Range(0, 1e12)]
Positive = Annotated[float, Range(0, 1e12, above=True)]
Widths = Annotated[tuple[Width, ...], Length(1, 16)]
Depths = Annotated[tuple[Annotated[int, Range(1, 256)], ...], Length(0, 16)]
Sides = Annotated[tuple[Annotated[int, Range(4, 1024, power=True)], ...], Length(0, 16)]


class _Loader(yaml.BaseLoader):
    """YAML with every scalar kept as text, for the dataclass decides the type, and little else.

    No key twice, no alias (a few of them multiply without end), no group as a key, no more than a few levels.
    """

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            raise UsageError(f"{where}: the alias *{str(event.anchor)[:40]}; write the value itself")
        if self.depth >= MAX_DEPTH:
            raise UsageError(f"{where}: more than {MAX_DEPTH} groups within each other; a config has no such thing")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UsageError(f"line {key.start_mark.line + 1}: a group as a key; a key is a word")
            if key.value in seen:
                raise UsageError(f"line {key.start_mark.line + 1}: the key {key.value!r} stands twice; remove one")
            seen.add(key.value)
        return super().construct_mapping(node, deep=True)


def read(path: str | Path) -> dict[str, Any]:
    """Read a YAML file of nested mappings, all scalars as text. Raises UsageError naming the file."""
    try:
        text = files.read(path, MAX_BYTES).decode("utf-8")
    except UnmaskError as error:
        raise UsageError(str(error)) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text file; a config is YAML in UTF-8") from None
    try:
        content = yaml.load(text, Loader=_Loader)  # a safe loader: text only
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}:" if mark else ""
        raise UsageError(f"{path}:{where} not valid YAML ({getattr(error, 'problem', error)})") from None
    except ValueError as error:
        raise UsageError(f"{path}: not valid YAML ({error})") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: a config is a mapping of keys to values")
    return content


def shipped() -> dict[str, str]:
    """The configs that come with the package: name -> the first sentence of the comment at its top."""
    found = {}
    for path in sorted(CONFIGS.glob("*.yaml"), key=lambda path: path.stem):
        lines = path.read_text(encoding="utf-8").splitlines()
        comment = " ".join(line.lstrip("# ") for line in itertools.takewhile(lambda line: line.startswith("#"), lines))
        found[path.stem] = comment.partition(". ")[0].rstrip(".")
    return found


def find(name: str) -> Path:
    """The path of a config: an existing file, or the name of one that ships with the package."""
    if Path(name).is_file():
        return Path(name)
    path = CONFIGS / f"{name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        raise UsageError(f"{name}: no such config; give a YAML file or one of {', '.join(shipped())}")
    return path


def override(content: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Apply ``a.b=value`` assignments to nested mappings and return the result (the input is left alone)."""
    result: dict[str, Any] = {k: override(v, ()) if isinstance(v, Mapping) else v for k, v in content.items()}
    for assignment in assignments:
        dotted, found, value = assignment.partition("=")
        if not found or not dotted:
            raise UsageError(f"{assignment!r}: an override reads key=value, for instance batch_size=16")
        try:
            parsed = yaml.load(value, Loader=_Loader)
        except UsageError as error:
            raise UsageError(f"{assignment[:60]!r}: {error}") from None
        except (yaml.YAMLError, ValueError):
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
    hints = typing.get_type_hints(schema, include_extras=True)
    fields = {f.name: f for f in dataclasses.fields(schema) if f.init}  # type: ignore[arg-type]
    for key in content:
        if key not in fields:
            raise UsageError(f"unknown key {_shown(where + key)}; known here: {', '.join(fields)}")
    missing = [
        n
        for n, f in fields.items()
        if n not in content and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"missing key {where + missing[0]!r}; add it to the config")
    values = {key: _convert(value, hints[key], where + key) for key, value in content.items()}
    try:
        return schema(**values)
    except ValueError as error:  # values that do not go together
        raise UsageError(f"{where}{error}") from None


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        found = _convert(value, arguments[0], where)
        fault = next(filter(None, (rule.fault(found) for rule in arguments[1:])), None)
        if fault:
            raise UsageError(f"{where} is {_shown(found)}; {fault}")
        return found
    if origin in (typing.Union, types.UnionType):
        if type(None) in arguments and (value is None or (isinstance(value, str) and value.lower() in _NULL)):
            return None
        inner = [a for a in arguments if a is not type(None)]
        return _convert(value, inner[0], where)
    if origin is typing.Literal:
        if value not in arguments:
            raise UsageError(f"{where} is {_shown(value)}; it can be {', '.join(map(str, arguments))}")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise UsageError(f"{where} is {_shown(value)}; it holds a group of keys")
        return build(hint, value, where + ".")
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise UsageError(f"{where} is {_shown(value)}; it is a list such as [a, b]")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise UsageError(f"{where} has {len(value)} values; it takes {len(kinds)}")
        return tuple(_convert(v, k, f"{where}[{i}]") for i, (v, k) in enumerate(zip(value, kinds, strict=True)))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise UsageError(f"{where} is {_shown(value)}; it holds a group of keys")
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
            return _finite(text)
    except ValueError:
        raise UsageError(f"{where} is {_shown(text)}; it is a {hint.__name__}") from None
    if "\0" in text:
        raise UsageError(f"{where} is {_shown(text)}; it is a text without NUL")
    try:
        return Path(text).expanduser() if hint is Path else text
    except RuntimeError:
        raise UsageError(f"{where} is {_shown(text)}; there is no such home folder") from None


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError
    return found


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
