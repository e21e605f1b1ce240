"""Whatever a picture is, one form comes out, and what was done to it is said."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from unclip_pipeline.corpus.decoding import (
    ImageDecodeError,
    ImageTooLargeError,
    OpenPicture,
    Picture,
    open_picture,
    read_picture,
)


def _gradient(width: int = 48, height: int = 32) -> Image.Image:
    across = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([across, down, 255 - across], -1).astype(np.uint8))


def _encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _pixels(picture: Picture) -> np.ndarray:
    return np.asarray(picture.rgb).astype(int)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _wide_rgb_png() -> bytes:
    """Make a PNG of 16 bits a channel, which Pillow does not write."""
    rows = b"".join(b"\0" + struct.pack(">6H", 0, 32896, 65535, 65535, 257, 128 * 257) for _ in range(2))
    head = struct.pack(">2I5B", 2, 2, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_plain_pictures_have_no_flags(kind, mode):
    image = _gradient().convert(mode)
    picture = read_picture(_encoded(image, kind))
    assert picture.flags == () and picture.rgb.mode == "RGB"
    assert abs(_pixels(picture) - np.asarray(image.convert("RGB")).astype(int)).max() <= (
        48 if kind == "GIF" else 0
    )


@pytest.mark.parametrize("turn", range(2, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_every_orientation_ends_upright(kind, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    image = _gradient()
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][turn]  # what a camera held so would have written
    picture = read_picture(_encoded(image.transpose(undo), kind, exif=exif, lossless=True))
    assert picture.flags == ("rotated",) and (picture.width, picture.height) == image.size
    assert (_pixels(picture) == np.asarray(image)).all()


def test_sixteen_bits_of_grey_are_scaled():
    grey = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for kind in ("PNG", "TIFF"):
        picture = read_picture(_encoded(Image.fromarray(grey), kind))
        assert picture.flags == ("sixteen_bit",)
        assert (abs(_pixels(picture)[..., 0] - grey / 257) <= 0.5).all()


def test_sixteen_bits_of_colour_are_scaled():
    picture = read_picture(_wide_rgb_png())
    assert picture.flags == ("sixteen_bit",)
    assert abs(_pixels(picture)[0] - [(0, 128, 255), (255, 1, 128)]).max() <= 1


def test_floating_point_pixels_are_refused():
    with pytest.raises(ImageDecodeError, match="floating point"):
        read_picture(_encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "TIFF"])
def test_what_shows_through_is_white(kind):
    clear = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 16, 32))
    picture = read_picture(_encoded(clear, kind))
    assert picture.flags == ("alpha",)
    assert abs(_pixels(picture)[16, [4, 28]] - [(0, 0, 255), (255, 255, 255)]).max() <= 6


def test_an_alpha_channel_that_hides_nothing_is_none():
    assert read_picture(_encoded(_gradient().convert("RGBA"))).flags == ()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_the_first_frame_of_an_animation_is_taken(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    picture = read_picture(_encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert "animated" in picture.flags and abs(_pixels(picture)[8, 8] - (255, 0, 0)).max() <= 6


def test_cmyk_becomes_rgb():
    red = Image.new("RGB", (16, 16), (220, 20, 20)).convert("CMYK")
    picture = read_picture(_encoded(red, "JPEG"))
    assert picture.flags == ("cmyk",) and abs(_pixels(picture) - (220, 20, 20)).max() <= 8


def _swapped_profile() -> bytes:
    """Make a profile in which red is green and green is red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[:] = bytes(profile).replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")
    return bytes(profile)


def test_a_profile_is_what_its_colours_mean():
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    picture = read_picture(_encoded(image, icc_profile=_swapped_profile()))
    assert picture.flags == ("icc",) and abs(_pixels(picture) - (0, 255, 0)).max() <= 3


def test_a_profile_that_is_srgb_changes_no_pixel():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read_picture(_encoded(_gradient(), icc_profile=profile))
    assert picture.flags == () and (_pixels(picture) == np.asarray(_gradient())).all()


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 5_000_000, _swapped_profile()[:200]])
def test_a_broken_profile_is_as_none(profile):
    picture = read_picture(_encoded(_gradient(), "TIFF", icc_profile=profile))
    assert picture.flags == () and (_pixels(picture) == np.asarray(_gradient())).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_bands_give_the_picture_that_one_piece_gives(mode, monkeypatch):
    image = Image.fromarray(np.arange(100 * 90, dtype=np.uint16).reshape(100, 90) * 7)
    data = _encoded(image if mode == "I;16" else _gradient(90, 100).convert(mode))
    whole, whole_small = read_picture(data), read_picture(data, side_px=10)
    monkeypatch.setattr("unclip_pipeline.corpus.decoding.BAND_PIXELS", 500)
    assert (_pixels(read_picture(data)) == _pixels(whole)).all()
    assert (_pixels(read_picture(data, side_px=10)) == _pixels(whole_small)).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_large_picture_comes_back_near_the_side_that_is_wanted(kind):
    image = _gradient(1500, 600)
    picture = read_picture(_encoded(image, kind), side_px=100)
    assert (picture.width, picture.height) == (1500, 600) and 200 <= max(picture.rgb.size) <= 400
    expected = np.asarray(image.resize(picture.rgb.size, Image.Resampling.BOX)).astype(int)
    assert abs(_pixels(picture) - expected).max() <= 6


def test_what_a_header_announces_is_checked_before_it_is_decoded():
    with pytest.raises(ImageTooLargeError, match="20000x20000|400000000 pixels"):
        read_picture(_encoded(Image.new("1", (20_000, 20_000))), max_pixels=50_000_000)
    with pytest.raises(ImageTooLargeError, match="decoding may take"):
        read_picture(_encoded(Image.new("L", (3000, 3000)), "WEBP", method=0), max_decode_bytes=128 * 2**20)
    read_picture(_encoded(Image.new("L", (3000, 3000))), max_decode_bytes=128 * 2**20)


def test_a_jpeg_of_a_thousand_scans_is_refused():
    data = _encoded(_gradient(), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageTooLargeError, match="scans"):
        read_picture(data[:-2] + scan * 1000 + b"\xff\xd9")


def test_a_tile_larger_than_its_picture_is_refused():
    tags = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1, 322: 30_000, 323: 30_000, 324: 8, 325: 256}
    entries = b"".join(struct.pack("<2H2I", tag, 4, 1, value) for tag, value in tags.items())
    tiff = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(260)
    with pytest.raises(ImageTooLargeError, match="tile"):
        read_picture(tiff)


KINDS = [
    _encoded(_gradient(), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
] + [_wide_rgb_png(), _encoded(_gradient(), icc_profile=_swapped_profile())]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_any_damage_gives_a_picture_or_a_decode_error(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 8))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(1, len(damaged)))
    try:
        picture = read_picture(bytes(damaged[:cut]), max_pixels=1_000_000, max_decode_bytes=2**25, side_px=16)
    except ImageDecodeError:
        return
    assert picture.rgb.mode == "RGB" and picture.width * picture.height <= 1_000_000


JPEGS = [
    _encoded(image, "JPEG", **options)
    for image in (_gradient(331, 243), _gradient(7, 5), _gradient(65, 9).convert("L"))
    for options in ({"quality": 90}, {"progressive": True}, {"subsampling": 2, "restart_marker_rows": 2})
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(JPEGS), st.data())
def test_proving_says_of_any_damage_what_decoding_says(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(
            st.sampled_from([0, 0xD9, 0xDA, 255])
        )
    cut = draw.draw(st.integers(1, len(damaged)))
    body = bytes(damaged[: max(cut, draw.draw(st.sampled_from([0, len(damaged)])))])
    assert _verdict(body, OpenPicture.prove) == _verdict(body, OpenPicture.decode)


def _verdict(data: bytes, judge) -> str:
    try:
        opened = open_picture(data)
        if judge(opened) is False:
            opened.decode()
    except ImageDecodeError as fault:
        return str(fault)
    return "whole"


def test_only_a_plain_jpeg_is_proved_without_its_pixels():
    turned = Image.Exif()
    turned[0x0112] = 6
    plain = _gradient()
    assert open_picture(_encoded(plain, "JPEG")).prove()
    for kind, options in [("PNG", {}), ("WEBP", {}), ("JPEG", {"exif": turned})]:
        assert not open_picture(_encoded(plain, kind, **options)).prove()
    assert not open_picture(_encoded(plain, "JPEG", icc_profile=_swapped_profile())).prove()
    assert not open_picture(_encoded(plain.convert("CMYK"), "JPEG")).prove()
