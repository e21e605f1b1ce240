"""Read a picture's colours as its profile means them."""

import io
from collections.abc import Callable
from functools import lru_cache
from itertools import product

import numpy as np
from PIL import Image, ImageCms

Transform = Callable[[Image.Image], Image.Image]
MAX_PROFILE_BYTES = 4 * 2**20
NEAR = 2  # of 255: profiles that differ by less are sRGB under another name
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def to_srgb(image: Image.Image) -> Transform | None:
    """Return the transform of a picture's 8-bit pixels to sRGB; None if they are that, or say nothing usable.

    It takes bands of the mode that the profile is for, and gives RGB.
    """
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MAX_PROFILE_BYTES:
        return None
    mode = {"CMYK": "CMYK", "L": "L", "LA": "L", "1": "L"}.get(
        image.mode, "L" if image.mode.startswith("I") else "RGB"
    )
    return _transform(profile, mode)


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> Transform | None:
    """Build a transform once for all pictures of a profile; a broken or foreign profile is as none."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _MODES.get(source.profile.xcolor_space.strip()) != mode:
            return None
        table = ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None

    def apply(band: Image.Image) -> Image.Image:
        return table.apply(band.convert(mode))

    return None if _changes_nothing(apply, mode) else apply


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(apply: Transform, mode: str) -> bool:
    """Tell whether colours from all over the cube stay what a reader without profiles takes them for."""
    levels = range(0, 256, 51)
    cube = np.array(list(product(levels, levels, levels)), dtype=np.uint8)[None]
    probe = Image.fromarray(cube).convert(mode)
    plain = np.asarray(probe.convert("RGB")).astype(int)
    return bool(abs(np.asarray(apply(probe)).astype(int) - plain).max() <= NEAR)
