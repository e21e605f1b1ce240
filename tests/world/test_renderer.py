"""Pictures show what their scene says, and are the same every time."""

from dataclasses import replace

import numpy as np
import pytest

from unclip_pipeline.world.renderer import FILLS, background_image, render
from unclip_pipeline.world.scenes import (
    BACKGROUNDS,
    COLOURS,
    POSITIONS,
    SHAPES,
    Scene,
    WorldConfig,
    sample_scenes,
)

DISC = Scene(
    kind="shape",
    shape="circle",
    colour="red",
    size="large",
    position="centre",
    background="white",
    style="flat",
)


def _foreground(scene: Scene, side_px: int = 64) -> np.ndarray:
    """Mask the pixels that differ from the bare background."""
    bare = np.asarray(background_image(scene.background, side_px * 3).reduce(3), dtype=int)
    return np.abs(render(scene, side_px).astype(int) - bare).sum(axis=2) > 60


def test_a_scene_renders_to_the_same_pixels_every_time() -> None:
    for scene in sample_scenes(WorldConfig(), 20, 0):
        assert np.array_equal(render(scene, 32), render(scene, 32))


@pytest.mark.parametrize("colour", COLOURS)
def test_a_flat_disc_has_its_colour_in_its_middle(colour: str) -> None:
    assert tuple(render(replace(DISC, colour=colour), 64)[32, 32]) == FILLS[colour]


def test_positions_move_the_shape_from_left_to_right() -> None:
    for size in ("small", "large"):
        centres = [
            np.nonzero(_foreground(replace(DISC, position=position, size=size)))[1].mean()
            for position in POSITIONS
        ]
        assert centres[0] + 8 < centres[1] < centres[2] - 8


def test_large_shapes_cover_more_than_twice_what_small_ones_do() -> None:
    for shape in SHAPES:
        large, small = (
            _foreground(replace(DISC, shape=shape, size=size)).sum() for size in ("large", "small")
        )
        assert large > 2 * small


def test_no_shape_leaves_the_picture() -> None:
    for scene in sample_scenes(WorldConfig(noise_sigma=0.0), 1500, 0, kinds=("shape",)):
        mask = _foreground(replace(scene, light=1.0))
        assert not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()), scene


def test_a_ring_lets_the_background_through() -> None:
    for style in ("flat", "outlined"):
        picture = render(replace(DISC, shape="ring", style=style), 64)
        assert tuple(picture[32, 32]) == (247, 247, 247)


def test_scenes_of_different_content_look_different() -> None:
    scenes = {s.latents: replace(s, dx=0.0, dy=0.0, scale=1.0, angle_deg=0.0, light=1.0, noise_sigma=0.0)
              for s in sample_scenes(WorldConfig(), 1200, 0)}  # fmt: skip
    pictures = np.stack([render(scene, 32).ravel() for scene in scenes.values()]).astype(np.float32)
    squares = (pictures**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * pictures @ pictures.T
    np.fill_diagonal(distances, np.inf)
    assert len(scenes) > 500
    assert distances.min() / pictures.shape[1] > 4  # mean squared difference, of 255 squared


def test_two_draws_of_the_same_content_are_not_the_same_picture() -> None:
    assert not np.array_equal(
        render(replace(DISC, noise_sigma=4.0, noise_seed=1), 64),
        render(replace(DISC, noise_sigma=4.0, noise_seed=2), 64),
    )


def test_sensor_noise_has_the_sigma_it_says() -> None:
    grey = replace(DISC, background="striped", noise_sigma=5.0, noise_seed=3)
    difference = render(grey, 64).astype(float) - render(replace(grey, noise_sigma=0.0), 64)
    assert difference.std() == pytest.approx(5.0, rel=0.05)


def test_a_watermark_spans_the_picture() -> None:
    changed = (render(DISC, 64) != render(replace(DISC, watermark=True), 64)).any(axis=2)
    assert changed[28:36].mean() > 0.9
    assert not changed[:20].any()


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_colour_stands_out_from_every_background(background: str) -> None:
    for colour in COLOURS:
        assert _foreground(replace(DISC, colour=colour, background=background)).mean() > 0.25
