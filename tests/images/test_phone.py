"""Files as phones write them: HEIC, thumbnails and other previews, marks of second pictures, profiles."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageDraw, PngImagePlugin

from tests.images.pictures import NOTE, picture, saved
from unmask import images
from unmask.errors import UnmaskError
from unmask.images import containers, exif, previews, xmp

RED, BLUE = (200, 30, 30), (30, 30, 200)
XMP = b"http://ns.adobe.com/xap/1.0/\x00"


def plain(color: tuple[int, int, int] = RED, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """One color with a little drawing, so that it is a picture."""
    image = Image.new("RGB", size, color)
    ImageDraw.Draw(image).rectangle((0, 0, 9, 9), fill="white")
    return image


def exif_block(thumb: bytes, order: str = ">", orientation: int = 6, note: bytes = b"") -> bytes:
    """An EXIF block by hand: maker, orientation, a maker's note at the end, and a thumbnail in the second directory."""
    maker = b"maker\0"
    first = 8
    entries, second_entries = 4, 3
    data_at = first + 2 + 12 * entries + 4
    second = data_at + 8
    exif_ifd = second + 2 + 12 * second_entries + 4
    thumb_at = exif_ifd + 2 + 12 + 4
    note_at = thumb_at + len(thumb)
    pack = lambda kind, *values: struct.pack(order + kind, *values)  # noqa: E731
    block = (b"MM\0*" if order == ">" else b"II*\0") + pack("I", first)
    block += pack("H", entries)
    block += pack("HHII", 0x010F, 2, len(maker), data_at)
    block += pack("HHIHH", 0x0112, 3, 1, orientation, 0)
    block += pack("HHII", 0x8769, 4, 1, exif_ifd)
    block += pack("HHII", 0xFDE8, 7, len(note) or 1, note_at if len(note) > 4 else 0)
    block += pack("I", second) + maker.ljust(8, b"\0")
    block += pack("H", second_entries) + pack("HHIHH", 0x0103, 3, 1, 6, 0)
    block += pack("HHII", 0x0201, 4, 1, thumb_at) + pack("HHII", 0x0202, 4, 1, len(thumb)) + pack("I", 0)
    block += pack("H", 1) + pack("HHII", 0x927C, 7, max(len(note), 5), note_at) + pack("I", 0)
    return b"Exif\0\0" + block + thumb + note


def thumbnails(block: bytes) -> list[Image.Image]:
    """Every JPEG in some bytes."""
    return [Image.open(io.BytesIO(block[a:b])) for a, b in previews.jpegs(block)]


def phone_jpeg(packet: bytes | None = None, extra: list[tuple[int, bytes]] | None = None, note: bytes = b"") -> bytes:
    """A red JPEG with a red thumbnail, lying on its side."""
    thumb = saved(plain(RED, (64, 48)), "JPEG")
    segments = [(0xE1, exif_block(thumb, note=note)), *(extra or [])]
    return containers.jpeg_splice(saved(plain(), "JPEG", quality=90), segments, packet, None)


def blue(photo: images.Photo) -> np.ndarray:
    """The photo's pixels, all blue."""
    return np.broadcast_to(np.array(BLUE, np.uint8), photo.pixels.shape).copy()


def is_red(image: Image.Image) -> bool:
    """Whether a picture is rather red than blue."""
    r, _, b = np.asarray(image.convert("RGB"), float).mean((0, 1))
    return bool(r > b)


def test_the_thumbnail_shows_what_the_photo_shows() -> None:
    for target in ("JPEG", "WEBP", "PNG", "AVIF", "HEIF"):
        photo = images.read(phone_jpeg(note=b"note " * 9 + saved(plain(RED, (99, 80)), "JPEG")))
        assert (photo.width, photo.height) == (240, 320)
        assert [is_red(one) for one in thumbnails(photo.exif or b"")] == [True, True]
        written = images.read(images.encode(photo, blue(photo), NOTE, format=target))
        assert (written.width, written.height) == (240, 320), target
        found = thumbnails(written.exif or b"")
        assert not any(is_red(one) for one in found), target
        assert [one.size for one in found] == ([(64, 48)] if target == "JPEG" else [(36, 48)]) or target == "AVIF"
        assert b"maker" in (written.exif or b"") and b"note note" in (written.exif or b""), target


def test_an_untouched_photo_keeps_its_metadata_byte_for_byte() -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>kept</rdf:RDF></x:xmpmeta>'
    photo = images.read(phone_jpeg(packet))
    again = images.read(images.encode(photo, photo.pixels))
    assert again.exif == photo.exif and again.xmp == packet


@settings(max_examples=60, deadline=None)
@given(st.sampled_from("<>"), st.integers(1, 8), st.binary(max_size=60), st.integers(8, 90), st.data())
def test_blocks_change_where_they_lie(order: str, turn: int, note: bytes, side: int, data: st.DataObject) -> None:
    thumb = saved(plain(RED, (side, side)), "JPEG")
    block = exif_block(thumb, order, turn, note)
    assert exif.orientation(block) == turn
    upright = exif.turned(block, 1)
    assert exif.orientation(upright) == 1 and len(upright) == len(block)
    new = data.draw(st.sampled_from([None, b"", b"new" * (len(thumb) // 6)]))
    changed = exif.with_thumbnail(block, lambda old, most: new if old == thumb and most == len(thumb) else b"x")
    assert len(changed) == len(block) and thumb[:40] not in changed and changed.endswith(note)
    read = Image.Exif()
    read.load(changed)
    assert read[0x010F] == "maker"
    second = read.get_ifd(ExifTags.IFD.IFD1)
    assert (second.get(0x0202) == len(new)) if new is not None else not second


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_blocks_do_no_harm(data: st.DataObject) -> None:
    block = bytearray(exif_block(saved(plain(RED, (16, 16)), "JPEG"), data.draw(st.sampled_from("<>"))))
    for _ in range(data.draw(st.integers(1, 8))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(block[: data.draw(st.integers(0, len(block)))])
    assert exif.orientation(cut) is None or exif.orientation(cut) >= 0
    assert len(exif.turned(cut, 1)) == len(cut)
    assert len(exif.with_thumbnail(cut, lambda old, most: old[: most // 2])) == len(cut)


def test_other_previews_in_a_jpeg_go() -> None:
    bare = saved(plain(RED, (48, 48)), "JPEG")
    resource = b"8BIM" + struct.pack(">H", 1036) + b"\0\0" + struct.pack(">I", 28 + len(bare)) + bytes(28) + bare
    resource += b"\0" * (len(bare) % 2)
    caption = b"8BIM" + struct.pack(">H", 1028) + b"\0\0" + struct.pack(">I", 4) + b"iptc"
    extra = [
        (0xE0, b"JFIF\0\1\2\0\0\1\0\1\2\1" + b"\xc8\x1e\x1e" * 2),
        (0xE0, b"JFXX\0\x10" + bare),
        (0xE2, b"FPXR\0" + bare),
        (0xE4, b"vendor" + bare[:400]), (0xE4, bare[400:]),
        (0xE5, b"settings of a vendor"),
        (0xEB, b"JP\0\1" + b"c2pa" + bare),
        (0xED, previews.PHOTOSHOP + resource + caption),
        (0xFE, b"a remark"),
    ]  # fmt: skip
    photo = images.read(phone_jpeg(extra=extra))
    written = images.encode(photo, blue(photo), NOTE)
    segments = containers.jpeg_segments(written)
    kinds = [marker for marker, _ in segments if 0xE0 <= marker <= 0xEF or marker == 0xFE]
    assert kinds.count(0xE0) == 1 and not {0xE2, 0xE4, 0xEB} & set(kinds) and {0xE5, 0xED, 0xFE} <= set(kinds)
    assert b"iptc" in written and b"a remark" in written and b"settings of a vendor" in written
    assert not any(is_red(one) for _, payload in segments for one in thumbnails(payload))
    assert len(next(payload for marker, payload in segments if marker == 0xE0)) == 14


def test_previews_in_a_png_and_a_tiff_go() -> None:
    bare = saved(plain(RED, (48, 48)), "JPEG")
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", exif_block(bare).hex())
    info.add_text("Title", "kept")
    data = saved(plain(), "PNG", pnginfo=info, exif=exif_block(bare))
    chunks = containers.png_metadata(containers.png_chunks(data))
    more = [(b"iDOT", b"halves"), (b"pHYs", struct.pack(">IIB", 3000, 3000, 1))]
    photo = images.read(containers.png_splice(data, [*chunks, *more], None, None))
    written = images.encode(photo, blue(photo), NOTE)
    kinds = [kind for kind, _ in containers.png_chunks(written)]
    assert b"iDOT" not in kinds and b"pHYs" in kinds and b"Raw profile" not in written and b"kept" in written
    assert [is_red(one) for one in thumbnails(images.read(written).exif or b"")] == [False]
    layers = Image.new("RGB", (320, 240), RED)
    tags = {34377: b"8BIM" + struct.pack(">H", 1036) + b"\0\0" + struct.pack(">I", len(bare)) + bare, 37724: bare}
    photo = images.read(saved(layers, "TIFF", tiffinfo={**tags, 270: "kept"}))
    assert thumbnails(images.encode(photo, photo.pixels))
    written = images.encode(photo, blue(photo), NOTE)
    assert not thumbnails(written) and images.read(written).extras["tags"][270][1] == "kept"


MARKS = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about=""
 xmlns:GC="http://ns.google.com/photos/1.0/camera/"
 xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"
 xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
 xmlns:t="http://ns.adobe.com/tiff/1.0/" 
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/" xmlns:apple="http://ns.apple.com/HDRGainMap/1.0/"
 GC:MotionPhoto="1" GC:MotionPhotoVersion='1' GC:MicroVideo="1" GC:BurstID="kept-burst" hdrgm:Version="1.0"
 t:Orientation="6"
 dc:format="image/jpeg" xmp:Rating="4">
<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource">
<Container:Item Item:Mime="image/jpeg" Item:Semantic="Primary"/></rdf:li>
<rdf:li rdf:parseType="Resource">
<Container:Item Item:Mime="video/mp4" Item:Semantic="MotionPhoto" Item:Length="9"/></rdf:li></rdf:Seq>
</Container:Directory><apple:HDRGainMapVersion>65536</apple:HDRGainMapVersion>
<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource">
<xmpGImg:image>/9j/OLD</xmpGImg:image></rdf:li></rdf:Alt></xmp:Thumbnails>
<dc:title>kept-title</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.mark.filterwarnings("ignore:Truncated File Read")  # Pillow's, of what the phone's own block lacks
@pytest.mark.parametrize("target", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
def test_marks_of_what_is_not_written_go_and_the_orientation_follows(target: str) -> None:
    film = b"\0\0\0\x18ftypmp42 a film behind the picture"
    gain = [(0xE2, b"MPF\0second picture"), (0xE2, b"urn:iso:std:iso:ts:21496:-1\0gain")]
    photo = images.read(phone_jpeg(MARKS, gain) + film)
    written = images.encode(photo, blue(photo), NOTE, format=target)
    back = images.read(written)
    packet = back.xmp or b""
    for gone in (b"MotionPhoto", b"MicroVideo", b"hdrgm:Version", b"Directory", b"Semantic", b"65536", b"/9j/OLD"):
        assert gone not in packet, (target, gone)
    for kept in (b"kept-burst", b"kept-title", b'xmp:Rating="4"', b"image/jpeg"):
        assert kept in packet, (target, kept)
    assert b't:Orientation="%d"' % back.orientation in packet
    assert back.orientation == (6 if target == "JPEG" else 1)
    assert b"film behind" not in written and b"MPF\0" not in written and b"21496" not in written
    assert (back.width, back.height) == (240, 320) and images.read_note(written) == NOTE


def test_an_orientation_that_only_the_xmp_names_is_followed_once() -> None:
    data = containers.jpeg_splice(saved(plain(), "JPEG"), [], MARKS, None)
    photo = images.read(data)
    for target in ("JPEG", "PNG"):
        back = images.read(images.encode(photo, blue(photo), format=target))
        assert back.pixels.shape == photo.pixels.shape, target


def test_an_extended_packet_with_the_photo_before_goes_and_another_stays() -> None:
    def extension(text: bytes) -> tuple[int, bytes]:
        head = b"http://ns.adobe.com/xmp/extension/\x00" + b"0" * 32 + struct.pack(">II", len(text), 0)
        return 0xE1, head + text

    packet = MARKS.replace(b"<rdf:Description ", b'<rdf:Description xmlns:n="http://ns.adobe.com/xmp/note/" '
                           b'n:HasExtendedXMP="' + b"0" * 32 + b'" ')  # fmt: skip
    original = b'<a xmlns:GImage="http://ns.google.com/photos/1.0/image/" GImage:Data="/9j/BARE"/>'
    for text, stays in ((original, False), (b"<a>a long history</a>", True)):
        photo = images.read(phone_jpeg(packet, [extension(text)]))
        written = images.encode(photo, blue(photo), NOTE)
        assert (text in written) == stays and (b"HasExtendedXMP" in (images.read(written).xmp or b"")) == stays
        assert b"HasExtendedXMP" not in (images.read(images.encode(photo, blue(photo), format="PNG")).xmp or b"")


def test_hostile_packets_take_no_time() -> None:
    start = MARKS[: MARKS.index(b"<Container:Directory>")]
    for filling in (b"<Container:Directory>", b" " * 30, b'GC:MotionPhoto="', b"<hdrgm:a ", b"<t:Orientation "):
        packet = start + filling * (400_000 // len(filling))
        assert isinstance(xmp.tidied(packet, 1), bytes)


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(60, 130), st.integers(60, 130), st.sampled_from(["RGB", "RGBA", "L"]), st.sampled_from([1, 3, 6, 8]))
def test_heic_comes_back_as_it_was(width: int, height: int, mode: str, turn: int) -> None:
    channels = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    image = Image.fromarray(picture(height, width, channels) // 4 + 90)
    block = Image.Exif()
    block[0x010F], block[0x0112] = "maker", turn
    pillow_heif.register_heif_opener()
    data = saved(image, "HEIF", quality=95, exif=block.tobytes(), xmp=MARKS)
    photo = images.read(data)
    assert photo.format == "HEIF" and photo.orientation == 1
    expected = images.read(saved(image, "PNG", exif=block)).pixels
    assert photo.pixels.shape == expected.shape and np.abs(photo.pixels.astype(int) - expected).mean() < 5
    written = images.encode(photo, photo.pixels, NOTE)
    again = images.read(written)
    assert again.format == "HEIF" and again.pixels.shape == photo.pixels.shape
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 4
    assert images.read_note(written) == NOTE and b"kept-title" in (again.xmp or b"")
    assert Image.open(io.BytesIO(written)).getexif()[0x010F] == "maker"


def test_heic_of_ten_bits_and_from_other_formats() -> None:
    deep = picture(64, 96, dtype=np.uint16)
    from unmask.images import heif

    photo = images.read(heif.encode(deep, "RGB", None, None, None))
    assert photo.samples.dtype == np.uint16 and photo.mode == "RGB"
    assert np.abs(photo.samples.astype(int) - deep).mean() < 4 * 257
    again = images.read(images.encode(photo, photo.pixels, NOTE))
    assert again.samples.dtype == np.uint16 and len(np.unique(again.samples)) > 256
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format, options in (("JPEG", {"icc_profile": icc}), ("PNG", {}), ("TIFF", {})):
        source = images.read(saved(plain(), format, **options))
        back = images.read(images.encode(source, source.pixels, NOTE, format="HEIF"))
        assert np.abs(back.pixels.astype(int) - source.pixels).mean() < 4 and back.icc == source.icc


def test_a_cut_heic_is_refused() -> None:
    pillow_heif.register_heif_opener()
    data = saved(Image.fromarray(picture(64, 96)), "HEIF")
    for cut in (len(data) // 3, len(data) * 2 // 3, len(data) - 40):
        with pytest.raises(UnmaskError, match=r"damaged|not an image"):
            images.read(data[:cut])


def wide_profile() -> bytes:
    """A profile whose colors are not sRGB's: red and blue change places, so that nobody can overlook it."""
    screen = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(screen[128:132], "big")
    places = {bytes(screen[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = places[b"rXYZ"], places[b"bXYZ"]
    screen[red : red + 4], screen[green : green + 4] = screen[green : green + 4], screen[red : red + 4]
    return bytes(screen)


@pytest.mark.parametrize("target", ["BMP", "GIF", "PPM", "JPEG2000"])
def test_a_profile_that_the_target_cannot_hold_is_applied(target: str) -> None:
    icc = wide_profile()
    for source in (plain(), plain().quantize(8), plain().convert("RGBA")):
        if source.mode == "RGBA" and target in ("GIF", "PPM"):
            continue
        photo = images.read(saved(source, "PNG", icc_profile=icc))
        assert photo.icc == icc
        back = images.read(images.encode(photo, photo.pixels, format=target))
        assert back.icc is None and not is_red(Image.fromarray(back.pixels)), (target, source.mode)
    kept = images.read(images.encode(photo, photo.pixels, format="WEBP"))
    assert kept.icc == icc and is_red(Image.fromarray(kept.pixels))


def test_color_gifs_stay_colored() -> None:
    photo = images.read(saved(Image.fromarray(picture(96, 128)), "PNG"))
    back = images.read(images.encode(photo, photo.pixels, format="GIF"))
    assert back.mode == "P" and np.abs(back.pixels.astype(int) - photo.pixels).mean() < 16
    gif = images.read(saved(plain().quantize(8), "GIF"))
    again = images.read(images.encode(gif, gif.pixels, NOTE))
    assert is_red(Image.fromarray(again.pixels)) and again.mode == "P"


def test_pictures_of_our_own_carry_the_colors_of_the_photo() -> None:
    icc = wide_profile()
    photo = images.read(saved(plain(), "PNG", icc_profile=icc))
    sheet = images.sheet([[photo.pixels, photo.pixels]])
    made = images.in_colors_of(photo, sheet)
    assert images.read(images.encode(made, made.pixels)).icc == icc
    assert images.in_colors_of(images.read(saved(plain(), "PNG")), sheet).icc is None
    gray = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()  # of no use for gray: left as they are
    photo = images.read(saved(plain().convert("L"), "PNG", icc_profile=gray))
    made = images.in_colors_of(photo, images.sheet([[photo.pixels]]))
    assert made.icc is None and made.pixels.ndim == 3


def test_48_megapixels_pass() -> None:
    big: Any = images.read(np.zeros((6048, 8064, 3), np.uint8))
    assert (big.width, big.height) == (8064, 6048)
    from unmask.web.schemas import Limits

    assert Limits().max_pixels >= 8064 * 6048
