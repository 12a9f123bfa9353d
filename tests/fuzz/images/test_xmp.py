"""Any XMP packet, and any note: what is written is read again, and nothing but a dict or None comes out."""

from __future__ import annotations

import json
import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from unmask.images import xmp

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
notes = st.dictionaries(st.text(), json_values, max_size=4)
PACKET = xmp.packet({"a": "<&>"})


@settings(max_examples=150, deadline=None)
@given(notes, st.binary(max_size=200), st.binary(max_size=200))
@example({"statement": "</unmask:Note>]]>"}, b"", b"")
@example({"a\udce9": "\ud800"}, b"", b"")
@example({}, b"", b"<unmask:Note>")
def test_a_note_comes_back_out_of_any_packet(note: dict, before: bytes, after: bytes) -> None:
    for existing in (None, b"", before, before + b"</rdf:RDF>" + after, PACKET):
        written = xmp.packet(note, existing)
        if existing and b"unmask:Note>" in before:
            continue
        assert xmp.read_note(written) == json.loads(xmp.note_text(note))
        if b"unmask:Note>" not in after:  # what a foreign packet says of our tags is left to it
            assert written.count(b"<unmask:Note>") == 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_note_or_none(data: bytes) -> None:
    for blob in (data, b"<unmask:Note>" + data + b"</unmask:Note>", PACKET[:100] + data + PACKET[100:]):
        found = xmp.read_note(blob)
        assert found is None or isinstance(found, dict)


def test_mutated_packets() -> None:
    rng = random.Random(0)
    for _ in range(300):
        blob = bytearray(PACKET)
        for _ in range(rng.randint(1, 6)):
            blob[rng.randrange(len(blob))] = rng.randrange(256)
        found = xmp.read_note(bytes(blob))
        assert found is None or isinstance(found, dict)
        assert xmp.read_note(xmp.packet({"new": 1}, bytes(blob))) is not None


def test_deep_and_long_notes_end_at_once() -> None:
    digits = b'{"a":' + b"9" * 5000 + b"}"
    for inside in (b"[" * 100_000, b'{"a":' * 100_000, b"1" * 100_000, b"&amp;" * 100_000, digits):
        assert xmp.read_note(b"<unmask:Note>" + inside + b"</unmask:Note>") is None
    many = b'<rdf:Description rdf:about="" xmlns:unmask="urn:unmask:provenance"' * 3000 + b" " * 100_000
    assert xmp.packet({"a": 1}, many + b"</rdf:RDF>")
