"""The template of super-resolution, run twice by Kedro: trained, drawn with and released together."""

from typing import Any

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from tiny_stack import SAMPLING, tiny_dataset, tiny_weights
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.pipeline_registry import load_pipeline, use_cascade
from unclip_pipeline.pipelines.train_upsampler import nodes
from unclip_pipeline.training.upsampler import UpsamplerTraining
from unclip_pipeline.unclip import UnClip

SMALL = dict(channels=(8, 16), attention=(False, False), head_width=8, target="x0", residual_scale=0.2)
RUN = UpsamplerTraining(images=64, batch_size=16, warmup_images=16, crop_px=16, sampling_steps=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[str, Any]:
    """What both trainings put into the catalog."""
    home, weights = tmp_path_factory.mktemp("two_stages"), tiny_weights()
    given = {
        "dataset": tiny_dataset(home / "dataset", weights["clip"], train=32, heldout=16),
        "train_upsampler_scratch": home / "first",
        "train_upsampler_64_scratch": home / "second",
        "params:upsampler": UnetConfig(side_px=32, low_side_px=16, **SMALL),
        "params:train_upsampler": RUN,
        "params:cascade.upsampler_64.network": UnetConfig(side_px=64, low_side_px=32, **SMALL),
        "params:cascade.upsampler_64.training": RUN,
        "params:seed": 0,
    }
    use_cascade(["upsampler_64"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "log_image", lambda image, name, step=None: None)
        patch.setattr(nodes, "watch", lambda steps, stage, images: steps)
        pipeline = load_pipeline("train_upsampler") + load_pipeline("train_upsampler_64")
        catalog = DataCatalog({name: MemoryDataset(value) for name, value in given.items()})
        trainings = pipeline.to_outputs("upsampler_weights", "upsampler_64_weights")
        saved = SequentialRunner().run(trainings, catalog)
    use_cascade([])
    return {name: dataset.load() for name, dataset in saved.items()}


def test_each_stage_leaves_weights_metrics_and_history_of_its_own(trained):
    sides = [
        trained[f"{stage}_weights"].config["architecture"]["side_px"]
        for stage in ("upsampler", "upsampler_64")
    ]
    assert sides == [32, 64]
    for stage in ("upsampler", "upsampler_64"):
        assert trained[f"train_{stage}_metrics"]["images_seen"] == 64
        assert trained[f"train_{stage}_history"]["images_seen"].iloc[-1] == 64


def test_weights_say_with_how_many_steps_and_at_which_noise_they_are_best(trained):
    facts, metrics = trained["upsampler_64_weights"].config, trained["train_upsampler_64_metrics"]
    assert facts["sampling_steps"] == 3 and facts["best_noise"] == metrics["best_noise"]
    levels = {
        name: value
        for name, value in metrics.items()
        if name.startswith("psnr_noise") and name.endswith("_db")
    }
    assert max(levels.values()) == levels[f"psnr_noise_{100 * facts['best_noise']:.0f}_db"]


def test_both_stages_draw_one_after_the_other(trained):
    parts = {name: part for name, part in tiny_weights().items() if name != "upsampler"}
    stages = {stage: trained[f"{stage}_weights"] for stage in ("upsampler", "upsampler_64")}
    unclip = UnClip.from_weights(**parts, **stages, sampling=SAMPLING)
    assert [picture.size for picture in unclip.generate(["a red disc"], seed=0)] == [(64, 64)]
