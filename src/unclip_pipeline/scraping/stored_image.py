"""Decide what of a fetched body is kept: the bytes themselves wherever they will do."""

import io
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image

from unclip_pipeline.corpus.images import ImageDecodeError, ImageTooLargeError, as_rgb, open_image
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.failure import ScrapeFailure

# img2dataset's Resizer: stream -> (bytes, width, height, original width, original height, error)
Resize = Callable[[io.BytesIO], tuple]

_AS_FETCHED = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0")
_TAIL = 64


class StoredImage(NamedTuple):
    """An image as it goes into a shard; `source_*` is its size as fetched."""

    content: bytes
    extension: str
    width: int
    height: int
    source_width: int
    source_height: int


def store_image(content: bytes, config: ScrapeConfig, resize: Resize) -> StoredImage:
    """Prove that a body is a whole image and bring it to a form that a shard holds."""
    try:
        image = open_image(content, config.max_pixels)
        rgb = as_rgb(image)
    except ImageTooLargeError as fault:
        raise ScrapeFailure("scrape.too_large", str(fault)) from fault
    except ImageDecodeError as fault:
        raise ScrapeFailure(_undecodable(content), str(fault)) from fault
    except ValueError as fault:  # a colour space that has no way to RGB
        raise ScrapeFailure("scrape.decode_error", str(fault)) from fault
    width, height = image.size
    if min(width, height) < config.min_side_px:
        reason = f"{width}x{height} px, the shorter side must have {config.min_side_px}"
        raise ScrapeFailure("scrape.too_small", reason)
    extension = _AS_FETCHED.get(image.format or "")
    if extension is not None and max(width, height) <= config.max_side_px:
        return StoredImage(content, extension, width, height, width, height)
    return _encoded_again(rgb, resize)


def _encoded_again(image: Image.Image, resize: Resize) -> StoredImage:
    stream = io.BytesIO()
    image.save(stream, "BMP")
    content, width, height, *_, error = resize(stream)
    if error is not None:
        raise ScrapeFailure("scrape.decode_error", f"cannot be scaled: {error}")
    return StoredImage(content, "jpg", width, height, *image.size)


def _undecodable(content: bytes) -> str:
    """Tell a page from a broken image, and a cut image from a corrupt one."""
    if not content.startswith(_SIGNATURES) and content[4:12] not in (b"ftypavif", b"ftypavis"):
        return "scrape.not_an_image"
    return "scrape.truncated" if _is_cut_short(content) else "scrape.decode_error"


def _is_cut_short(content: bytes) -> bool:
    tail = content[-_TAIL:]
    if content.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in tail
    if content.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    if content.startswith(b"GIF8"):
        return not content.endswith(b";")
    if content.startswith((b"RIFF", b"BM")):
        first, past = (4, 8) if content.startswith(b"RIFF") else (2, 6)
        announced = int.from_bytes(content[first:past], "little")
        return len(content) < announced
    return False
