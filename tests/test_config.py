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
    with pytest.raises(UsageError, match="there is no such file"):
        config.load(tmp_path / "none.yaml", Outer)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match=r"b\.yaml"):
        config.load(tmp_path / "b.yaml", Outer)


@given(st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.integers(-(10**12), 10**12))
def test_plain_and_build_are_inverse(lr: float, on: bool, width: int) -> None:
    made = Outer(lr, on, inner=Inner(width, ("x",)), place=Path("a/b"))
    assert config.build(Outer, config.plain(made)) == made


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a: &x [1]\nlr: *x", r"line 2: the alias \*x"),
        ("? [a, b]\n: 1", "line 1: a group as a key"),
        ("? {a: 1}\n: 1", "line 1: a group as a key"),
        ("lr: " + "[" * 5000, "line 1: more than 20 groups"),
        ("lr: " + "{a: " * 5000, "line 1: more than 20 groups"),
        ("\n".join(" " * i + "a:" for i in range(100)), "more than 20 groups"),
        ("- " * 5000, "more than 20 groups"),
        ("lr: " + "9" * 300_000, "is longer than"),
        ("lr: 1\0", "not valid YAML"),
        ("lr: nan", "lr is 'nan'; it is a float"),
        ("lr: 1\nplace: ~nobody-here/x", "no such home folder"),
    ],
)
def test_what_would_not_end_is_refused_at_once(tmp_path: Path, text: str, named: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=named) as error:
        config.load(path, Outer)
    assert str(path) in str(error.value) and len(str(error.value)) < len(str(path)) + 200


def test_aliases_that_multiply_are_refused_unread(tmp_path: Path) -> None:
    """Nine lines would make ten thousand million entries."""
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(UsageError, match="line 2: the alias"):
        config.read(write(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize("text", ["lr=*x", "lr=" + "[" * 100, "lr={[a]: 1}", "=1", "lr", "inner={a: &x 1, b: *x}"])
def test_overrides_are_held_to_the_same(text: str) -> None:
    with pytest.raises(UsageError):
        config.override({"lr": "1"}, [text])


def test_ranges() -> None:
    even = config.Range(2, 8, step=2)
    assert [even.fault(v) for v in (2, 8)] == ["", ""]
    assert even.fault(3) == "it is a multiple of 2" and even.fault(10) == "it is from 2 to 8"
    assert config.Range(0, above=True).fault(0) == "it is above 0" and not config.Range(0, above=True).fault(1e-9)
    assert config.Range(8, 64, power=True).fault(24) == "it is a power of two from 8 to 64"
    assert config.Range().fault(float("nan")) == "it is a finite number"
    assert config.Length(1, 2).fault([]) == "it takes 1 to 2 entries" and not config.Length(1, 2).fault([1])
