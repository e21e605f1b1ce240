"""The configurations of other sizes name networks of the sizes they claim; no weight is allocated."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from unclip_pipeline.models.condition import Condition
from unclip_pipeline.models.prior import Prior, PriorConfig
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.training.cascade import check_cascade, check_tiles
from unclip_pipeline.training.decoder import DecoderTraining
from unclip_pipeline.training.prior import PriorTraining
from unclip_pipeline.training.upsampler import UpsamplerTraining, check_crop
from unclip_pipeline.unclip import SamplingConfig

CONF = Path(__file__).parents[2] / "conf"
CLIP_WIDTH = 1024


def parameters(environment: str) -> dict:
    """What a run of this environment is given: the base with the environment laid over it."""
    base = [OmegaConf.load(path) for path in sorted((CONF / "base").glob("parameters*.yml"))]
    merged = OmegaConf.merge(*base, OmegaConf.load(CONF / environment / "parameters.yml"))
    return OmegaConf.to_container(merged)


def millions(model: torch.nn.Module) -> float:
    return sum(p.numel() for p in model.parameters()) / 1e6


def test_published_sizes_are_reached():
    """Ramesh et al. (2022): 1 B prior, 3.5 B decoder with a text tower of 1.2 B, upsamplers of 700 M and 300 M."""
    given = parameters("paper")
    with torch.device("meta"):
        prior = Prior(PriorConfig(**given["prior"]), embedding_width=CLIP_WIDTH, text_width=CLIP_WIDTH)
        decoder = Unet(UnetConfig(**given["decoder"]), embedding_width=CLIP_WIDTH, text_width=CLIP_WIDTH)
        upsampler = Unet(UnetConfig(**given["upsampler"]))
        last = Unet(UnetConfig(**given["cascade"]["upsampler_1024"]["network"]))
        crop, t = torch.zeros(2, 3, 256, 256), torch.zeros(2, dtype=torch.long)
        assert last(crop, t, Condition(low_res=crop)).shape == (2, 3, 256, 256)
    assert millions(prior) == pytest.approx(1_200, rel=0.1)
    assert millions(decoder) == pytest.approx(2_300, rel=0.15)
    assert millions(upsampler) == pytest.approx(700, rel=0.15)
    assert decoder.config.dropout == upsampler.config.dropout == 0.1
    assert millions(last) == pytest.approx(300, rel=0.15)


@pytest.mark.parametrize("environment", ["paper", "gpu"])
def test_configurations_are_accepted_and_can_be_exported(environment):
    given = parameters(environment)
    for section, kind in {
        "train_prior": PriorTraining, "train_decoder": DecoderTraining, "train_upsampler": UpsamplerTraining,
    }.items():  # fmt: skip
        assert kind(**given[section]).batch_size >= 128
        assert set(given[section]) <= {field.name for field in fields(kind)}
    decoder, upsampler = (UnetConfig(**given[name]) for name in ("decoder", "upsampler"))
    check_crop(UpsamplerTraining(**given["train_upsampler"]), upsampler)
    assert decoder.why_not_exportable() == [] and upsampler.why_not_exportable() == []
    check_cascade(given)


@pytest.mark.parametrize("environment", ["paper", "gpu"])
def test_the_last_published_stage_fits_onto_both(environment):
    """Table 3's second upsampler: a quarter of the side as crops, linear schedule, 15 steps, BSR."""
    stage = parameters("paper")["cascade"]["upsampler_1024"]
    check_cascade(parameters(environment) | {"cascade": {"upsampler_1024": stage}})
    network, training = UnetConfig(**stage["network"]), UpsamplerTraining(**stage["training"])
    check_crop(training, network)
    assert (network.schedule, network.low_side_px, network.side_px) == ("linear", 256, 1024)
    assert training.crop_px * 4 == network.side_px and not any(network.attention)
    assert (training.sampling_steps, training.harsh_share) == (15, 1.0)
    check_tiles(256, 32, {"upsampler_1024": network})
    sampling = SamplingConfig(**parameters(environment)["sampling"])
    assert sampling.enlarging({"sampling_steps": training.sampling_steps}).steps == 15
    assert any("linear" in reason for reason in network.why_not_exportable())
