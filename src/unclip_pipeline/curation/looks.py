"""What the pixels of an image measure for the filters: contrast, colour, text."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt8
from PIL import Image
from scipy import ndimage

from unclip_pipeline.curation.pictures import CELLS, contrast

TEXT_VIEW_PX = 256  # longest side of the view that text is looked for in
STEP = 48  # grey levels that a stroke stands out by on both sides
STROKE_PX = 6  # widest stroke
WINDOW_PX = (9, 25)  # height and width of the window that strokes are counted in
STROKES_PER_LINE = 2.0  # in a window's width, on average over its height
LONGEST_PX = 13  # what is straight up for longer is a stripe or a frame, not a letter


class PictureMeasures(NamedTuple):
    """Numbers of one image."""

    contrast: float  # standard deviation of a 16x16 grey thumbnail, of 255
    colour: float  # mean distance of the strongest channel from the weakest, of 255; 0 is grey
    text_density: float  # share of the area that looks like writing, in [0, 1]


def measure_picture(image: UInt8[np.ndarray, "h w 3"]) -> PictureMeasures:
    """Measure one image."""
    return PictureMeasures(contrast(image), colour(image), text_density(image))


def colour(image: UInt8[np.ndarray, "h w 3"]) -> float:
    """Mean distance of the strongest channel from the weakest, on a 16x16 thumbnail."""
    cells = np.asarray(Image.fromarray(image).resize((CELLS, CELLS), Image.Resampling.BOX), np.int16)
    return float((cells.max(axis=2) - cells.min(axis=2)).mean())


def text_density(image: UInt8[np.ndarray, "h w 3"]) -> float:
    """Share of the area that looks like writing.

    A heuristic: writing is where many narrow strokes follow each other along a line, each with a sharp
    edge on both sides, and none goes straight up for long. Hatching, foliage and fences resemble it, and
    letters wider than a dozen pixels in a 256-pixel view are not seen. Order pictures by it, look at the
    sheet, then choose a limit.
    """
    picture = Image.fromarray(image).convert("L")
    picture.thumbnail((TEXT_VIEW_PX, TEXT_VIEW_PX), Image.Resampling.BOX, reducing_gap=None)
    strokes = _strokes(np.asarray(picture, np.int16))
    if strokes.sum() < STROKES_PER_LINE * WINDOW_PX[0]:
        return 0.0  # too few for a single window
    counted = ndimage.uniform_filter(_without_straight(strokes), WINDOW_PX, mode="constant")
    return float((counted * WINDOW_PX[1] >= STROKES_PER_LINE).mean())


def _without_straight(strokes: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Leave out what an opening by an upright line keeps."""
    marked = strokes.astype(np.uint8)
    within = ndimage.minimum_filter1d(marked, LONGEST_PX, axis=0, mode="constant")
    straight = ndimage.maximum_filter1d(within, LONGEST_PX, axis=0, mode="constant")
    return (marked > straight).astype(np.float32)


def _strokes(grey: Int16[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Mark where a narrow stroke begins: a sharp step one way, and one back within a few pixels."""
    steps = np.diff(grey, axis=1, prepend=grey[:, :1])
    up, down = steps >= STEP, steps <= -STEP
    found = np.zeros(grey.shape, bool)
    for width_px in range(1, min(STROKE_PX, grey.shape[1] - 1) + 1):
        found[:, :-width_px] |= up[:, :-width_px] & down[:, width_px:]
        found[:, :-width_px] |= down[:, :-width_px] & up[:, width_px:]
    return found
