"""The prior: causality, padding, standardising, and attention against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from networks import noise
from unclip_pipeline.models.attention import attend
from unclip_pipeline.models.prior import Prior, PriorConfig, Text, causal_mask, load_prior, prior_weights
from unclip_pipeline.models.unet import time_features
from unclip_pipeline.weights import load_weights, save_weights

TINY = dict(width=32, layers=2, heads=4)


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


def spoken(b: int, *, seed: int = 5) -> Text:
    """Captions of different lengths, padded to the longest."""
    lengths = 2 + torch.arange(b) % 4
    return Text(noise(b, 8, seed=seed), noise(b, 5, 12, seed=seed + 1), torch.arange(5) < lengths[:, None])


def in_one_row(model: Prior, x_t: torch.Tensor, t: torch.Tensor, text: Text) -> torch.Tensor:
    """The prior as it is published: the whole row through every layer, causal, the last state read."""
    row = torch.cat(
        [
            model.tokens_in(text.hidden),
            model.text_in((text.embedding - model.text_mean) / model.text_std)[:, None],
            model.time_in(time_features(t, model.config.width))[:, None],
            model.image_in(x_t)[:, None],
            model.query.expand(len(x_t), 1, -1),
        ],
        1,
    )
    words = text.hidden.shape[1]
    row = row + torch.cat([model.positions[:words], model.positions[-4:]])
    visible = causal_mask(row.shape[1], F.pad(text.mask, (0, 4), value=True), row.device)
    for layer in model.layers:
        row = layer(row, layer.keys_values(row), visible)
    return model.out(model.norm(row[:, -1]))


def test_prefix_once_a_caption_is_the_whole_row_in_one():
    model = prior(text_tokens=True, layers=3)
    x, t, text = noise(3, 8), torch.tensor([1, 500, 999]), spoken(3)
    torch.testing.assert_close(model(x, t, text), in_one_row(model, x, t, text), atol=1e-5, rtol=1e-4)


def test_draws_that_share_a_caption_equal_captions_repeated():
    model = prior(text_tokens=True, layers=3)
    x, t, text = noise(6, 8), torch.tensor([1, 300, 999, 5, 600, 0]), spoken(2)
    repeated = Text(*(part.repeat_interleave(3, 0) for part in text))
    torch.testing.assert_close(model(x, t, text), model(x, t, repeated), atol=1e-5, rtol=1e-4)


def test_one_prefix_stands_for_many():
    model = prior(text_tokens=True)
    x, t, empty = noise(3, 8), torch.tensor([1, 500, 999]), spoken(1)
    each = Text(*(part.expand(3, *part.shape[1:]) for part in empty))
    torch.testing.assert_close(
        model(x, t, model.prefix(empty).expanded(3)), model(x, t, each), atol=1e-5, rtol=1e-4
    )


def test_draws_that_do_not_divide_among_the_captions_are_refused():
    with pytest.raises(ValueError, match="5 of 2 captions"):
        prior()(noise(5, 8), torch.arange(5), Text(noise(2, 8)))


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
