import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from unclip_pipeline.curation.looks import colour, measure_picture, text_density
from unclip_pipeline.seeds import seeded_numpy


def page(lines: int, size_px: int = 14) -> np.ndarray:
    image = Image.new("RGB", (320, 240), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=size_px)
    for line in range(lines):
        draw.text((8, 8 + 19 * line), "the quick brown fox jumps over the lazy dog", font=font, fill="black")
    return np.array(image)


def test_more_writing_is_more_text():
    densities = [text_density(page(lines)) for lines in (0, 1, 4, 12)]
    assert densities[0] == 0
    assert densities == sorted(densities)
    assert densities[-1] > 0.5


@pytest.mark.parametrize("axis", [0, 1])
def test_stripes_are_no_text(axis):
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[(slice(None), slice(None, None, 8))[::-1] if axis else (slice(None, None, 8),)] = 255
    assert text_density(stripes) == 0


def test_smooth_pictures_are_no_text():
    ramp = np.tile(np.linspace(0, 255, 320).astype(np.uint8)[None, :, None], (240, 1, 3))
    assert text_density(ramp) == 0


def test_grey_has_no_colour_and_pure_colours_have_all():
    grey = seeded_numpy(0, "grey").integers(0, 256, (40, 30, 1), dtype=np.uint8).repeat(3, 2)
    assert colour(grey) == 0
    assert colour(np.tile(np.array([255, 0, 0], np.uint8), (40, 30, 1))) == 255


def test_the_smallest_picture_has_measures():
    assert np.isfinite(measure_picture(np.zeros((1, 1, 3), np.uint8))).all()
