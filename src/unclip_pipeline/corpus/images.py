"""Images from bytes to arrays and back, the same on every machine."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from unclip_pipeline.corpus.decoding import MAX_PIXELS, ImageDecodeError, read_picture

__all__ = ["ImageDecodeError", "contact_sheet", "decode_rgb", "encode_png", "to_square"]


def decode_rgb(data: bytes, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image to RGB: first frame, upright, sRGB, 16 bits scaled to 8, transparency on white."""
    return np.array(read_picture(data, max_pixels).rgb)


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
