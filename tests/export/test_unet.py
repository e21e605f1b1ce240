"""Exported U-Nets are the same functions."""

import pytest
import torch

from networks import awake, noise
from unclip_pipeline.models.condition import Condition
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.models.unet_config import UnetConfig

pytest.importorskip("diffusers")
SIZES = dict(side_px=16, channels=(16, 32, 32), blocks=2, head_width=16, norm_groups=8)


@pytest.mark.parametrize("learned_variance", [False, True])
def test_exported_decoder_says_the_same_as_ours(learned_variance):
    from unclip_pipeline.export.unet import decoder_to_diffusers

    config = UnetConfig(
        **SIZES, attention=(False, True, True), text_tokens=True, learned_variance=learned_variance
    )
    decoder = awake(Unet(config, embedding_width=12, text_width=12))
    x, t = noise(2, 3, 16, 16, seed=0), torch.tensor([3, 900])
    condition = Condition(
        noise(2, 12, seed=1),
        noise(2, 12, seed=2),
        noise(2, 5, 12, seed=3),
        torch.ones(2, 5, dtype=torch.bool),
    )
    time, tokens, _ = decoder.embed(condition.image_embedding, condition.text_embedding)
    context = torch.cat([tokens, decoder.text_in(condition.text_hidden)], 1)
    theirs = decoder_to_diffusers(decoder)(x, t, encoder_hidden_states=context, class_labels=time).sample
    ours = decoder(x, t, condition)
    assert theirs.shape == (2, 6, 16, 16) and ours.std() > 0.01
    torch.testing.assert_close(ours, theirs[:, : ours.shape[1]], atol=1e-5, rtol=1e-4)
    if not learned_variance:
        assert (theirs[:, 3:] == -1).all(), "the lower bound of the variance, whatever the picture"


def test_exported_upsampler_says_the_same_as_ours():
    from unclip_pipeline.export.unet import upsampler_to_diffusers

    config = UnetConfig(**SIZES, attention=(False,) * 3, low_side_px=8, text_embedding=False)
    upsampler = awake(Unet(config))
    x, low, t = noise(2, 3, 16, 16, seed=0), noise(2, 3, 16, 16, seed=1), torch.tensor([3, 900])
    theirs = upsampler_to_diffusers(upsampler)(torch.cat([x, low], 1), t).sample
    torch.testing.assert_close(upsampler(x, t, Condition(low_res=low)), theirs, atol=1e-5, rtol=1e-4)


def test_network_that_diffusers_cannot_express_is_refused_with_the_reason():
    from unclip_pipeline.export.unet import decoder_to_diffusers

    decoder = Unet(UnetConfig(text_tokens=True, target="v"), embedding_width=12, text_width=12)
    with pytest.raises(ValueError, match="target v"):
        decoder_to_diffusers(decoder)
