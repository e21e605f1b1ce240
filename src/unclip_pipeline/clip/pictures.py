"""From an image's bytes to the square of pixels a model sees, in uint8; the model's input normalises them.

Exact: every pixel is that of open_clip's own transform. JPEG, most of what the web holds, is decoded by
libjpeg-turbo without Pillow's copies; what it will not take goes to Pillow, which also has the last word on
what is broken. Fast: JPEG is decoded scaled down, and resized by vector instructions; some pixels differ.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
import torch
from jaxtyping import UInt8
from PIL import Image
from torch.nn import functional as F

from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.corpus.images import MAX_PIXELS, decode_rgb, to_square

HEADER_BYTES = 65_536  # an EXIF segment, if there is one, begins within them
Picture = UInt8[np.ndarray, "s s 3"]


def make_preparation(seen: dict[str, Any], *, fast: bool = False) -> Callable[[bytes], Picture]:
    """Give the function from bytes to pixels of this preprocessing.

    The function raises `ImageDecodeError` for bytes that are no whole image. Without a `resize_mode` (a model
    of this pipeline) the centre square is cut out before it is resized; open_clip's modes resize first.
    """
    fit = _fit_exactly(seen)
    if not fast:
        return lambda data: fit(_decode(data).image)
    roughly = {None: _crop_and_resize, "shortest": _resize_and_crop}.get(seen.get("resize_mode"))
    if roughly is None:
        return lambda data: fit(_decode(data, seen["size"]).image)
    return lambda data: roughly(_decode(data, seen["size"]), seen["size"], seen["interpolation"])


def _fit_exactly(seen: dict[str, Any]) -> Callable[[UInt8[np.ndarray, "h w 3"]], Picture]:
    if "resize_mode" not in seen:
        return lambda image: to_square(image, seen["size"])
    whole = open_clip.transform.image_transform(
        seen["size"],
        is_train=False,
        resize_mode=seen["resize_mode"],
        interpolation=seen["interpolation"],
        fill_color=seen.get("fill_color", 0),
    )
    steps = whole.transforms[:-3]  # what follows: convert to RGB, to a tensor, normalise

    def fit(image: UInt8[np.ndarray, "h w 3"]) -> Picture:
        if image.shape[:2] == (seen["size"], seen["size"]):
            return image
        picture = Image.fromarray(image)
        for step in steps:
            picture = step(picture)
        return np.array(picture)

    return fit


class _Decoded(NamedTuple):
    image: UInt8[np.ndarray, "h w 3"]
    size: tuple[int, int]  # height and width before it was scaled down


def _resize_and_crop(decoded: _Decoded, side_px: int, interpolation: str) -> Picture:
    """Do as open_clip's "shortest" does, on an image that may have been decoded scaled down."""
    square = min(decoded.size)
    height, width = (side_px * length // square for length in decoded.size)
    top, left = (round((length - side_px) / 2) for length in (height, width))
    whole = _resized(decoded.image, (height, width), interpolation)
    return whole[top : top + side_px, left : left + side_px]


def _crop_and_resize(decoded: _Decoded, side_px: int, interpolation: str) -> Picture:
    """Do as `to_square` does; the longer side may keep a pixel more, so that the crop stays centred."""
    image = decoded.image
    height, width, _ = image.shape
    top, left = ((length - min(height, width)) // 2 for length in (height, width))
    return _resized(image[top : height - top, left : width - left], (side_px, side_px), interpolation)


def _resized(
    image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int], interpolation: str
) -> UInt8[np.ndarray, "g v 3"]:
    if image.shape[:2] == size:
        return image
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    return F.interpolate(pixels, size, mode=interpolation, antialias=True)[0].permute(1, 2, 0).numpy()


def _decode(data: bytes, least_side_px: int = 0) -> _Decoded:
    """Decode to RGB; a JPEG may come scaled down as long as both sides keep `least_side_px` (0: whole)."""
    if data[:2] == b"\xff\xd8" and b"Exif\0\0" not in data[:HEADER_BYTES]:
        try:
            height, width, space, _ = simplejpeg.decode_jpeg_header(data)
            if height * width <= MAX_PIXELS and space in ("RGB", "YCbCr", "Gray"):
                least = {"min_height": least_side_px, "min_width": least_side_px}
                return _Decoded(simplejpeg.decode_jpeg(data, "RGB", **least), (height, width))
        except ValueError:  # Pillow is to judge
            pass
    image = decode_rgb(data)
    return _Decoded(image, image.shape[:2])
