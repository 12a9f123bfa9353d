"""EXIF blocks changed where they lie: no byte moves, since the offsets in makers' notes point into the whole block."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from unmask.images import previews

Thumbnail = Callable[[bytes, int], bytes | None]  # the old thumbnail's JPEG, most bytes -> a new one, if it fits

_PREFIX = b"Exif\x00\x00"
_ORIENTATION, _STRIPS, _STRIP_BYTES, _JPEG, _JPEG_BYTES = 0x0112, 0x0111, 0x0117, 0x0201, 0x0202
_WIDTHS = {3: "H", 4: "I"}  # types of numbers that are read here: SHORT and LONG


@dataclass(frozen=True)
class _Entry:
    """A tag: the ``place`` of its value or offset, its ``kind`` and ``count``, and its first value."""

    place: int
    kind: int
    count: int
    value: int


class _Block:
    """A TIFF structure in memory; reading beyond its end raises struct.error."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.base = len(_PREFIX) if data.startswith(_PREFIX) else 0
        self.order = {b"II": "<", b"MM": ">"}.get(bytes(data[self.base : self.base + 2]), "")

    def number(self, kind: str, at: int) -> int:
        return int(struct.unpack_from(self.order + kind, self.data, self.base + at)[0])

    def put(self, kind: str, at: int, value: int) -> None:
        struct.pack_into(self.order + kind, self.data, self.base + at, value)

    def directory(self, at: int) -> tuple[dict[int, _Entry], int]:
        """The tags of the directory at an offset, and the place where the offset of the next one stands."""
        count = self.number("H", at)
        entries = {}
        for place in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = self.number("H", place), self.number("H", place + 2)
            many = self.number("I", place + 4)
            inside = _WIDTHS.get(kind, "I") if many * (2 if kind == 3 else 4) <= 4 else "I"
            entries[tag] = _Entry(place + 8, kind, many, self.number(inside, place + 8))
        end = at + 2 + 12 * count
        self.number("I", end)
        return entries, end

    def values(self, entry: _Entry) -> Iterator[int]:
        """All numbers of a tag."""
        kind = _WIDTHS[entry.kind]
        size = struct.calcsize(kind)
        at = entry.place if entry.count * size <= 4 else entry.value
        for i in range(min(entry.count, len(self.data))):
            yield self.number(kind, at + i * size)

    def wipe(self, at: int, length: int) -> None:
        first = self.base + at
        stop = min(first + length, len(self.data))
        self.data[first:stop] = bytes(max(stop - first, 0))

    def wipe_strips(self, tags: dict[int, _Entry]) -> None:
        """Overwrite the pixels of a directory that holds them plain."""
        if _STRIPS in tags and _STRIP_BYTES in tags:
            for at, count in zip(self.values(tags[_STRIPS]), self.values(tags[_STRIP_BYTES]), strict=False):
                self.wipe(at, count)


def orientation(block: bytes) -> int | None:
    """The orientation that a block names; None where it names none."""
    try:
        one = _Block(block)
        entry = one.directory(one.number("I", 4))[0].get(_ORIENTATION) if one.order else None
    except struct.error:
        return None
    return None if entry is None else entry.value


def turned(block: bytes, value: int) -> bytes:
    """The block with another orientation, where it names one."""
    try:
        one = _Block(block)
        entry = one.directory(one.number("I", 4))[0].get(_ORIENTATION) if one.order else None
        if entry is not None and entry.kind in _WIDTHS:
            one.put(_WIDTHS[entry.kind], entry.place, value)
    except struct.error:
        return block
    return bytes(one.data)


def with_thumbnail(block: bytes, make: Thumbnail) -> bytes:
    """The block with its thumbnail made anew, or without one where the new one does not fit or the old is no JPEG.

    Other pictures in it, such as the larger previews of makers' notes, are overwritten with zeros.

    Args:
        block: with or without the ``Exif`` prefix.
        make: from the old thumbnail to the new one.
    """
    one = _Block(block)
    new: bytes | None = None
    length: _Entry | None = None
    first = 0
    try:
        next_at = one.directory(one.number("I", 4))[1] if one.order else 0
        second = one.number("I", next_at) if next_at else 0
        if second:
            tags, _ = one.directory(second)
            start, length = tags.get(_JPEG), tags.get(_JPEG_BYTES)
            if start is not None and length is not None and length.kind in _WIDTHS:
                first = one.base + start.value
                old = bytes(one.data[first : first + length.value])
                new = make(old, len(old)) if old else None
                one.wipe(start.value, len(old))
            if new is None:
                one.put("I", next_at, 0)  # the first directory is the last one now
                one.wipe_strips(tags)
    except (struct.error, KeyError):  # no reader finds a thumbnail there either
        new = None
    one.data = bytearray(previews.wiped(bytes(one.data)))
    if new is not None and length is not None:
        one.data[first : first + len(new)] = new
        one.put(_WIDTHS[length.kind], length.place, len(new))
    return bytes(one.data)
