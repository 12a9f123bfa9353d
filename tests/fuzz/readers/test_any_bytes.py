"""Any text is a list, a config or a refusal; any bytes a pickle or a refusal (hypothesis)."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.readers import corpus
from unmask import config, pickles
from unmask.errors import UnmaskError
from unmask.evaluation.pairs import binset, readers

WORDS = (
    *("Ann_Lee", "Bo_Ek", "1", "2", "0", "3", "10", "-1", "true", "name", "imagenum1", "path_a", "path_b", "issame"),
    *("fold", "Ann_Lee_0001.jpg", "../x", "Ann_Lee/Ann_Lee_0002.jpg"),
)
words = st.sampled_from([*WORDS, "", "9" * 50])
lines = st.lists(words, max_size=5).flatmap(lambda w: st.sampled_from([" ", "\t", ",", ";"]).map(lambda c: c.join(w)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@settings(max_examples=150, deadline=None)
@given(st.lists(lines, max_size=8).map("\n".join) | st.text(max_size=80), st.sampled_from(["p.txt", "p.csv", "p.tsv"]))
def test_any_text_is_a_list_or_told(folder: Path, text: str, name: str) -> None:
    (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = readers.read(folder / name, corpus.PICTURES)
    except UnmaskError as error:
        assert name in str(error) and "\n" not in str(error)
    else:
        assert {pair.issame for pair in found.pairs} == {True, False}


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab: \n-[]{},&*?|>'\"#%@!~<0", max_size=120))
@example("a: &x [*x]")
@example("? - a\n: b")
@example("%YAML 9.9\n---\na: b")
def test_any_text_is_a_config_or_told(folder: Path, text: str) -> None:
    (folder / "c.yaml").write_text(text, encoding="utf-8")
    try:
        assert isinstance(config.read(folder / "c.yaml"), dict)
    except UnmaskError as error:
        assert "c.yaml" in str(error) and "\n" not in str(error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 5))
def test_any_bytes_are_plain_values_or_told(data: bytes, protocol: int) -> None:
    for blob in (data, bytes([128, protocol]) + data, bytes([128, protocol]) + b"]q\0(" + data + b"e."):
        with contextlib.suppress(UnmaskError):
            pickles.load(blob, {**pickles.PLAIN, **pickles.NUMPY})
        try:
            binset.parse(Path("x.bin"), blob)
        except UnmaskError as error:
            assert "x.bin" in str(error)
