"""Images from bytes to arrays and back, the same on every machine."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

# No EPS, PDF or the like: their readers start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "ICO", "PPM")
MAX_PIXELS = 100_000_000


class ImageDecodeError(ValueError):
    """The bytes are not a whole image of a known format."""


class ImageTooLargeError(ImageDecodeError):
    """The header announces more pixels than are to be decoded."""


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image in full, upright by its EXIF orientation; its `format` stays readable.

    The pixel count is checked on the header, before any pixel is decoded.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if width * height > max_pixels:
            raise ImageTooLargeError(f"an image may have {max_pixels} pixels, got {width}x{height}")
        image.load()
        upright = ImageOps.exif_transpose(image)
    except ImageDecodeError:
        raise
    except Image.DecompressionBombError as fault:
        raise ImageTooLargeError(str(fault)) from fault
    except UnidentifiedImageError as fault:
        raise ImageDecodeError("no known image format") from fault
    except Exception as fault:  # fed hostile bytes, decoders raise anything: SyntaxError, KeyError
        raise ImageDecodeError(f"{type(fault).__name__}: {fault}") from fault
    upright.format = image.format
    return upright


def decode_rgb(data: bytes, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image to RGB: first frame, upright, 16 bits scaled to 8, transparency on white."""
    return np.array(as_rgb(open_image(data, max_pixels)))


def as_rgb(image: Image.Image) -> Image.Image:
    """Bring any mode to RGB: 16 bits scaled to 8, transparency on white."""
    if image.mode.startswith(("I", "F")):
        wide = np.asarray(image).astype(np.float64)
        image = Image.fromarray((wide / 257.0).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        image = Image.alpha_composite(white, layer)
    return image.convert("RGB")


def to_square(image: UInt8[np.ndarray, "h w 3"], side_px: int) -> UInt8[np.ndarray, "s s 3"]:
    """Crop the centre square and resize it with an antialiased bicubic filter."""
    height, width, _ = image.shape
    if height == width == side_px:
        return image
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side])
    return np.array(square.resize((side_px, side_px), Image.Resampling.BICUBIC))


def encode_png(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Encode losslessly, the same bytes for the same pixels."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def contact_sheet(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    captions: Sequence[str] | None = None,
    columns: int = 8,
    side_px: int = 96,
) -> Image.Image:
    """Lay images out on a white grid, row by row, each with its caption below when captions are given."""
    columns = max(1, min(columns, len(images)))
    caption_px = 14 if captions is not None else 0
    gap_px = 4
    cell_w, cell_h = side_px + gap_px, side_px + gap_px + caption_px
    rows = max(1, -(-len(images) // columns))
    sheet = Image.new("RGB", (columns * cell_w + gap_px, rows * cell_h + gap_px), "white")
    for place, image in enumerate(images):
        corner = (gap_px + place % columns * cell_w, gap_px + place // columns * cell_h)
        sheet.paste(Image.fromarray(to_square(image, side_px)), corner)
        if captions is not None:
            _write_caption(sheet, captions[place], (corner[0], corner[1] + side_px + 1), side_px)
    return sheet


def _write_caption(sheet: Image.Image, caption: str, corner: tuple[int, int], width_px: int) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    text = " ".join(caption.split())
    while text and draw.textlength(text, font=font) > width_px:
        text = text[:-1]
    draw.text(corner, text, fill="black", font=font)
