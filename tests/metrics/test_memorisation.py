"""A detector of copies is only worth what it does to a model that copies and to one that does not."""

import numpy as np
import pytest
import torch

from unclip_pipeline.metrics.memorisation import (
    copy_rates,
    embedding_vectors,
    nearest,
    ratio_of,
    threshold_at,
    tile_vectors,
)


def _scenes(n, seed):
    """A simple drawn world: a coloured disc somewhere on a flat background, with a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:16, 0:16]
    images = np.empty((n, 3, 16, 16), np.uint8)
    for image in images:
        ground, colour, centre = rng.uniform(30, 220, 3), rng.uniform(30, 220, 3), rng.uniform(4, 12, 2)
        disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < rng.uniform(2, 5) ** 2
        scene = np.where(disc, colour[:, None, None], ground[:, None, None])
        image[:] = np.clip(scene + rng.normal(0, 6, scene.shape), 0, 255)
    return torch.as_tensor(images)


TRAINING, HELDOUT = _scenes(1500, 0), _scenes(400, 1)


def _tile_scores(images, index=TRAINING):
    chunks = (tile_vectors(part) for part in index.split(400))
    return nearest(tile_vectors(images), chunks, k=2).distances[:, 0]


REFERENCE = _tile_scores(HELDOUT)


def _rates(images, index=TRAINING, heldout=HELDOUT):
    scores, reference = _tile_scores(images, index), _tile_scores(heldout, index)
    return copy_rates(scores, reference, false_positive_rate=0.05, extractor="tiles")


@pytest.mark.parametrize("copied", [0.02, 0.1, 0.5])
def test_the_share_a_regurgitator_copies_is_recovered(copied):
    fresh = _scenes(400, 2)
    count = int(400 * copied)
    noise = torch.randint(-3, 4, (count, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    fresh[:count] = (TRAINING[:count].int() + noise).clamp(0, 255).to(torch.uint8)
    excess = _rates(fresh).excess
    assert excess.low <= copied * 0.95 <= excess.high
    if copied >= 0.1:
        assert excess.low > 0


def test_a_fresh_sampler_scores_at_the_false_positive_rate():
    rates = [_rates(_scenes(200, seed), heldout=_scenes(400, 100 + seed)) for seed in range(10, 30)]
    assert np.mean([rate.flagged.value for rate in rates]) == pytest.approx(0.05, abs=0.025)
    assert np.mean([rate.excess.low <= 0 <= rate.excess.high for rate in rates]) >= 0.85
    assert np.mean([rate.nearer < 0.01 for rate in rates]) <= 0.1


def test_copies_vanish_when_their_originals_leave_the_index():
    copies = TRAINING[:100]
    assert _rates(copies).flagged.value == 1.0
    assert _rates(copies, TRAINING[100:]).excess.low <= 0


def test_an_absolute_threshold_would_flag_held_out_pictures():
    """Why the threshold is calibrated: .15 per pixel, used on photographs, flags most of a drawn world."""
    assert (REFERENCE < 0.15).mean() > 0.3 > 0.05 >= (REFERENCE < threshold_at(REFERENCE, 0.05)).mean()


def test_one_wrong_tile_makes_a_picture_different():
    altered = TRAINING[:1].clone()
    altered[..., :4, :4] = 255 - altered[..., :4, :4]
    wrong = (altered.float() - TRAINING[:1].float())[..., :4, :4].div(255).square().mean().sqrt()
    found = nearest(tile_vectors(altered), [tile_vectors(TRAINING[:1])], k=1)
    assert found.distances[0, 0] == pytest.approx(float(wrong), rel=1e-4) and wrong > 0.1


def test_tile_distance_is_the_root_mean_square_of_the_worst_tile():
    black, grey = torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.full((1, 3, 8, 8), 51, dtype=torch.uint8)
    assert nearest(tile_vectors(black), [tile_vectors(grey)], k=1).distances[0, 0] == pytest.approx(0.2)


def test_chunks_of_the_index_make_no_difference_and_order_is_nearest_first():
    rng = np.random.default_rng(0)
    queries, index = embedding_vectors(rng.normal(size=(7, 5))), embedding_vectors(rng.normal(size=(60, 5)))
    whole, parts = nearest(queries, [index], k=3), nearest(queries, index.split(11, dim=1), k=3)
    np.testing.assert_array_equal(whole.rows, parts.rows)
    assert (np.diff(whole.distances) >= 0).all()
    assert (ratio_of(whole) <= 1).all()


def test_leave_one_out_never_finds_the_own_row():
    index = embedding_vectors(np.random.default_rng(0).normal(size=(30, 5)))
    own = np.arange(30)
    assert (nearest(index, [index], k=1).rows[:, 0] == own).all()
    assert (nearest(index, index.split(7, dim=1), k=1, own_row=own).rows[:, 0] != own).all()


def test_a_false_positive_rate_too_small_to_be_measured_is_refused():
    with pytest.raises(ValueError, match="100 reference pictures"):
        threshold_at(np.arange(50.0), 0.01)
