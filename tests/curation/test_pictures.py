import numpy as np
import pytest

from unclip_pipeline.curation.pictures import contrast, fingerprint, hamming, perceptual_hash, stack
from unclip_pipeline.seeds import seeded_numpy


def noise(number: int, side: int = 64) -> np.ndarray:
    coarse = seeded_numpy(number, "coarse").integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((side // 8, side // 8, 1), np.uint8))


def test_noise_alone_is_no_contrast_and_halves_are_half_the_range():
    grey = np.full((64, 64, 3), 128.0)
    assert contrast(grey.astype(np.uint8)) == 0
    noisy = grey + 8 * seeded_numpy(0, "n").standard_normal(grey.shape)
    assert contrast(noisy.astype(np.uint8)) < 3
    grey[:32] = 28
    assert contrast(grey.astype(np.uint8)) == pytest.approx(50, abs=2)


def test_a_hash_survives_size_and_brightness():
    assert hamming(perceptual_hash(noise(1)), perceptual_hash(noise(1, 128))) <= 2
    darker = (noise(1) * 0.8).astype(np.uint8)
    assert hamming(perceptual_hash(noise(1)), perceptual_hash(darker)) <= 2


def test_hashes_of_unrelated_images_differ_in_half_their_bits():
    hashes = np.array([perceptual_hash(noise(number)) for number in range(60)])
    apart = hamming(hashes[:30], hashes[30:])
    assert 25 < apart.mean() < 39


def test_fingerprints_are_stacked_by_uid():
    prints = stack([("b", fingerprint(noise(1))), ("a", fingerprint(noise(2)))])
    assert prints.uid.tolist() == ["a", "b"]
    assert prints.hash[1] == perceptual_hash(noise(1))
    assert prints.cells.shape == (2, 16, 16, 3)
    assert prints.view.shape == (2, 64, 64)
    assert stack([]).view.shape == (0, 64, 64)
