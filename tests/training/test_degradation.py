"""Smaller pictures are worsened as told, and every draw belongs to its generator."""

import torch

from unclip_pipeline.training.degradation import harshly_worsened
from unclip_pipeline.training.upsampler import UpsamplerTraining, worsened


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 4) -> torch.Tensor:
    coarse = torch.rand(count, 3, 4, 4, generator=seeded(0)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (16, 16), mode="bilinear")


def settings(**options) -> UpsamplerTraining:
    return UpsamplerTraining(images=64, batch_size=32, warmup_images=0, **options)


def test_nothing_asked_changes_nothing():
    small = pictures()
    same, noise = worsened(small, settings(blur_share=0.0, low_noise=0.0), seeded(1))
    assert torch.equal(same, small) and noise.shape == (4,)


def test_noise_is_as_strong_as_it_is_said_to_be():
    small = torch.zeros(64, 3, 16, 16)
    noisy, noise = worsened(small, settings(blur_share=0.0, low_noise=0.2), seeded(1))
    deviations = noisy.flatten(1).std(1)
    torch.testing.assert_close(deviations, 0.2 * noise, rtol=0.15, atol=1e-4)


def test_harshly_worsened_pictures_stay_themselves_and_in_range():
    small = pictures(8)
    worse = harshly_worsened(small, seeded(1))
    assert worse.shape == small.shape and worse.abs().max() <= 1
    assert (worse - small).abs().mean() > 0.005
    errors = torch.cdist(worse.flatten(1), small.flatten(1))
    assert (errors.argmin(1) == torch.arange(8)).all(), "each is still nearest to its own original"


def test_only_the_share_that_is_asked_for_is_worsened_harshly():
    small = pictures(8).repeat(25, 1, 1, 1)
    some, _ = worsened(small, settings(blur_share=0.0, low_noise=0.0, harsh_share=0.25), seeded(2))
    changed = (some != small).flatten(1).any(1).float().mean()
    assert 0.17 < changed < 0.33
    again, _ = worsened(small, settings(blur_share=0.0, low_noise=0.0, harsh_share=0.25), seeded(2))
    assert torch.equal(some, again)
