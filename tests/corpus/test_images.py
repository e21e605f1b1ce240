import io

import numpy as np
import pytest
from PIL import Image

from unclip_pipeline.corpus.images import (
    ImageDecodeError,
    contact_sheet,
    decode_rgb,
    encode_png,
    to_square,
)


def _picture(height: int = 24, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_png_decodes_to_the_pixels_it_was_made_of():
    assert (decode_rgb(encode_png(_picture())) == _picture()).all()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_common_format_decodes_to_rgb(kind):
    flat = Image.new("RGB", (32, 16), (200, 30, 60))
    pixels = decode_rgb(_encoded(flat, kind)).astype(int)
    assert pixels.shape == (16, 32, 3) and abs(pixels - (200, 30, 60)).max() <= 8


def test_transparency_becomes_white():
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    half.putpixel((0, 0), (255, 0, 0, 255))
    pixels = decode_rgb(_encoded(half, "PNG"))
    assert pixels[0, 0].tolist() == [255, 0, 0] and (pixels[1, 1] == 255).all()
    palette = Image.new("P", (2, 2), 0)
    assert (decode_rgb(_encoded(palette, "PNG", transparency=0)) == 255).all()


def test_sixteen_bit_grey_is_scaled_not_clipped():
    grey = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    pixels = decode_rgb(_encoded(Image.fromarray(grey), "PNG"))
    assert abs(pixels[..., 0].astype(float) - grey / 257).max() <= 0.5


def test_cmyk_is_read_as_colours():
    red = Image.new("RGB", (16, 16), (220, 20, 20)).convert("CMYK")
    assert abs(decode_rgb(_encoded(red, "JPEG")).astype(int) - (220, 20, 20)).max() <= 8


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    data = _encoded(Image.fromarray(_picture()), "PNG", exif=exif)
    assert (decode_rgb(data) == np.rot90(_picture(), -1)).all()


def test_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_rgb(data)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    "data",
    [b"", b"<html></html>", b"\xff\xd8\xff\xe0", encode_png(_picture())[:300], b"%!PS-Adobe-3.0 EPSF-3.0\n"],
)
def test_what_is_not_a_whole_image_is_a_decode_error(data):
    with pytest.raises(ImageDecodeError):
        decode_rgb(data)


def test_a_pixel_bomb_is_refused_from_its_header():
    bomb = _encoded(Image.new("1", (9000, 9000)), "PNG")
    with pytest.raises(ImageDecodeError, match="9000x9000"):
        decode_rgb(bomb, max_pixels=80_000_000)


def test_square_is_the_centre_and_keeps_a_flat_colour():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = (10, 200, 30)
    assert (to_square(wide, 10) == (10, 200, 30)).all()
    assert (to_square(wide, 4) == (10, 200, 30)).all()


def test_shrinking_averages_rather_than_picks():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(to_square(stripes, 16).astype(int) - 127).max() < 20


def test_contact_sheet_holds_every_image_in_reading_order():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    flats = [np.full((20, 20, 3), colour, np.uint8) for colour in colours]
    sheet = contact_sheet(
        flats, ["a long caption that must be cut to its cell", "b", "c"], columns=2, side_px=20
    )
    assert [sheet.getpixel(place) for place in ((10, 10), (34, 10), (10, 48))] == colours


def test_an_empty_contact_sheet_is_still_a_picture():
    assert contact_sheet([]).size[0] > 0
