"""The exported prior is the same function."""

import pytest
import torch

from networks import noise
from unclip_pipeline.models.prior import Prior, PriorConfig, Text

pytest.importorskip("diffusers")


def test_exported_prior_says_the_same_as_ours():
    from unclip_pipeline.export.prior import prior_to_diffusers

    torch.manual_seed(0)
    config = PriorConfig(width=64, layers=3, heads=4, text_tokens=True, context_length=12)
    prior = Prior(config, embedding_width=16, text_width=16).eval()
    torch.nn.init.normal_(prior.out.weight, std=0.1)
    torch.nn.init.normal_(prior.query)
    prior.measure(2 + 3 * noise(50, 16, seed=1), 1 + 2 * noise(50, 16, seed=2))
    x, t, embedding = noise(3, 16, seed=3), torch.tensor([0, 500, 999]), noise(3, 16, seed=4)
    hidden, mask = noise(3, 12, 16, seed=5), torch.arange(12) < torch.tensor([[3], [12], [7]])
    theirs = prior_to_diffusers(prior)(
        x, t, proj_embedding=embedding, encoder_hidden_states=hidden, attention_mask=mask
    ).predicted_image_embedding
    ours = prior(x, t, Text(embedding, hidden, mask))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert theirs.std() > 0.01


def test_prior_that_reads_no_tokens_is_refused_with_the_reason():
    from unclip_pipeline.export.prior import prior_to_diffusers

    with pytest.raises(ValueError, match="text_tokens off"):
        prior_to_diffusers(Prior(PriorConfig(), embedding_width=16))
