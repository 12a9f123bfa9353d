"""Clips: what comes out plays like what went in, the mouth is steady, an interrupted run goes on."""

from __future__ import annotations

import importlib.util
import json
import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask.errors import NoMaskError, UnmaskError
from unmask.evaluation.restoration.flicker import flicker
from unmask.restore.results import RestoredFace
from unmask.video import clip, motion, restore, temporal
from unmask.video.restore import restore_clip

av = pytest.importorskip("av", reason="clips need PyAV (the extra `video`)")
spec = importlib.util.spec_from_file_location("clips", Path(__file__).with_name("clips.py"))
assert spec and spec.loader
clips = importlib.util.module_from_spec(spec)
spec.loader.exec_module(clips)


def pictures(path: Path) -> np.ndarray:
    """All frames of a clip, uint8 [T,H,W,3]."""
    return np.stack([frame.pixels for frame in clip.frames(path)])


def sound(path: Path) -> list[bytes]:
    """The packets of its sound."""
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux() if p.stream.type == "audio" and p.size]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_frames_times_and_sound_are_kept(name: str, tmp_path: Path) -> None:
    clips.write(tmp_path / name)
    out = tmp_path / "out" / name
    shown = restore_clip(clips.restorer(), tmp_path / name, out, part_frames=7)
    assert shown == restore.Shown(frames=24, restored=24, before=0)
    before, after = pictures(tmp_path / name), pictures(out)
    assert after.shape == before.shape
    assert [float(f.time * f.base) for f in clip.frames(out)] == pytest.approx(
        [float(f.time * f.base) for f in clip.frames(tmp_path / name)], abs=2e-3
    )
    difference = np.abs(after.astype(int) - before).mean(axis=(0, 3))
    assert difference[:20].mean() < 2.5 and difference[45:58, 40:56].mean() > 15
    assert sound(out) == sound(tmp_path / name) and sound(out)
    with av.open(str(out)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    assert "guess" in json.loads(tags["comment"])["statement"]
    assert [path.name for path in out.parent.iterdir()] == [name]


def test_odd_sizes_and_silence(tmp_path: Path) -> None:
    clips.write(tmp_path / "a.mp4", frames=5, sound=False, size=(63, 95))
    restore_clip(clips.restorer(), tmp_path / "a.mp4", tmp_path / "b.mp4")
    after = pictures(tmp_path / "b.mp4")
    assert after.shape == (5, 64, 96, 3) and sound(tmp_path / "b.mp4") == []
    assert np.abs(after[:, 62, :40].astype(int) - after[:, 63, :40]).mean() < 4  # the edge repeated
    assert clip.losses(tmp_path / "a.mp4") == ["95x63 pixels were padded to even sides"]
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].pix_fmt == "yuv420p"


def test_pixel_aspect_depth_language_and_the_last_frame(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        video = out.add_stream("libx264", rate=10, options={"crf": "10"})
        video.height, video.width, video.pix_fmt = 64, 96, "yuv420p10le"
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)
        tone = out.add_stream("aac", rate=48000)
        tone.metadata["language"] = "deu"
        for _ in range(6):
            picture = av.VideoFrame.from_ndarray(clips.still(), format="rgb24")
            out.mux(video.encode(picture.reformat(format="yuv420p10le")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        for packet in (*video.encode(), *tone.encode(frame), *tone.encode()):
            out.mux(packet)
    restore_clip(clips.restorer(), tmp_path / "a.mkv", tmp_path / "b.mkv")
    assert clip.losses(tmp_path / "a.mkv") == ["10 bits a color became 8"]
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        assert container.streams.audio[0].metadata["language"] == "deu"
        last = [packet for packet in container.demux(container.streams.video[0]) if packet.pts is not None][-1]
        assert float(last.duration * last.time_base) == pytest.approx(0.1, abs=0.01)


def test_rgb_sources_are_written_as_yuv_that_says_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        video = out.add_stream("libx264rgb", rate=10, options={"crf": "4"})
        video.height, video.width, video.pix_fmt = 64, 96, "rgb24"
        for _ in range(4):
            out.mux(video.encode(av.VideoFrame.from_ndarray(clips.still(), format="rgb24")))
        out.mux(video.encode())
    restore_clip(clips.restorer(), tmp_path / "a.mkv", tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert next(container.decode(video=0)).colorspace != 0
    before, after = pictures(tmp_path / "a.mkv"), pictures(tmp_path / "b.mkv")
    assert np.abs(before[:, :20].astype(int) - clips.still()[:20]).mean() < 3
    assert np.abs(after[:, :20].astype(int) - before[:, :20]).mean() < 4


@pytest.mark.parametrize(("matrix", "quarters"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_clips_that_lie_on_their_side_or_upside_down_come_out_upright(
    matrix: tuple[int, ...], quarters: int, tmp_path: Path
) -> None:
    stored = clips.write(tmp_path / "plain.mp4", frames=4, sound=False)
    whole = (tmp_path / "plain.mp4").read_bytes()
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = whole.index(upright, whole.index(b"tkhd"))  # x' = a x + c y, y' = b x + d y, y pointing down
    a, b, c, d = matrix
    turn = struct.pack(">9i", *(v << 16 for v in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)
    (tmp_path / "a.mp4").write_bytes(whole[:at] + turn + whole[at + len(turn) :])
    restore_clip(clips.restorer(), tmp_path / "a.mp4", tmp_path / "b.mp4")
    shown = pictures(tmp_path / "a.mp4").astype(int)
    assert np.abs(np.rot90(stored, quarters, axes=(1, 2)) - shown).mean() < 3
    difference = np.abs(pictures(tmp_path / "b.mp4") - shown).mean(axis=(0, 3))
    assert difference[:20].mean() < 4 and difference[48:58, 20:44].mean() > 10
    with av.open(str(tmp_path / "b.mp4")) as container:  # the pixels are turned, so nothing says to turn them again
        assert next(container.decode(video=0)).rotation == 0


def test_a_clips_faces_are_looked_for_in_some_frames_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(motion, "follow", lambda before, after, kps, box: (kps, box))
    clips.write(tmp_path / "a.mp4", frames=24, sound=False)
    detector = clips.Detector(shake=0)
    restore_clip(clips.restorer(detector=detector), tmp_path / "a.mp4", tmp_path / "b.mp4", every=6)
    assert detector.count == 4


@pytest.mark.parametrize("scale", [1, 4])
def test_motion_is_told_of_small_and_of_large_faces(scale: int) -> None:
    rng = np.random.default_rng(0)
    large = cv2.GaussianBlur(rng.integers(0, 255, (200 * scale, 300 * scale), dtype=np.uint8), (0, 0), 2 * scale)
    matrix = cv2.getRotationMatrix2D((150.0 * scale, 100.0 * scale), 3.0, 1.02)
    matrix[:, 2] += 2 * scale
    kps, box = np.array([[130.0, 90], [170, 90], [150, 105], [135, 120], [165, 120]]), np.array([115.0, 70, 185, 140])
    found = motion.follow(large, cv2.warpAffine(large, matrix, large.shape[::-1]), kps * scale, box * scale)
    assert found is not None
    wanted = kps * scale @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(found[0] - wanted).max() < 0.5 * scale
    middle = (box[:2] + box[2:]) / 2 * scale @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose((found[1][:2] + found[1][2:]) / 2, middle, atol=0.5 * scale)
    np.testing.assert_allclose(found[1][2:] - found[1][:2], 70 * 1.02 * scale, rtol=0.01)
    assert motion.follow(large, large, kps, np.array([-90.0, -90, -20, -20])) is None  # outside the frame


def test_faces_are_followed_between_the_frames_in_which_they_are_looked_for() -> None:
    rng = np.random.default_rng(0)
    large = cv2.GaussianBlur(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8), (0, 0), 2)
    detector = clips.Detector(shake=0)
    one = temporal.Steady(clips.restorer(detector=detector), keep=0, every=4)
    places = []
    for t in range(8):
        one.frame(np.ascontiguousarray(large[20 : 20 + clips.HEIGHT, 30 - t : 30 - t + clips.WIDTH]))
        places.append(one.tracks[0].kps[0, 0])
        one.tracks[0].mask = 0.7 if t == 0 else one.tracks[0].mask
        assert one.tracks[0].mask == 0.7 or t >= 4  # what is known of a face goes on with it
    assert detector.count == 2
    assert np.abs(np.diff(places[:4]) - 1).max() < 0.3 and np.abs(np.diff(places[4:]) - 1).max() < 0.3
    assert motion.follow(large[:, :, 0], 255 - large[::-1, :, 0], one.tracks[0].kps, one.tracks[0].box) is None


def test_a_steady_restorer_flickers_less() -> None:
    """On uncompressed frames, so that the codec has no part in it."""
    still = clips.still()
    figures = {}
    for keep in (0.0, 1.0):
        one = temporal.Steady(clips.restorer(detector=clips.Detector(shake=0.2)), keep=keep)
        frames = np.stack([one.frame(still)[0] for _ in range(40)])[8:]
        region = np.zeros(still.shape[:2])
        region[44:56, 40:56] = 1
        figures[keep] = flicker(frames, region)
    assert figures[0.0] > 4 and figures[1.0] < figures[0.0] / 3, figures


def test_a_face_lost_for_a_moment_stays_restored() -> None:
    still = clips.still()
    one = temporal.Steady(clips.restorer(detector=clips.Detector(blind=(3, 4, *range(8, 40)))))
    changed = [bool((one.frame(still)[0] != still).any()) for _ in range(20)]
    assert changed == [True] * (8 + temporal.HOLD) + [False] * (12 - temporal.HOLD)


def test_points_that_move_are_followed_and_points_that_shake_are_not() -> None:
    one = temporal.Steady(clips.restorer(detector=clips.Detector(shake=0.1)))
    still = np.full((clips.HEIGHT, clips.WIDTH, 3), 120, np.uint8)
    places = []
    for t in range(30):
        one.frame(np.roll(still, t, axis=1))
        places.append(one.tracks[0].kps.copy())
    raw = clips.Detector(shake=0.1)
    shaken = np.stack([raw.detect(still)[0].kps for _ in range(30)])
    assert np.diff(np.stack(places)[5:], axis=0).std() < 0.6 * np.diff(shaken[5:], axis=0).std()
    assert len(one.tracks) == 1
    track = temporal.Track(places[0], one.tracks[0].box)
    far = RestoredFace(track.box + 4, places[0] + 4, 0.9)
    one._move(track, far)
    assert np.allclose(track.kps, places[0] + 4)


def test_an_interrupted_run_goes_on_and_ends_alike(tmp_path: Path) -> None:
    class Tired(clips.Codes):
        """Stops after so many frames; its codes follow from what it sees."""

        def __init__(self, left: int) -> None:
            super().__init__()
            self.left = left

        def codes(self, x, region):  # type: ignore[no-untyped-def]
            """Levels of the pictures themselves."""
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            level = x.mean((1, 2, 3)).reshape(-1, 1, 1)
            return level, {4: np.broadcast_to(level[..., None], (len(x), 1, 4, 4))}

    class Fixed(clips.Segmenter):
        """The lower half."""

        def predict(self, crops):  # type: ignore[no-untyped-def]
            """No shaking."""
            self.rng = np.random.default_rng(1)
            return super().predict(crops)

    def one(left: int):  # type: ignore[no-untyped-def]
        return clips.restorer(fill=Tired(left), segmenter=Fixed(), detector=clips.Detector(shake=0))

    clips.write(tmp_path / "a.mp4")
    restore_clip(one(99), tmp_path / "a.mp4", tmp_path / "whole.mp4", part_frames=5)
    with pytest.raises(KeyboardInterrupt):
        restore_clip(one(13), tmp_path / "a.mp4", tmp_path / "b.mp4", part_frames=5)
    assert not (tmp_path / "b.mp4").exists()
    shown = restore_clip(one(99), tmp_path / "a.mp4", tmp_path / "b.mp4", part_frames=5)
    assert shown == restore.Shown(24, 24, before=10)
    assert np.array_equal(pictures(tmp_path / "whole.mp4"), pictures(tmp_path / "b.mp4"))
    with pytest.raises(KeyboardInterrupt):
        restore_clip(one(13), tmp_path / "a.mp4", tmp_path / "c.mp4", part_frames=5)
    assert restore_clip(one(99), tmp_path / "a.mp4", tmp_path / "c.mp4", part_frames=5, seed=1).before == 0
    assert not list(tmp_path.glob(".*"))


def test_few_frames_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips.write(tmp_path / "a.mp4", frames=30, sound=False)
    read = written = most = 0
    real_frames, real_add = clip.frames, clip.PartWriter.add

    def frames(path: Path, first: int = 0):  # type: ignore[no-untyped-def]
        nonlocal read, most
        for frame in real_frames(path, first):
            read += 1
            most = max(most, read - written)
            yield frame

    def add(self, frame):  # type: ignore[no-untyped-def]
        nonlocal written
        real_add(self, frame)
        written += 1

    monkeypatch.setattr(clip, "frames", frames)
    monkeypatch.setattr(clip.PartWriter, "add", add)
    restore_clip(clips.restorer(), tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert (read, written) == (30, 30) and most <= restore.AHEAD + 1


def test_clips_that_cannot_be_done(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no clip at all")
    with pytest.raises(UnmaskError, match=r"bad\.mp4: cannot be read as a clip"):
        restore_clip(clips.restorer(), tmp_path / "bad.mp4", tmp_path / "b.mp4")
    with pytest.raises(UnmaskError, match=r"none\.mp4: cannot be read"):
        restore_clip(clips.restorer(), tmp_path / "none.mp4", tmp_path / "b.mp4")
    clips.write(tmp_path / "a.mp4", frames=4, sound=False)
    with pytest.raises(NoMaskError, match="any of its 4 frames"):
        restore_clip(clips.restorer(segmenter=clips.Segmenter(worn=0.0)), tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()
