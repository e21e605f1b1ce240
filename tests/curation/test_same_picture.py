import io

import numpy as np
import pytest
import torch
from PIL import Image

from unclip_pipeline.corpus.images import decode_rgb
from unclip_pipeline.curation.cells import cell_difference
from unclip_pipeline.curation.pairs import Pairs
from unclip_pipeline.curation.pictures import Fingerprints, fingerprint, stack
from unclip_pipeline.curation.registration import apply_warp, identity, misfit, register
from unclip_pipeline.curation.same_picture import GrainReader
from unclip_pipeline.seeds import seeded_numpy

SIDE = 64
PAIR = Pairs(np.array([0]), np.array([1]))


def scene(number: int, *, shift: float = 0.0, turn: float = 0.0, dye: int = 0) -> np.ndarray:
    """A soft blob on a gradient with sensor noise that is all its own."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    wide, high = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    blob = 1 / (1 + np.exp(40 * (np.hypot((wide - shift) / 0.9, high / 0.5) - 0.3)))
    colour = np.array([40 + dye, 160 - dye, 90])
    image = 170 + 40 * y[..., None] + blob[..., None] * (colour - 170)
    image += 4 * seeded_numpy(number, "noise").standard_normal((SIDE, SIDE, 3))
    return image.clip(0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return decode_rgb(stream.getvalue())


def resized(image: np.ndarray, side: int) -> np.ndarray:
    return np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def cropped(image: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    return image[top : SIDE - bottom, left : SIDE - right]


def stamped(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[48:60, 30:62] = 255
    return image


def prints_of(*images: np.ndarray) -> Fingerprints:
    return stack([(f"{row:016x}", fingerprint(image)) for row, image in enumerate(images)])


def in_place(*images: np.ndarray) -> float:
    return float(GrainReader(prints_of(*images).view).in_place(PAIR).correlation[0])


def registered(*images: np.ndarray) -> float:
    return float(GrainReader(prints_of(*images).view).registered(PAIR).correlation[0])


def test_an_image_has_its_own_grain():
    assert in_place(scene(1), scene(1)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("number", range(2, 8))
def test_the_same_scene_taken_again_has_another_grain(number):
    assert abs(in_place(scene(1), scene(number))) < 0.15
    assert abs(registered(scene(1), scene(number))) < 0.15


@pytest.mark.parametrize(
    "copy",
    [jpeg(scene(1), 92), resized(scene(1), 96), stamped(scene(1)), resized(stamped(scene(1)), 100)],
    ids=["jpeg", "larger", "stamped", "stamped and larger"],
)
def test_copies_keep_their_grain_in_place(copy):
    assert in_place(scene(1), copy) > 0.3


@pytest.mark.parametrize("edges", [(3, 3, 3, 3), (0, 0, 6, 0), (1, 5, 2, 0), (4, 4, 0, 0)])
def test_crops_show_their_grain_once_laid_over_each_other(edges):
    crop = cropped(scene(1), *edges)
    assert in_place(scene(1), crop) < 0.2
    assert registered(scene(1), crop) > 0.3
    assert registered(crop, scene(1)) > 0.3  # whichever is the crop


def test_a_hard_compression_loses_grain_but_moves_no_cell():
    prints = prints_of(scene(1), jpeg(scene(1), 35), scene(1, shift=0.05), scene(1, dye=40))
    apart = cell_difference(prints, Pairs(np.array([0, 0, 0]), np.array([1, 2, 3])))
    assert apart.largest[0] < 12 < apart.largest[1:].min()
    assert apart.median[0] < 3


def test_tones_stay_when_cells_move():
    prints = prints_of(scene(1), cropped(scene(1), 3, 3, 3, 3))
    apart = cell_difference(prints, PAIR)
    assert apart.largest[0] > 12
    assert apart.tones[0] < 3


def test_an_image_without_grain_says_nothing():
    flat = np.full((SIDE, SIDE, 3), 255, np.uint8)
    assert in_place(flat, flat) == 0


def test_pairs_that_never_fit_share_nothing():
    striped = np.zeros((SIDE, SIDE, 3), np.uint8)
    striped[::8] = 255
    assert registered(scene(1), striped) == 0


def test_unrelated_grain_is_told_from_lost_grain():
    def unrelated(*images: np.ndarray) -> bool:
        return bool(GrainReader(prints_of(*images).view).in_place(PAIR).unrelated[0])

    assert unrelated(scene(1), scene(2))
    assert not unrelated(scene(1), jpeg(scene(1), 35))
    assert not unrelated(scene(1), jpeg(scene(1), 92))


def test_drawings_of_one_outline_in_other_colours_share_no_grain():
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    inside, rim = (np.hypot(x - 32, y - 32) < radius for radius in (18, 20))
    faces = np.full((2, SIDE, SIDE, 3), 255, np.uint8)
    faces[:, rim] = 40
    faces[0, inside], faces[1, inside] = (255, 222, 180), (160, 110, 70)
    assert in_place(*faces) == 0
    assert registered(*faces) == 0


def test_the_inverse_of_a_warp_undoes_it():
    smooth = torch.from_numpy(resized(resized(scene(1), 8), 64)).float().mean(2)[None, None]
    warp = torch.tensor([[0.06, -0.04, 1.08, 0.95]])
    back = torch.cat([-warp[:, :2] / warp[:, 2:], 1 / warp[:, 2:]], dim=1)
    moved, _ = apply_warp(smooth, warp)
    again, inside = apply_warp(moved, back)
    inner = inside & apply_warp(inside.float(), back)[0].gt(0.99)
    inner[..., :6, :] = inner[..., -6:, :] = inner[..., :, :6] = inner[..., :, -6:] = False
    assert (again - smooth)[inner].abs().max() < 2


def test_registration_recovers_a_planted_warp():
    views = torch.stack([torch.from_numpy(scene(n, turn=0.4)).float().mean(2)[None] for n in range(4)])
    warp = torch.tensor([[0.05, -0.04, 1.06, 1.03]]).repeat(4, 1)
    back = torch.cat([-warp[:, :2] / warp[:, 2:], 1 / warp[:, 2:]], dim=1)
    moving, _ = apply_warp(views, back)
    found = register(views, moving, identity(4), steps=12)
    assert found == pytest.approx(warp, abs=0.02)
    assert (misfit(views, moving, found) < misfit(views, moving, identity(4))).all()
