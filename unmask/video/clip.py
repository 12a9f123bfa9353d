"""Clips through PyAV: frames in, parts of frames out, and the parts joined with the sound."""

from __future__ import annotations

import heapq
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import files
from ..errors import UnmaskError

PART = ".nut"  # keeps any codec and any time base
_CODECS = {".webm": ("libvpx-vp9", {"crf": "24", "b": "0", "row-mt": "1", "cpu-used": "4"})}
_H264 = ("libx264", {"crf": "16", "preset": "fast", "bf": "0"})  # no B-frames: parts join without a gap
_BT709 = 1


@dataclass(frozen=True)
class Frame:
    """A picture uint8 [H,W,3], upright, at ``time`` (in ticks of ``base`` seconds), in the clip's color space."""

    pixels: NDArray[np.uint8]
    time: int
    base: Fraction
    colors: Mapping[str, int]


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise UnmaskError("clips need PyAV; install it with: pip install 'unmask[video]'") from None
    return av


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    av = _av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UnmaskError(f"{path}: holds no moving picture; give a clip")
            yield container
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnmaskError(f"{path}: cannot be read as a clip ({_reason(error)}); convert it to MP4") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0][:100]


def length(path: Path) -> int | None:
    """How many frames the clip says it has, or about; None where it does not say."""
    with _opened(path) as container:
        video = container.streams.video[0]
        if video.frames:
            return int(video.frames)
        if container.duration and video.average_rate:
            return int(container.duration / 1_000_000 * video.average_rate)
        return None


def frames(path: Path, first: int = 0) -> Generator[Frame, None, None]:
    """The frames of a clip from number ``first`` on, one at a time."""
    with _opened(path) as container:
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        for number, frame in enumerate(container.decode(video)):
            if number < first:
                continue
            space = "ITU709" if frame.colorspace == _BT709 else "ITU601"
            pixels = frame.to_ndarray(format="rgb24", src_colorspace=space, dst_colorspace=space)
            turned = np.rot90(pixels, round(getattr(frame, "rotation", 0) / 90) % 4)
            colors = {
                name: int(getattr(frame, name))
                for name in ("colorspace", "color_primaries", "color_trc") if hasattr(frame, name)
            }  # fmt: skip
            base = Fraction(frame.time_base or video.time_base)
            time = number if frame.pts is None else int(frame.pts)
            yield Frame(np.ascontiguousarray(turned), time, base, colors)


class PartWriter:
    """Writes frames, without sound, to one part of a clip; ``suffix`` is that of the clip they will be joined to."""

    def __init__(self, path: Path, suffix: str) -> None:
        self.path, self.suffix = path, suffix.lower()
        self._stream: Any = None
        self._container = _av().open(str(path), "w", format="nut")

    def add(self, frame: Frame) -> None:
        """Encode one frame."""
        av = _av()
        stream: Any = self._stream or self._begin(frame)
        space = "ITU709" if frame.colors.get("colorspace") == _BT709 else "ITU601"
        picture = av.VideoFrame.from_ndarray(frame.pixels, format="rgb24").reformat(
            format=stream.pix_fmt, src_colorspace=space, dst_colorspace=space
        )
        picture.pts, picture.time_base = frame.time, frame.base
        self._container.mux(stream.encode(picture))

    def _begin(self, frame: Frame) -> Any:
        codec, options = _CODECS.get(self.suffix, _H264)
        stream = self._container.add_stream(codec, options=dict(options))
        stream.height, stream.width = frame.pixels.shape[:2]
        stream.pix_fmt = "yuv420p" if stream.height % 2 == stream.width % 2 == 0 else "yuv444p"
        stream.time_base = stream.codec_context.time_base = frame.base
        stream.codec_context.gop_size = 60
        for name, value in frame.colors.items():
            setattr(stream.codec_context, name, value)
        self._stream = stream
        return stream

    def close(self) -> None:
        """Write what is still in the encoder."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()


def join(parts: Sequence[Path], source: Path, out: Path, note: Mapping[str, Any]) -> None:
    """Put the parts one after another into ``out`` with the sound of ``source``, which is copied as it is.

    Raises:
        UnmaskError: the format of ``out`` cannot hold the sound, or ``out`` cannot be written.
    """
    with files.replacing(out) as part:
        try:
            _join(parts, source, part, note)
        except (_av().FFmpegError, OSError, ValueError) as error:
            why = f"cannot be written ({_reason(error)}); give -o a name that ends in .mkv"
            raise UnmaskError(f"{out}: {why}") from None


def _join(parts: Sequence[Path], source: Path, out: Path, note: Mapping[str, Any]) -> None:
    av = _av()
    with av.open(str(source)) as sound, av.open(str(out), "w") as joined, av.open(str(parts[0])) as first:
        joined.metadata.update({**sound.metadata, "comment": json.dumps(note, ensure_ascii=False)})
        video = joined.add_stream_from_template(first.streams.video[0])
        tracks = {one.index: joined.add_stream_from_template(one) for one in sound.streams.audio}
        packets = [_video_packets(parts, video)]
        if tracks:
            packets.append(_sound_packets(sound, tracks))
        for _, packet in heapq.merge(*packets, key=lambda pair: pair[0]):
            joined.mux(packet)


def _video_packets(parts: Sequence[Path], stream: Any) -> Iterator[tuple[float, Any]]:
    for part in parts:
        with _av().open(str(part)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is not None:
                    packet.dts = packet.pts  # no frame refers to a later one
                    packet.stream = stream
                    yield float(packet.pts * packet.time_base), packet


def _sound_packets(container: Any, tracks: Mapping[int, Any]) -> Iterator[tuple[float, Any]]:
    for packet in container.demux(container.streams.audio):
        if packet.dts is not None:
            time = float(packet.dts * packet.time_base)
            packet.stream = tracks[packet.stream.index]
            yield time, packet
