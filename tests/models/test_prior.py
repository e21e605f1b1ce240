"""The prior: causality, padding, standardising, and attention against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from unclip_pipeline.models.attention import attend
from unclip_pipeline.models.prior import Prior, PriorConfig, Text, causal_mask, load_prior, prior_weights
from unclip_pipeline.weights import load_weights, save_weights

TINY = dict(width=32, layers=2, heads=4)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def prior(**options) -> Prior:
    torch.manual_seed(0)
    made = Prior(PriorConfig(**TINY | options), embedding_width=8, text_width=12).eval()
    torch.nn.init.normal_(made.out.weight, std=0.1)
    return made


def test_attention_agrees_with_torch():
    q, k, v = noise(2, 4, 3, 8), noise(2, 4, 5, 8, seed=1), noise(2, 4, 5, 8, seed=2)
    mask = torch.rand(2, 1, 3, 5, generator=torch.Generator().manual_seed(3)) > 0.4
    mask[..., 0] = True
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(attend(q, k, v, mask), expected)
    torch.testing.assert_close(attend(q, k, v), F.scaled_dot_product_attention(q, k, v))


def test_text_never_sees_step_or_noisy_embedding():
    """What precedes them must not depend on them: that is what lets it be computed once a caption."""
    model = prior()
    seen = []
    model.layers[-1].register_forward_hook(lambda module, given, output: seen.append(output))
    text = Text(noise(2, 8))
    model(noise(2, 8, seed=1), torch.tensor([1, 2]), text)
    model(noise(2, 8, seed=2), torch.tensor([700, 800]), text)
    torch.testing.assert_close(seen[0][:, 0], seen[1][:, 0])
    assert (seen[0][:, -1] - seen[1][:, -1]).abs().max() > 1e-3


def test_padding_is_never_read():
    model = prior(text_tokens=True, context_length=6)
    x, t, hidden = noise(1, 8), torch.tensor([5]), noise(1, 6, 12, seed=3)
    mask = torch.tensor([[True, True, True, False, False, False]])
    padded = model(x, t, Text(noise(1, 8, seed=1), hidden, mask))
    trimmed = model(x, t, Text(noise(1, 8, seed=1), hidden[:, :3], mask[:, :3]))
    torch.testing.assert_close(padded, trimmed, atol=1e-5, rtol=1e-4)


def test_mask_lets_a_token_see_itself_and_what_is_before():
    real = torch.tensor([[True, False, True]])
    assert causal_mask(3, real, torch.device("cpu"))[0, 0].tolist() == [
        [True, False, False],
        [True, True, False],
        [True, False, True],
    ]


def test_standardising_is_undone():
    model, images = prior(), 4 + 3 * noise(200, 8)
    model.measure(images, noise(200, 8, seed=1))
    standard = model.standardised(images)
    torch.testing.assert_close(standard.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(0), torch.ones(8))
    torch.testing.assert_close(model.restored(standard), images)


def test_callers_tensors_are_left_alone():
    model, x, text = prior(), noise(2, 8), Text(noise(2, 8, seed=1))
    kept = x.clone(), text.embedding.clone()
    model(x, torch.tensor([3, 4]), text)
    assert torch.equal(x, kept[0]) and torch.equal(text.embedding, kept[1])


def test_saved_prior_is_the_same_prior(tmp_path):
    model = prior()
    save_weights(prior_weights(model, {}), tmp_path / "prior")
    again = load_prior(load_weights(tmp_path / "prior"))
    x, t, text = noise(2, 8), torch.tensor([3, 4]), Text(noise(2, 8, seed=1))
    assert torch.equal(again(x, t, text), model(x, t, text))


def test_impossible_configuration_names_the_field():
    with pytest.raises(ValueError, match="prior.width"):
        PriorConfig(width=30, heads=4)
