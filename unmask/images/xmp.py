"""The provenance note: what was synthesized and by what, as an XMP packet (and PNG text) inside the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import unescape
from typing import Any
from xml.sax.saxutils import escape

NAMESPACE = "urn:unmask:provenance"
PNG_KEYWORD = "unmask"
# The newscodes term for a photo of which a part was made by a trained model.
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_OURS = b'<rdf:Description rdf:about="" xmlns:unmask="urn:unmask:provenance"'
_OURS_END = b"</rdf:Description>"
_NOTE, _NOTE_END = b"<unmask:Note>", b"</unmask:Note>"


def note_text(note: Mapping[str, Any]) -> str:
    """The note as one line of ASCII JSON."""
    return json.dumps(dict(note), sort_keys=True, default=str)


def packet(note: Mapping[str, Any], existing: bytes | None = None) -> bytes:
    """An XMP packet carrying ``note``, merged into the ``existing`` packet of the file where there is one."""
    description = (
        f'<rdf:Description rdf:about="" xmlns:unmask="{NAMESPACE}"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f"<Iptc4xmpExt:DigitalSourceType>{_SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>"
        f"<unmask:Note>{escape(note_text(note))}</unmask:Note>"
        "</rdf:Description>"
    ).encode("ascii")
    if existing and existing.count(b"</rdf:RDF>") == 1:
        kept = _without_ours(existing)
        return kept.replace(b"</rdf:RDF>", description + b"</rdf:RDF>")
    return (
        b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        + description
        + b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


def read_note(data: bytes) -> dict[str, Any] | None:
    """The provenance note inside the bytes of an image file (or an XMP packet), or None."""
    for part in reversed(data.split(_NOTE)[1:]):  # the last is ours, whatever stands before it
        text, end, _ = part.partition(_NOTE_END)
        if not end:
            continue
        try:
            note = json.loads(unescape(text.decode("utf-8", "replace")))
        except (ValueError, RecursionError):
            continue
        if isinstance(note, dict):
            return note
    return None


def _without_ours(packet: bytes) -> bytes:
    """A packet without the notes that we wrote into it earlier; one pass, whatever it holds."""
    first, *others = packet.split(_OURS)
    kept = [first]
    for part in others:
        _, end, rest = part.partition(_OURS_END)
        kept.append(rest if end else _OURS + part)
    return b"".join(kept)
