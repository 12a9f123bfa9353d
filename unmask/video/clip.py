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
_RGB, _BT709 = 0, 1


@dataclass(frozen=True)
class Frame:
    """A picture uint8 [H,W,3], upright, at ``time`` (in ticks of ``base`` seconds), in the clip's color space.

    ``aspect`` is that of a pixel, width over height.
    """

    pixels: NDArray[np.uint8]
    time: int
    base: Fraction
    colors: Mapping[str, int]
    aspect: Fraction = Fraction(1)


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
        video.codec_context.thread_count = 1  # the cores are taken already
        for number, frame in enumerate(container.decode(video)):
            if number < first:
                continue
            turns = round(getattr(frame, "rotation", 0) / 90) % 4
            colors = {
                name: int(getattr(frame, name))
                for name in ("colorspace", "color_primaries", "color_trc") if hasattr(frame, name)
            }  # fmt: skip
            if colors.get("colorspace") == _RGB:  # it is written as BT.709
                colors["colorspace"] = _BT709
                pixels = frame.to_ndarray(format="rgb24")
            else:
                space = "ITU709" if frame.colorspace == _BT709 else "ITU601"
                pixels = frame.to_ndarray(format="rgb24", src_colorspace=space, dst_colorspace=space)
            base = Fraction(frame.time_base or video.time_base)
            time = number if frame.pts is None else int(frame.pts)
            aspect = Fraction(video.sample_aspect_ratio or 1) or Fraction(1)
            turned = np.ascontiguousarray(np.rot90(pixels, turns))
            yield Frame(turned, time, base, colors, 1 / aspect if turns % 2 else aspect)


def size(path: Path) -> tuple[int, int]:
    """Width and height of the clip's frames as they are stored."""
    with _opened(path) as container:
        video = container.streams.video[0]
        return int(video.width), int(video.height)


def losses(path: Path) -> list[str]:
    """What of a clip is not kept, in words."""
    with _opened(path) as container:
        video = container.streams.video[0]
        lost = []
        bits = max((one.bits for one in video.format.components), default=8)
        if bits > 8:
            lost.append(f"{bits} bits a color became 8")
        if video.width % 2 or video.height % 2:
            lost.append(f"{video.width}x{video.height} pixels were padded to even sides")
        other = len(container.streams) - len(container.streams.audio) - 1
        if other:
            lost.append(f"{other} other track{'s' if other > 1 else ''} left out")
        return lost


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
        odd = [(0, side % 2) for side in frame.pixels.shape[:2]]
        pixels = np.pad(frame.pixels, (*odd, (0, 0)), mode="edge") if any(map(any, odd)) else frame.pixels
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format=stream.pix_fmt, src_colorspace=space, dst_colorspace=space
        )
        picture.pts, picture.time_base = frame.time, frame.base
        self._container.mux(stream.encode(picture))

    def _begin(self, frame: Frame) -> Any:
        codec, options = _CODECS.get(self.suffix, _H264)
        stream = self._container.add_stream(codec, options=dict(options))
        stream.height, stream.width = (side + side % 2 for side in frame.pixels.shape[:2])
        stream.pix_fmt = "yuv420p"  # what every player shows
        stream.codec_context.sample_aspect_ratio = frame.aspect
        stream.codec_context.thread_count = 1  # the cores are taken already
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
        for index, track in tracks.items():
            track.metadata.update(sound.streams[index].metadata)
        packets = [_video_packets(parts, video, _last_duration(source))]
        if tracks:
            packets.append(_sound_packets(sound, tracks))
        for _, packet in heapq.merge(*packets, key=lambda pair: pair[0]):
            joined.mux(packet)


def _last_duration(source: Path) -> Fraction | None:
    """How long the last picture of a clip stays, in seconds; None where the clip does not say."""
    with _opened(source) as container:
        video = container.streams.video[0]
        shown = [(packet.pts, packet.duration) for packet in container.demux(video) if packet.pts is not None]
    last = max(shown, default=(0, 0))[1]
    return last * Fraction(video.time_base) if last and video.time_base else None


def _video_packets(parts: Sequence[Path], stream: Any, last: Fraction | None) -> Iterator[tuple[float, Any]]:
    """The packets of all parts; the very last one gets the duration ``last``, in seconds."""
    held: Any = None
    for part in parts:
        with _av().open(str(part)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is not None:
                    packet.dts = packet.pts  # no frame refers to a later one
                    packet.stream = stream
                    if held is not None:
                        yield held
                    held = float(packet.pts * packet.time_base), packet
    if held is not None:
        if last is not None:
            held[1].duration = round(last / held[1].time_base)
        yield held


def _sound_packets(container: Any, tracks: Mapping[int, Any]) -> Iterator[tuple[float, Any]]:
    for packet in container.demux(container.streams.audio):
        if packet.dts is not None:
            time = float(packet.dts * packet.time_base)
            packet.stream = tracks[packet.stream.index]
            yield time, packet
