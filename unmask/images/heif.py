"""HEIC and HEIF, the photos of phones, through pillow-heif: opened by Pillow, written here, both up to ten bits."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.errors import UnmaskError

_QUALITY = 92
_PRESET = "ultrafast"  # of x265: of a third of the time at the same error and about the same size for still pictures
_MODES = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA"}


def register() -> bool:
    """Teach Pillow to open HEIF; False where pillow-heif is not installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def looks_like(data: bytes) -> bool:
    """Whether a file says at its start that it is HEIF."""
    brands = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
    return data[4:8] == b"ftyp" and (data[8:12] in brands)


def deep(data: bytes) -> tuple[NDArray[np.uint16], str]:
    """The samples of a file of more than eight bits, scaled to sixteen, upright, and their mode."""
    import pillow_heif

    opened = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, bgr_mode=False)
    array = np.array(np.asarray(opened))
    mode = str(opened.mode).partition(";")[0]
    if array.dtype != np.uint16 or mode not in _MODES:
        raise ValueError(f"samples of kind {opened.mode}")
    return array, mode


def encode(
    samples: NDArray[Any], mode: str, exif: bytes | None, xmp: bytes | None, icc: bytes | None,
    nclx: Mapping[str, Any] | None = None,
) -> bytes:  # fmt: skip
    """A HEIC file of upright samples ``[H, W]`` or ``[H, W, C]``, uint8 or uint16 (written with ten bits).

    Raises:
        UnmaskError: pillow-heif is missing.
    """
    try:
        import pillow_heif
    except ImportError:
        raise UnmaskError("HEIC files need pillow-heif; install it with: pip install pillow-heif") from None
    options: dict[str, Any] = {
        "quality": _QUALITY, "chroma": 420, "enc_params": {"preset": _PRESET},
        "exif": exif, "xmp": xmp, "icc_profile": icc, "nclx_profile": nclx,
    }  # fmt: skip
    out = io.BytesIO()
    wide = ";16" if samples.dtype == np.uint16 else ""
    pillow_heif.encode(
        _MODES[mode] + wide, (samples.shape[1], samples.shape[0]), np.ascontiguousarray(samples).tobytes(), out,
        **{key: value for key, value in options.items() if value is not None},
    )  # fmt: skip
    return out.getvalue()
