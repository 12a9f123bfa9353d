"""Configs: types come from the dataclass, every mistake names its key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask import config
from unmask.errors import UsageError


@dataclass(frozen=True)
class Inner:
    width: int = 3
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    lr: float
    on: bool = False
    kind: Literal["a", "b"] = "a"
    inner: Inner = Inner()
    pair: tuple[int, float] = (1, 2.0)
    place: Path | None = None
    table: dict[str, int] | None = None


def write(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text)
    return path


def test_scalars_take_the_type_of_their_field(tmp_path: Path) -> None:
    found = config.load(
        write(tmp_path, "lr: 1e-4\non: no\nkind: b\ninner: {width: 1_000, names: [no, yes]}\npair: [3, 1]\n"), Outer
    )
    assert found == Outer(1e-4, False, "b", Inner(1000, ("no", "yes")), (3, 1.0))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lr: fast", "lr is 'fast'"), ("{}", "missing key 'lr'"), ("lr: 1\nlr: 2", "'lr' stands twice"),
        ("lr: 1\ncolor: 2", "unknown key 'color'"), ("lr: 1\ninner: {with: 2}", "unknown key 'inner.with'"),
        ("lr: 1\ninner: 2", "group of keys"), ("lr: 1\nkind: c", "kind is 'c'"), ("lr: 1\npair: [1]", "pair has 1"),
        ("lr: 1\non: perhaps", "on is 'perhaps'"), ("lr: [1", "YAML"), ("- 1", "mapping"),
        ("lr: {a: 1}", "lr is a group"),
        ("lr: 1\ninner: {names: x}", "it is a list"), ("lr: !!python/object/apply:os.getcwd []", "lr"),
    ],
)  # fmt: skip
def test_mistakes_name_file_and_key(tmp_path: Path, text: str, named: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as error:
        config.load(path, Outer)
    assert named in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_overrides_reach_nested_keys_and_leave_the_input_alone() -> None:
    content = {"lr": "1", "inner": {"width": "2"}}
    changed = config.override(content, ["inner.width=7", "lr=2", "inner.names=[a, b]"])
    assert config.build(Outer, changed) == Outer(2.0, inner=Inner(7, ("a", "b")))
    assert content == {"lr": "1", "inner": {"width": "2"}}


@pytest.mark.parametrize("text", ["lr", "=1", "lr.x=1"])
def test_bad_overrides_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        config.override({"lr": "1"}, [text])


def test_missing_file_and_binary_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="existing config"):
        config.load(tmp_path / "none.yaml", Outer)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match=r"b\.yaml"):
        config.load(tmp_path / "b.yaml", Outer)


@given(st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.integers(-(10**12), 10**12))
def test_plain_and_build_are_inverse(lr: float, on: bool, width: int) -> None:
    made = Outer(lr, on, inner=Inner(width, ("x",)), place=Path("a/b"))
    assert config.build(Outer, config.plain(made)) == made
