"""The bytes of a picture file, format by format, from samples and metadata that are ready to be written."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unmask.images import containers, exif, heif, previews, tiff, xmp
from unmask.images.exif import Thumbnail
from unmask.images.photo import Photo


@dataclass(frozen=True, eq=False)
class Ready:
    """What goes into a file.

    Attributes:
        photo: what was read, for what only its own format knows.
        target: Pillow's name of the format.
        samples, mode, palette: as they are stored, see :class:`unmask.images.Photo`.
        orientation: the EXIF orientation under which they lie.
        icc, exif, xmp: blocks to be written as they are.
        text: the note as a line, for formats without XMP.
        renewed: makes thumbnails anew; None where the pixels are those read and old previews stay true.
    """

    photo: Photo
    target: str
    samples: NDArray[Any]
    mode: str
    palette: NDArray[np.uint8] | None
    orientation: int
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    text: str | None
    renewed: Thumbnail | None

    @property
    def same(self) -> bool:
        """Whether the photo came in this format."""
        return self.target == self.photo.format


def encode(ready: Ready) -> bytes:
    """The file."""
    return _ENCODERS.get(ready.target, _other)(ready)


def picture(samples: NDArray[Any], mode: str, palette: NDArray[np.uint8] | None) -> Image.Image:
    """Samples as a PIL image."""
    if mode == "1":
        levels = samples.astype(np.uint8) * np.uint8(255)
        return Image.fromarray(levels).convert("1", dither=Image.Dither.NONE)
    if mode in ("CMYK", "P"):
        height, width = samples.shape[:2]
        image = Image.frombytes(mode, (width, height), np.ascontiguousarray(samples).tobytes())
        if palette is not None:
            image.putpalette(palette.tobytes())
        return image
    return Image.fromarray(np.ascontiguousarray(samples))


def _jpeg(ready: Ready) -> bytes:
    extras, out = ready.photo.extras, io.BytesIO()
    options: dict[str, Any] = {"quality": 95, "subsampling": 0}
    if ready.same and extras.get("tables"):
        options = {"qtables": extras["tables"], "progressive": extras["progressive"]}
        if extras["subsampling"] in (0, 1, 2):
            options["subsampling"] = extras["subsampling"]
    if not ready.same:
        options |= {key: value for key, value in (("icc_profile", ready.icc), ("exif", ready.exif)) if value}
    picture(ready.samples, ready.mode, None).save(out, "JPEG", optimize=True, **options)
    segments, packet = list(extras.get("segments", ())) if ready.same else [], ready.xmp
    if ready.renewed is not None:
        segments = [
            (m, exif.with_thumbnail(p, ready.renewed) if p.startswith(b"Exif\x00") else p)
            for m, p in previews.segments_without(segments)
        ]
    extension = containers.jpeg_extended_xmp(segments)
    if packet is not None and extension and xmp.holds_pictures(extension):
        segments = containers.jpeg_without_extended_xmp(segments)
        packet = xmp.tidied(packet, ready.orientation, False, extended=False)
    return containers.jpeg_splice(out.getvalue(), segments, packet, ready.text)


def _png(ready: Ready) -> bytes:
    extras = ready.photo.extras
    kept = list(extras.get("chunks", ())) if ready.same else []
    if ready.renewed is not None:
        kept = containers.png_renewed(kept, ready.exif)
    if ready.samples.dtype == np.uint16:
        data = containers.png_encode_16(ready.samples)
    else:
        options: dict[str, Any] = {}
        if ready.mode == "P":
            colors = extras.get("palette_used", 256) if ready.photo.mode == "P" else 256
            options["bits"] = next(b for b in (1, 2, 4, 8) if 2**b >= colors)
            if not ready.same and extras.get("transparency") is not None:
                options["transparency"] = extras["transparency"]
        if not ready.same:
            options.update({"icc_profile": ready.icc, "exif": ready.exif, "dpi": extras.get("dpi")})
        out = io.BytesIO()
        image = picture(ready.samples, ready.mode, ready.palette)
        image.save(out, "PNG", **{k: v for k, v in options.items() if v is not None})
        data = out.getvalue()
    text = (xmp.PNG_KEYWORD, ready.text) if ready.text is not None else None
    return containers.png_splice(data, kept, ready.xmp, text)


def _tiff(ready: Ready) -> bytes:
    tags = ready.photo.extras["tags"] if ready.same else {}
    return tiff.encode(
        ready.samples,
        ready.mode,
        tiff.without_previews(tags) if ready.renewed is not None else tags,
        ready.orientation,
        ready.icc,
        ready.xmp,
        ready.palette if ready.mode == "P" else None,
        bool(ready.photo.extras.get("compress", True)),
        white_is_zero=ready.same and ready.photo.extras.get("photometric") == 0,
        alpha=ready.photo.extras.get("alpha", 2) if ready.same else 2,
    )


def _webp(ready: Ready) -> bytes:
    lossless = bool(ready.photo.extras.get("lossless", ready.photo.format not in ("JPEG", "HEIF", "AVIF")))
    options = {"icc_profile": ready.icc, "exif": ready.exif, "xmp": ready.xmp}
    out = io.BytesIO()
    picture(ready.samples, ready.mode, None).save(
        out, "WEBP", lossless=lossless, exact=True, quality=75 if lossless else 95, method=4,
        **{k: v for k, v in options.items() if v},
    )  # fmt: skip
    return out.getvalue()


def _heif(ready: Ready) -> bytes:
    nclx = ready.photo.extras.get("nclx") if ready.same else None
    return heif.encode(ready.samples, ready.mode, ready.exif, ready.xmp, ready.icc, nclx)


def _other(ready: Ready) -> bytes:
    extras = ready.photo.extras
    options: dict[str, Any] = {"dpi": extras.get("dpi")}
    if ready.target == "GIF":
        transparency = extras.get("transparency") if ready.same else None
        options.update(transparency=transparency, comment=ready.text.encode() if ready.text else None)
    if ready.target == "AVIF":
        options.update(quality=95, subsampling="4:4:4", exif=ready.exif, xmp=ready.xmp, icc_profile=ready.icc)
    if ready.target == "JPEG2000":
        options.update(irreversible=False, comment=ready.text)
    out = io.BytesIO()
    image = picture(ready.samples, ready.mode, ready.palette)
    image.save(out, ready.target, **{k: v for k, v in options.items() if v is not None})
    return out.getvalue()


_ENCODERS: dict[str, Callable[[Ready], bytes]] = {
    "JPEG": _jpeg, "PNG": _png, "TIFF": _tiff, "WEBP": _webp, "HEIF": _heif,
}  # fmt: skip
