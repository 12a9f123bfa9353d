"""The provenance note: what was synthesized and by what, as an XMP packet (and PNG text) inside the file."""

from __future__ import annotations

import json
import re
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
_TIFF = "http://ns.adobe.com/tiff/1.0/"
# What belongs to a second picture or a film behind the photo, neither of which is written: namespace -> names, or all.
_COMPANIONS = {
    "http://ns.google.com/photos/1.0/camera/": r"(?:MotionPhoto|MicroVideo)\w*",
    "http://ns.google.com/photos/1.0/container/": r"\w+",
    "http://ns.google.com/photos/dd/1.0/container/": r"\w+",
    "http://ns.google.com/photos/dd/1.0/device/": r"\w+",
    "http://ns.google.com/photos/1.0/depthmap/": r"\w+",
    "http://ns.google.com/photos/1.0/image/": r"\w+",
    "http://ns.google.com/photos/1.0/audio/": r"\w+",
    "http://ns.oplus.com/photos/1.0/camera/": r"(?:MotionPhoto|OLivePhoto)\w*",
    "http://ns.xiaomi.com/photos/1.0/camera/": r"(?:MicroVideo|XMPMeta)\w*",
    "http://ns.adobe.com/hdr-gain-map/1.0/": r"\w+",
    "http://ns.apple.com/HDRGainMap/1.0/": r"\w+",
    "http://ns.apple.com/pixeldatainfo/1.0/": r"AuxiliaryImage\w+",
}
_PREVIEWS = {"http://ns.adobe.com/xap/1.0/": r"Thumbnails", "http://ns.adobe.com/photoshop/1.0/": r"Thumbnails"}
_EXTENDED = {"http://ns.adobe.com/xmp/note/": r"HasExtendedXMP"}


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


def tidied(packet: bytes, orientation: int, changed: bool = True, extended: bool = True) -> bytes:
    """An XMP packet that says what is true of the file written.

    Args:
        orientation: of the file; ``tiff:Orientation`` follows it.
        changed: the pixels are not those read: previews inside the packet go.
        extended: whether the extended packet that it may refer to is written too.
    """
    for prefix in _prefixes(packet, _TIFF):
        value = str(orientation).encode()
        packet = re.sub(rb"(\b%s:Orientation\s*=\s*[\"'])\s*\d+\s*" % prefix, rb"\g<1>" + value, packet)
        packet = re.sub(rb"(<%s:Orientation[^<>]*>)\s*\d+\s*(?=<)" % prefix, rb"\g<1>" + value, packet)
    gone = [_COMPANIONS, *([_PREVIEWS] if changed else []), *([] if extended else [_EXTENDED])]
    for namespace, names in (item for table in gone for item in table.items()):
        for prefix in _prefixes(packet, namespace):
            packet = _without(packet, prefix, names.encode())
    return packet


def holds_pictures(packet: bytes) -> bool:
    """Whether an (extended) packet holds pictures, such as the photo before its background was blurred."""
    tables = (_COMPANIONS, _PREVIEWS)
    return any(
        re.search(rb"\b%s:(?:%s)\b" % (prefix, names.encode()), packet)
        for table in tables for namespace, names in table.items() for prefix in _prefixes(packet, namespace)
    )  # fmt: skip


def _prefixes(packet: bytes, namespace: str) -> list[bytes]:
    found = re.findall(rb"\bxmlns:([\w.-]+)\s*=\s*[\"']%s[\"']" % re.escape(namespace.encode()), packet)
    return [re.escape(prefix) for prefix in dict.fromkeys(found)]


def _without(packet: bytes, prefix: bytes, names: bytes) -> bytes:
    """The packet without properties of a namespace, be they attributes or elements."""
    packet = re.sub(rb"\s%s:(?:%s)\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')" % (prefix, names), b"", packet)
    packet = re.sub(rb"<%s:(?:%s)(?:\s[^<>]*)?/>" % (prefix, names), b"", packet)
    opening = re.compile(rb"<(%s:(?:%s))(?:\s[^<>]*)?>" % (prefix, names))
    out, at, unclosed = b"", 0, 0
    while unclosed < 100 and (found := opening.search(packet, at)):
        end = packet.find(b"</%s>" % found.group(1), found.end())
        out += packet[at : found.start() if end >= 0 else found.end()]
        at = end + len(found.group(1)) + 3 if end >= 0 else found.end()
        unclosed += end < 0
    return out + packet[at:]
