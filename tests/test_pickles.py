"""Pickles read as data: equal to what Python's own reader makes of plain ones; nothing else is let in."""

from __future__ import annotations

import collections
import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask import pickles
from unmask.errors import UnmaskError

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.binary() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    | st.sets(st.integers()),
    max_leaves=20,
)  # fmt: skip


@given(value=plain, protocol=st.sampled_from([0, 1, 2, 3, 4, 5]))
def test_plain_values(value: Any, protocol: int) -> None:
    names = {**pickles.PLAIN, ("__builtin__", "set"): set, ("builtins", "set"): set}
    assert pickles.load(pickle.dumps(value, protocol), names) == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["?", "<f4", ">f8", "i2", "u1"])
def test_numpy(dtype: str, protocol: int) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    names = {**pickles.PLAIN, **pickles.NUMPY}
    for one in (array, np.asfortranarray(array)):
        found = pickles.load(pickle.dumps(one, protocol), names)
        np.testing.assert_array_equal(found.values, one)
    found = pickles.load(pickle.dumps([array[1, 2], np.float64(0.25)], protocol), names)
    assert found == [array[1, 2].item(), 0.25]


@pytest.mark.parametrize(
    ("value", "message"),
    [(print, "needs builtins.print"), (collections.Counter(), "needs collections.Counter"), (1j, "needs builtins.com"),
     (np.array([object()]), "dtype 'O8'"), (np.array(["a"]), "dtype 'U1'")],
)  # fmt: skip
def test_names_are_refused(value: Any, message: str) -> None:
    with pytest.raises(UnmaskError, match=message):
        pickles.load(pickle.dumps(value), pickles.NUMPY)


def test_what_a_pickle_can_reach_is_never_changed() -> None:
    """BUILD on a function or on a class of the table would set its attributes in Python's own reader."""
    names = {("a", "b"): dict, ("a", "c"): lambda: [1]}
    for state in (b"}", b"N}\x86"):
        with pytest.raises(UnmaskError, match="gives a state"):
            pickles.load(b"\x80\x04ca\nb\n" + state + b"b.", names)
        with pytest.raises(UnmaskError, match="gives a state"):
            pickles.load(b"\x80\x04ca\nc\n)R" + state + b"b.", names)
    with pytest.raises(UnmaskError, match="calls what is no function"):
        pickles.load(b"\x80\x04K\x01)R.", names)


def test_small_files_cannot_fill_the_memory() -> None:
    far = b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b"."  # Python's own reader makes a list of that length
    assert pickles.load(far, {}) == {}
    text = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000
    again = b"\x80\x02" + b"c_codecs\nencode\nq\x00" + text + b"q\x01" + b"X\x06\x00\x00\x00latin1q\x02"
    with pytest.raises(UnmaskError, match="makes far more than it holds"):
        pickles.load(again + b"h\x00h\x01h\x02\x86R" * 10_000 + b".", pickles.PLAIN)
    with pytest.raises(UnmaskError, match="more than 100 steps"):
        pickles.load(b"N" * 200 + b".", {}, most=100)
    nested = b"N" + b"\x85" * 50 + b"}h\x00N" + b"."
    with pytest.raises(UnmaskError, match="damaged"):
        pickles.load(nested, {})
    twice = b"(t" + b"q\x00h\x00\x86" * 40 + b"q\x01}h\x01Ns."  # a key that would take 2**40 steps to hash
    with pytest.raises(UnmaskError, match="no plain value"):
        pickles.load(twice, {})
