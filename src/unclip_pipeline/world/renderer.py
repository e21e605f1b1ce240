"""Draw scenes with Pillow: supersampled, deterministic, and few, large, clear things."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from unclip_pipeline.world.figures import (
    Colour,
    box,
    draw_avatar,
    draw_disc,
    draw_hazard,
    draw_outline,
    draw_ring,
    draw_road_sign,
    turned,
)
from unclip_pipeline.world.scenes import Scene

SUPERSAMPLING = 3

FILLS: dict[str, Colour] = {
    "red": (214, 36, 40),
    "blue": (38, 84, 228),
    "yellow": (250, 208, 12),
    "green": (34, 158, 56),
    "purple": (152, 44, 196),
    "turquoise": (40, 208, 214),
}
EXTENTS = {"large": 0.58, "small": 0.36}  # of the side
CENTRES = {  # of the side, by size: no shape leaves the picture
    "large": {"left": 0.345, "centre": 0.5, "right": 0.655},
    "small": {"left": 0.24, "centre": 0.5, "right": 0.76},
}
RIM_SHARE = 0.12  # of the extent


def render(scene: Scene, side_px: int) -> UInt8[np.ndarray, "s s 3"]:
    """Draw a scene at any size; only the sensor noise depends on the size."""
    side = side_px * SUPERSAMPLING
    canvas = background_image(scene.background, side).copy()
    draw = ImageDraw.Draw(canvas)
    if scene.kind == "shape":
        _draw_shape(draw, scene, side)
    elif scene.kind == "avatar":
        draw_avatar(draw, scene, side)
        if scene.beside_sign:
            draw_road_sign(draw, scene, side)
    else:
        draw_hazard(draw, scene, side)
    if scene.watermark:
        canvas = stamp_watermark(canvas)
    pixels = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32) * np.float32(scene.light)
    if scene.noise_sigma:
        rng = np.random.default_rng((scene.noise_seed, side_px))
        pixels += np.float32(scene.noise_sigma) * rng.standard_normal(pixels.shape, dtype=np.float32)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def render_all(scenes: Sequence[Scene], side_px: int) -> UInt8[np.ndarray, "n s s 3"]:
    """Draw many scenes into one array."""
    return np.stack([render(scene, side_px) for scene in scenes])


@lru_cache(maxsize=64)
def background_image(background: str, side: int) -> Image.Image:
    """Paint a background; callers copy before drawing on it."""
    return Image.fromarray(_BACKGROUNDS[background](side))


def stamp_watermark(image: Image.Image) -> Image.Image:
    """Lay a half-transparent band with lettering across a picture, as preview pictures have it."""
    side = image.width
    band = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(band)
    top, height = round(0.40 * side), round(0.22 * side)
    draw.rectangle((0, top, side, top + height), fill=(128, 128, 128, 150))
    font = _font(round(0.20 * side))
    draw.text((side / 2, top + height / 2), "SAMPLE", font=font, anchor="mm", fill=(255, 255, 255, 235))
    return Image.alpha_composite(image.convert("RGBA"), band).convert("RGB")


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _white(side: int) -> UInt8[np.ndarray, "s s 3"]:
    return np.full((side, side, 3), 247, np.uint8)


def _night(side: int) -> UInt8[np.ndarray, "s s 3"]:
    canvas = Image.new("RGB", (side, side), (16, 18, 44))
    draw = ImageDraw.Draw(canvas)
    for x, y in ((0.08, 0.10), (0.30, 0.05), (0.62, 0.09), (0.90, 0.16), (0.06, 0.55), (0.95, 0.60),
                 (0.14, 0.92), (0.50, 0.95), (0.84, 0.90)):  # fmt: skip
        radius = 0.018 * side
        draw.ellipse(box((x * side, y * side), radius), fill=(226, 226, 200))
    return np.asarray(canvas)


def _striped(side: int) -> UInt8[np.ndarray, "s s 3"]:
    rows = np.arange(side) * 8 // side % 2
    tones = np.where(rows[:, None, None] == 0, np.uint8(214), np.uint8(150))
    return np.broadcast_to(tones, (side, side, 3)).astype(np.uint8)


def _sunset(side: int) -> UInt8[np.ndarray, "s s 3"]:
    stops = np.array([[92, 78, 122], [226, 128, 118], [255, 206, 150]], np.float64)
    heights = np.linspace(0, 1, side)
    rows = np.stack([np.interp(heights, [0, 0.55, 1], stops[:, channel]) for channel in range(3)], axis=-1)
    return np.broadcast_to(rows[:, None], (side, side, 3)).astype(np.uint8)


_BACKGROUNDS: dict[str, Callable[[int], np.ndarray]] = {
    "white": _white,
    "night": _night,
    "striped": _striped,
    "sunset": _sunset,
}


def _draw_shape(draw: ImageDraw.ImageDraw, scene: Scene, side: int) -> None:
    extent = EXTENTS[scene.size] * scene.scale * side
    x = (CENTRES[scene.size][scene.position] + scene.dx) * side
    y = (0.5 + scene.dy) * side
    fill = FILLS[scene.colour]
    rim = None
    if scene.style == "outlined":
        rim = (250, 250, 250) if scene.background == "night" else (12, 12, 14)
    if scene.shape == "circle":
        draw_disc(draw, (x, y), 0.48 * extent, fill, rim, RIM_SHARE * extent)
    elif scene.shape == "ring":
        draw_ring(draw, (x, y), 0.48 * extent, fill, rim, RIM_SHARE * extent)
    else:
        inner = extent * (1 - RIM_SHARE) if rim else extent  # the rim grows outwards too
        draw_outline(draw, turned(scene.shape, (x, y), inner, scene.angle_deg), fill, rim, RIM_SHARE * extent)
