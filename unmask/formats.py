"""The one table of picture formats: which suffixes are read and written, and what they are called elsewhere."""

from __future__ import annotations

from pathlib import Path

from .errors import UsageError

# suffix -> Pillow's name of the format; the first suffix of a format names files of it that have no name yet
SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".mpo": "JPEG", ".png": "PNG", ".webp": "WEBP",
    ".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF", ".avif": "AVIF", ".tif": "TIFF", ".tiff": "TIFF",
    ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM",
    ".jp2": "JPEG2000", ".j2k": "JPEG2000",
}  # fmt: skip
MIMES = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff", "BMP": "image/bmp",
    "GIF": "image/gif", "PPM": "image/x-portable-anymap", "JPEG2000": "image/jp2", "AVIF": "image/avif",
    "HEIF": "image/heic",
}  # fmt: skip
CLIP_MIMES = {
    ".mp4": "video/mp4", ".mov": "video/quicktime", ".m4v": "video/x-m4v", ".mkv": "video/x-matroska",
    ".webm": "video/webm", ".avi": "video/x-msvideo",
}  # fmt: skip
KINDS = "JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP, GIF, PPM or JPEG 2000"  # for messages


def format_of(path: Path) -> str | None:
    """Pillow's name of the format that a suffix stands for; None where it stands for none."""
    return SUFFIXES.get(path.suffix.lower())


def suffix_of(format: str) -> str:
    """The usual suffix of a format, with its dot."""
    return next(suffix for suffix, name in SUFFIXES.items() if name == format)


def note_file(path: Path) -> Path | None:
    """Where the note of a picture goes whose format has no place for one: ``NAME.EXT.note.json``."""
    return path.with_name(f"{path.name}.note.json") if format_of(path) in ("BMP", "PPM") else None


def is_lossy(path: Path) -> bool:
    """Whether a file of that name is encoded anew as a whole, so that all its pixels change a little."""
    return format_of(path) in ("JPEG", "WEBP", "HEIF", "AVIF")


def refuse_unwritable(target: Path, source: Path | None = None) -> None:
    """UsageError for a file that is to be written and whose suffix stands for no format.

    No suffix at all, or that of ``source``, says nothing: the picture keeps the format it has.
    """
    suffix = target.suffix.lower()
    if source is not None and not source.suffix and target.stem == source.name:
        return  # the name of a file without a suffix, with a mark such as ".unmasked" behind it
    if suffix and suffix not in SUFFIXES and (source is None or suffix != source.suffix.lower()):
        raise UsageError(f"{target}: no picture can be written as {suffix}; end it in one of {', '.join(SUFFIXES)}")
