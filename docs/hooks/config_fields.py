"""The keys of every training task's config, read from the dataclasses: what stands under a field says what it is."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import textwrap
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

from unmask.training import TASKS
from unmask.training.loop import RunConfig


@dataclasses.dataclass(frozen=True)
class Field:
    """One key of a config: its dotted name, the class that defines it, its default and its docstring."""

    name: str
    owner: type
    default: Any
    doc: str

    @property
    def key(self) -> str:
        """``module.Class.field`` of where it is defined, without the package's name."""
        return f"{self.owner.__module__.partition('.')[2]}.{self.owner.__name__}.{self.name.rpartition('.')[2]}"


def schema(task: str) -> type:
    """The config class of a task."""
    found: type = importlib.import_module(f"unmask.{TASKS[task]}").Config
    return found


def fields(kind: type, prefix: str = "") -> Iterator[Field]:
    """All fields of a config class, groups opened."""
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        hint = typing.get_type_hints(kind)[field.name]
        if dataclasses.is_dataclass(hint):
            yield from fields(hint, f"{prefix}{field.name}.")  # type: ignore[arg-type]
            continue
        line = [one for one in reversed(kind.__mro__) if field.name in getattr(one, "__annotations__", {})]
        doc = next((_docs(one)[field.name] for one in reversed(line) if field.name in _docs(one)), "")
        yield Field(prefix + field.name, line[0], field.default, doc)


@cache
def _docs(kind: type) -> dict[str, str]:
    """The strings that stand under the fields of one class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for one, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            match below:
                case ast.Expr(ast.Constant(str(text))):
                    found[one.target.id] = " ".join(text.split())
    return found


def tables() -> str:
    """The reference of all configs as Markdown: what every run has, then what each task adds."""
    common = {field.name for field in fields(RunConfig)}
    parts = ["## Every task", _table(list(fields(RunConfig)))]
    for task in TASKS:
        own = [one for one in fields(schema(task)) if one.name not in common]
        parts += [f"## `{task}`", _table(own)]
    return "\n\n".join(parts)


def _table(rows: list[Field]) -> str:
    lines = ["| key | default | |", "|---|---|---|"]
    for row in rows:
        shown = "" if row.default is dataclasses.MISSING else f"`{_plain(row.default)}`"
        lines.append(f"| `{row.name}` | {shown} | {row.doc.replace('``', '`').replace('|', '/')} |")
    return "\n".join(lines)


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value) if str(value) else '""'
