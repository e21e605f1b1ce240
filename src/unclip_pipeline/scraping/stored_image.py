"""Decide what of a fetched body is kept: the bytes themselves wherever they will do."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from unclip_pipeline.corpus.decoding import (
    ImageDecodeError,
    ImageTooLargeError,
    OpenPicture,
    Picture,
    open_picture,
)
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.failure import ScrapeFailure

FLAGS = ("alpha", "animated", "cmyk", "icc", "mislabelled", "resized", "rotated", "sixteen_bit")
DECODE_BYTES = 224 * 2**20  # that decoding one image may take: 58 million pixels of PNG, 13 of WebP
_CONTENT_TYPES = {
    "JPEG": ("image/jpeg", "image/jpg", "image/pjpeg"),
    "MPO": ("image/jpeg", "image/jpg", "image/mpo"),
    "PNG": ("image/png", "image/apng", "image/x-png"),
    "WEBP": ("image/webp",),
    "GIF": ("image/gif",),
    "BMP": ("image/bmp", "image/x-ms-bmp", "image/x-bmp"),
    "TIFF": ("image/tiff",),
    "AVIF": ("image/avif",),
    "PPM": ("image/x-portable-pixmap", "image/x-portable-graymap", "image/x-portable-anymap"),
}
_UNSPECIFIC = ("", "application/octet-stream", "binary/octet-stream", "image/*")
_AS_FETCHED = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
_TAIL = 64
RoomFor = Callable[[tuple[int, int]], AbstractContextManager[object]]  # by width and height


class StoredImage(NamedTuple):
    """An image as it goes into a shard; `source_*` is its size as fetched, upright."""

    content: bytes
    extension: str
    width: int
    height: int
    source_width: int
    source_height: int
    flags: tuple[str, ...] = ()  # sorted; FLAGS says what there is


def store_image(
    content: bytes, config: ScrapeConfig, content_type: str = "", room_for: RoomFor = nullcontext
) -> StoredImage:
    """Prove that a body is a whole image and bring it to a form that a shard holds.

    The bytes stay as fetched where every reader sees the same picture in them: upright, opaque, 8 bits of
    grey or RGB in sRGB, one frame. Any other image is decoded here, once and for all, and encoded again.
    """
    try:
        largest_px = config.max_side_px if config.resize_mode == "keep_ratio_largest" else None
        opened = open_picture(content, config.max_pixels, DECODE_BYTES, largest_px)
        with room_for(opened.size):
            stored = _as_fetched(opened, content, config) or _decoded(opened, content, config)
    except ImageTooLargeError as fault:
        raise ScrapeFailure("scrape.too_large", str(fault)) from fault
    except ImageDecodeError as fault:
        raise ScrapeFailure(_undecodable(content), str(fault)) from fault
    if _is_mislabelled(content_type, opened.format):
        return stored._replace(flags=tuple(sorted({*stored.flags, "mislabelled"})))
    return stored


def _as_fetched(opened: OpenPicture, content: bytes, config: ScrapeConfig) -> StoredImage | None:
    """Keep the bytes of most images without a look at their pixels; None where these are needed."""
    if _is_resized(*opened.size, config) or not opened.prove():
        return None
    _check_side(*opened.size, config)
    return StoredImage(content, _AS_FETCHED[opened.format], *opened.size, *opened.size)


def _decoded(opened: OpenPicture, content: bytes, config: ScrapeConfig) -> StoredImage:
    picture = opened.decode()
    width, height = picture.width, picture.height
    _check_side(width, height, config)
    is_resized = _is_resized(width, height, config)
    flags = tuple(sorted({*picture.flags, *(("resized",) if is_resized else ())}))
    extension = _AS_FETCHED.get(picture.format)
    if extension is not None and not flags:
        return StoredImage(content, extension, width, height, width, height)
    return _encoded_again(picture, config)._replace(flags=flags)


def _check_side(width: int, height: int, config: ScrapeConfig) -> None:
    if min(width, height) < config.min_side_px:
        reason = f"{width}x{height} px, the shorter side must have {config.min_side_px}"
        raise ScrapeFailure("scrape.too_small", reason)


def _encoded_again(picture: Picture, config: ScrapeConfig) -> StoredImage:
    """Scale as img2dataset does and encode as JPEG."""
    from unclip_pipeline.scraping.img2dataset_guard import Resizer

    resizer = Resizer(
        config.max_side_px, config.resize_mode, resize_only_if_bigger=True, encode_quality=config.jpeg_quality
    )
    stream = io.BytesIO()
    picture.rgb.save(stream, "BMP")
    content, width, height, *_, error = resizer(stream)
    if error is not None:
        raise ScrapeFailure("scrape.decode_error", f"cannot be scaled: {error}")
    return StoredImage(content, "jpg", width, height, picture.width, picture.height)


def _is_resized(width: int, height: int, config: ScrapeConfig) -> bool:
    """Tell whether img2dataset's mode scales a picture of this size, larger ones only."""
    measured = {
        "no": 0,
        "keep_ratio_largest": max(width, height),
        "border": max(width, height),
        "keep_ratio": min(width, height),
        "center_crop": min(width, height),
    }
    return measured[config.resize_mode] > config.max_side_px


def _is_mislabelled(content_type: str, image_format: str) -> bool:
    """Tell whether a Content-Type names anything but the format that was found."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind not in _UNSPECIFIC and kind not in _CONTENT_TYPES.get(image_format, ())


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
