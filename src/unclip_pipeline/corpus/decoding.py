"""Decode any picture to one form: first frame, upright, 8-bit RGB in sRGB, transparency on white.

Bytes come from strangers. What a header announces is checked before a pixel is decoded, and large pictures
go through the decoder at the scale that is wanted, or in bands, so that memory is bounded by the header too.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from unclip_pipeline.corpus.colour import Transform, to_srgb

# No EPS, PDF or the like: their readers start other programs. No ICO: what it holds may be larger than it says.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
MAX_PIXELS = 100_000_000
MAX_SCANS = 300  # of a JPEG: each goes over the whole picture, and costs a few bytes
MAX_TILE_PIXELS = 4_000_000
BAND_PIXELS = 500_000
_BYTES_PER_PIXEL = {"WEBP": 17, "AVIF": 10}  # that the decoder takes at its peak [measured]; 4 of all others
_EAGER = ("WEBP", "AVIF")  # their readers take memory for the pixels as soon as they are opened
_TURNS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")


class ImageDecodeError(ValueError):
    """The bytes are not a whole image of a known format."""


class ImageTooLargeError(ImageDecodeError):
    """The header announces more than is to be decoded."""


class Picture(NamedTuple):
    """A decoded picture, and what had to be done to it."""

    rgb: Image.Image
    format: str
    width: int  # of the picture in full, upright
    height: int
    flags: tuple[str, ...]  # sorted, of alpha, animated, cmyk, icc, rotated and sixteen_bit


class OpenPicture:
    """A picture whose header announces no more than is to be decoded; its pixels are yet to be read, once."""

    def __init__(
        self, data: bytes, max_pixels: int, max_decode_bytes: int | None, side_px: int | None
    ) -> None:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        self.format, self.size = image.format or "", image.size
        _check_header(image, data, max_pixels, side_px, max_decode_bytes)
        self._flags = _header_flags(image, data)
        self._image = None if self.format in _EAGER else image
        self._data, self._side_px = data, side_px

    def decode(self) -> Picture:
        """Decode in full, or raise ImageDecodeError."""
        with _told():
            image = self._image or Image.open(io.BytesIO(self._data), formats=FORMATS)
            image.load()
            return _upright(image, self.size, set(self._flags), self._side_px)

    def prove(self) -> bool:
        """Raise ImageDecodeError as `decode` does, without the pixels, if they need nothing done to them.

        Return False where only `decode` can tell. A JPEG's every byte goes through the decoder, which
        then computes one pixel of 64.
        """
        with _told():
            image = self._image
            if image is None or self.format != "JPEG" or image.size != self.size or self._is_changed(image):
                return False
            image.draft(None, (1, 1))
            image.load()
            return True

    def _is_changed(self, image: Image.Image) -> bool:
        if self._flags or image.mode not in ("L", "RGB") or image.has_transparency_data:
            return True
        return image.getexif().get(ExifTags.Base.Orientation, 1) in _TURNS or to_srgb(image) is not None


def open_picture(
    data: bytes,
    max_pixels: int = MAX_PIXELS,
    max_decode_bytes: int | None = None,
    side_px: int | None = None,
) -> OpenPicture:
    """Read a picture's header, or raise ImageDecodeError; `side_px` as `read_picture` has it."""
    with _told():
        return OpenPicture(data, max_pixels, max_decode_bytes, side_px)


def read_picture(
    data: bytes,
    max_pixels: int = MAX_PIXELS,
    max_decode_bytes: int | None = None,
    side_px: int | None = None,
) -> Picture:
    """Decode a picture in full, or raise ImageDecodeError.

    With `side_px` a larger picture comes back between twice and four times that size at its longer side,
    averaged, ready for a good filter; every byte of it is read nonetheless.
    """
    return open_picture(data, max_pixels, max_decode_bytes, side_px).decode()


@contextmanager
def _told() -> Iterator[None]:
    """Turn whatever a decoder raises into ImageDecodeError."""
    try:
        yield
    except ImageDecodeError:
        raise
    except Image.DecompressionBombError as fault:
        raise ImageTooLargeError(str(fault)) from fault
    except UnidentifiedImageError as fault:
        raise ImageDecodeError("no known image format") from fault
    except Exception as fault:  # fed hostile bytes, decoders raise anything: SyntaxError, KeyError
        raise ImageDecodeError(f"{type(fault).__name__}: {fault}") from fault


def _check_header(
    image: Image.Image, data: bytes, max_pixels: int, side_px: int | None, max_decode_bytes: int | None
) -> None:
    """Raise ImageTooLargeError where decoding would cost too much; let JPEG decode at a smaller scale."""
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLargeError(f"an image may have {max_pixels} pixels, got {width}x{height}")
    if image.format in ("JPEG", "MPO") and (scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise ImageTooLargeError(f"a JPEG may have {MAX_SCANS} scans, got {scans}")
    if image.format == "TIFF" and (tile := _tile_pixels(image)) > MAX_TILE_PIXELS:
        raise ImageTooLargeError(f"a tile may have {MAX_TILE_PIXELS} pixels, got {tile}")
    if side_px is not None and max(width, height) > 2 * side_px:
        scale = 2 * side_px / max(width, height)
        image.draft(None, (max(1, int(width * scale)), max(1, int(height * scale))))
    need_bytes = _decode_bytes(image, width * height)
    if max_decode_bytes is not None and need_bytes > max_decode_bytes:
        raise ImageTooLargeError(
            f"decoding may take {max_decode_bytes} bytes, {width}x{height} {image.format} takes {need_bytes}"
        )


def _decode_bytes(image: Image.Image, pixels: int) -> int:
    """Estimate what a decoder takes at its peak."""
    need = image.width * image.height * _BYTES_PER_PIXEL.get(image.format or "", 4)
    if image.info.get("progressive"):
        need += 2 * len(image.getbands()) * pixels  # every coefficient, until the last scan
    return need


def _tile_pixels(image: Image.Image) -> int:
    """Return the size of a TIFF's tiles, which may exceed the picture."""
    return int(image.tag_v2.get(322, 0)) * int(image.tag_v2.get(323, 0))


def _header_flags(image: Image.Image, data: bytes) -> set[str]:
    is_wide = image.mode in _SIXTEEN_BITS or (image.format == "PNG" and data[24:25] == b"\x10")
    is_wide |= image.format == "TIFF" and max(image.tag_v2.get(258, (8,))) == 16
    is_moving = image.format != "MPO" and getattr(image, "is_animated", False)
    found = {"cmyk": image.mode == "CMYK", "sixteen_bit": is_wide, "animated": is_moving}
    return {flag for flag, is_found in found.items() if is_found}


def _upright(image: Image.Image, full_size: tuple[int, int], flags: set[str], side_px: int | None) -> Picture:
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    transform = to_srgb(image)
    if _is_see_through(image):
        flags.add("alpha")
    if transform is not None:
        flags.add("icc")
    factor = 1 if side_px is None else max(1, max(image.size) // (2 * side_px))
    rgb = _in_bands(image, factor, transform)
    if orientation in _TURNS:
        flags.add("rotated")
        rgb = rgb.transpose(_TURNS[orientation])
    width, height = full_size[::-1] if orientation in range(5, 9) else full_size
    return Picture(rgb, image.format or "", width, height, tuple(sorted(flags)))


def _in_bands(image: Image.Image, factor: int, transform: Transform | None) -> Image.Image:
    """Bring an image to RGB, averaged over squares of `factor` pixels; the same as all at once."""
    if image.mode == "RGB" and factor == 1 and transform is None and not image.has_transparency_data:
        image.info = {}  # pixels alone go on
        return image
    width, height = -(-image.width // factor), -(-image.height // factor)
    rgb = Image.new("RGB", (width, height))
    for top, strip in _bands(image, factor):
        band = _eight_bits(strip)
        band = band.reduce(factor) if factor > 1 else band
        rgb.paste(transform(band) if transform is not None else band.convert("RGB"), (0, top // factor))
    return rgb


def _bands(image: Image.Image, factor: int) -> Iterator[tuple[int, Image.Image]]:
    """Cut an image into strips of whole squares; a small one is a strip by itself."""
    rows = factor * max(1, BAND_PIXELS // (image.width * factor))
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _eight_bits(band: Image.Image) -> Image.Image:
    """Bring any mode to L, RGB or CMYK: 16 bits scaled to 8, transparency on white."""
    if band.mode in _SIXTEEN_BITS:
        wide = np.asarray(band).astype(np.int64).clip(0, 65535)
        band = Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    if band.mode.startswith("F"):
        raise ImageDecodeError("pixels that are floating point numbers have no known white")
    if band.has_transparency_data:
        layer = band.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return band if band.mode in ("L", "RGB", "CMYK") else band.convert("RGB")


def _is_see_through(image: Image.Image) -> bool:
    """Tell whether any pixel is less than opaque."""
    if not image.has_transparency_data:
        return False
    return any(band.convert("RGBA").getchannel("A").getextrema()[0] < 255 for _, band in _bands(image, 1))
