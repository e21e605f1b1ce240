import numpy as np
import pytest
import torch

from unclip_pipeline.metrics.pictures import psnr_db, psnr_gain, resized, sharpness
from unclip_pipeline.metrics.random_features import WIDTH, random_extractor_id, random_features


def _noise(n=4, side=16, seed=0):
    return torch.randint(
        0, 256, (n, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def test_psnr_of_a_constant_error_is_the_closed_form():
    truth = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    assert psnr_db(truth + 10, truth) == pytest.approx([20 * np.log10(25.5)] * 2)
    assert psnr_db(truth, truth).tolist() == [100.0, 100.0]


def test_psnr_gain_is_positive_only_when_nearer_the_truth():
    truth = torch.full((5, 3, 8, 8), 100, dtype=torch.uint8)
    assert psnr_gain(truth + 1, truth + 10, truth).value == pytest.approx(20.0)


def test_sharpness_falls_under_blur_and_is_zero_on_a_flat_picture():
    image = _noise()
    assert (sharpness(resized(resized(image, 8), 16)) < sharpness(image)).all()
    assert sharpness(torch.full((1, 3, 8, 8), 9, dtype=torch.uint8)).tolist() == [0.0]


def test_random_features_are_the_same_ruler_on_every_run():
    first, second = random_features(_noise()), random_features(_noise())
    assert first.shape == (4, WIDTH)
    np.testing.assert_array_equal(first, second)
    assert random_extractor_id() == "random-conv-32px-c5bda805cace19a7"


def test_random_features_tell_colours_and_places_apart():
    red, blue = torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    red[:, 0], blue[:, 2] = 255, 255
    left, right = red.clone(), red.clone()
    left[..., :16], right[..., 16:] = 0, 0
    for one, other in ((red, blue), (left, right)):
        assert np.linalg.norm(random_features(one) - random_features(other)) > 0.3
