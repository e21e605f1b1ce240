"""The bytes a host sends for a picture: encoded, altered as near duplicates are, or broken."""

import io
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from unclip_pipeline.world.renderer import render
from unclip_pipeline.world.scenes import Scene

TINY_PX = 6
HTML_INSTEAD = b"<!doctype html><title>Gone</title><p>This picture has moved. Please sign in."


class Picture(NamedTuple):
    """What a URL delivers."""

    scene: Scene
    side_px: int
    file_type: str  # png | jpg
    transform: str | None
    fault: str | None


def picture_bytes(picture: Picture) -> bytes:
    """Render and encode; the same picture always gives the same bytes."""
    if picture.fault == "html":
        return HTML_INSTEAD
    if picture.fault == "empty":
        return b""
    image = _transformed(render(picture.scene, picture.side_px), picture.transform)
    if picture.fault == "tiny":
        image = image.resize((TINY_PX, TINY_PX))
    content = _encoded(image, picture.file_type, 35 if picture.transform == "recompressed" else 92)
    return content[: int(0.6 * len(content))] if picture.fault == "truncated" else content


def _transformed(pixels: UInt8[np.ndarray, "s s 3"], transform: str | None) -> Image.Image:
    image = Image.fromarray(pixels)
    side = image.width
    if transform == "resized":
        return image.resize((round(side * 1.5),) * 2, Image.Resampling.BICUBIC)
    if transform == "cropped":
        edge = max(1, round(0.04 * side))
        return image.crop((edge, edge, side - edge, side - edge))
    if transform == "stamped":
        layer = Image.new("RGBA", image.size)
        font = ImageFont.load_default(max(6, round(0.15 * side)))
        ImageDraw.Draw(layer).text(
            (side - 1, side - 1), "photo", font=font, anchor="rd", fill=(128, 128, 128, 170)
        )
        return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")
    return image


def _encoded(image: Image.Image, file_type: str, quality: int) -> bytes:
    stream = io.BytesIO()
    if file_type == "jpg":
        image.save(stream, "JPEG", quality=quality, subsampling=0)
    else:
        image.save(stream, "PNG", compress_level=3)
    return stream.getvalue()
