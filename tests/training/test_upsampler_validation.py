"""Super-resolution at every level of noise: which is best, and that drawing uses it."""

from pathlib import Path

import pytest
import torch

from tiny_stack import tiny_dataset, tiny_weights
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.pipelines.train_upsampler.validation import LEVELS, enlarge, validate
from unclip_pipeline.training.pairs import Pairs
from unclip_pipeline.unclip import Enlarging, SamplingConfig

NETWORK = dict(
    side_px=32, low_side_px=16, channels=(8, 8), attention=(False, False), head_width=8,
    target="x0", residual_scale=0.2,
)  # fmt: skip


class ToldBest(Unet):
    """Adds nothing to the enlarged picture when told 0.75, and the more the further from it."""

    def context(self, condition):
        self.told = condition.low_noise
        return super().context(condition)

    def forward(self, x, t, told):
        return (self.told - 0.75).abs()[:, None, None, None].expand_as(x)


class Passing(Unet):
    """Takes the noise it starts from for the picture."""

    def forward(self, x, t, told):
        return x


@pytest.fixture(scope="module")
def heldout(tmp_path_factory) -> Pairs:
    folder: Path = tmp_path_factory.mktemp("validation") / "dataset"
    released = Dataset.open(tiny_dataset(folder, tiny_weights()["clip"], train=16, heldout=24))
    return Pairs(released, released.rows("heldout"), side_px=32)


@pytest.mark.parametrize(
    ("network", "best"),
    [(ToldBest(UnetConfig(**NETWORK, told_noise=True)), 0.75), (Passing(UnetConfig(**NETWORK)), 0.0)],
)
def test_the_level_nearest_to_the_truth_is_the_best(heldout, network, best):
    found = validate(network, heldout, 1, seed=0)
    assert found.best_noise == found.metrics["best_noise"] == best
    assert found.metrics["gain_over_bicubic_db"] == pytest.approx(0, abs=1e-6)
    assert found.metrics["psnr_ours_db"] == found.metrics[f"psnr_noise_{100 * best:.0f}_db"]
    assert found.metrics["sharpness_ours"] == pytest.approx(found.metrics["sharpness_bicubic"])
    for level in set(LEVELS) - {best}:
        assert found.metrics[f"psnr_noise_{100 * level:.0f}_db"] < found.metrics["psnr_ours_db"] - 0.1


def test_noise_to_start_from_gives_sharpness_for_nearness(heldout):
    measured = validate(Passing(UnetConfig(**NETWORK)), heldout, 1, seed=0).metrics
    by_level = [measured[f"sharpness_noise_{100 * level:.0f}"] for level in LEVELS]
    assert by_level == sorted(by_level)


def test_drawing_uses_what_validation_found_unless_told_otherwise():
    facts = {"sampling_steps": 15, "best_noise": 0.25}
    as_found = SamplingConfig().enlarging(facts)
    assert (as_found.steps, as_found.noise) == (15, 0.25)
    asked = SamplingConfig(upsampler_steps=4, upsampler_noise=0.0).enlarging(facts)
    assert (asked.steps, asked.noise) == (4, 0.0)
    assert SamplingConfig().enlarging({}).noise is None


def test_pictures_drawn_at_two_levels_differ(heldout):
    network, rows = Passing(UnetConfig(**NETWORK)), heldout.rows[:2]
    small = torch.full((2, 3, 16, 16), 128, dtype=torch.uint8)
    uids = heldout.dataset.uids(rows)
    quiet, loud = (
        enlarge(network, small, uids, Enlarging(steps=1, noise=level), seed=0) for level in (0.0, 1.0)
    )
    assert quiet.float().std() < 1 < loud.float().std()
