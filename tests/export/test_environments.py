"""The environments that promise an exportable stack configure one."""

import pytest
from kedro.config import OmegaConfigLoader

from project import ROOT
from unclip_pipeline.clip.model import OPEN_CLIP, SCRATCH, ClipConfig, scratch_architecture
from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.export.reasons import why_context_clashes
from unclip_pipeline.export.towers import why_text_not_exportable
from unclip_pipeline.models.prior import PriorConfig
from unclip_pipeline.models.unet_config import UnetConfig


@pytest.mark.parametrize("environment", ["diffusers", "gpu", "paper"])
def test_environment_configures_a_stack_that_diffusers_can_express(environment):
    loader = OmegaConfigLoader(
        str(ROOT / "conf"),
        base_env="base",
        default_run_env=environment,
        merge_strategy={"parameters": "soft"},
    )
    parameters = loader["parameters"]
    clip = ClipConfig(
        **{**parameters["clip"], "channels": tuple(parameters["clip"].get("channels", (32, 64, 128)))}
    )
    architecture = (
        scratch_architecture(clip)
        if clip.source == SCRATCH
        else {"model": open_clip.get_model_config(clip.source.removeprefix(OPEN_CLIP).partition("/")[0])}
    )
    decoder, upsampler = UnetConfig(**parameters["decoder"]), UnetConfig(**parameters["upsampler"])
    reasons = [
        *why_text_not_exportable(architecture),
        *PriorConfig(**parameters["prior"]).why_not_exportable(),
        *decoder.why_not_exportable(),
        *why_context_clashes(decoder, architecture["model"]["text_cfg"]["context_length"]),
        *upsampler.why_not_exportable(),
    ]
    assert reasons == []
