"""The U-Net: what it must not depend on, what its configuration refuses, and how it starts."""

import pytest
import torch

from networks import awake, noise
from unclip_pipeline.models.unet import Condition, Unet, UnetConfig, load_unet, time_features, unet_weights

TINY = dict(side_px=16, channels=(16, 32), attention=(False, True), head_width=16, norm_groups=8)


def condition(n: int, *, tokens: int = 0) -> Condition:
    text = noise(n, tokens, 12, seed=4) if tokens else None
    mask = torch.ones(n, tokens, dtype=torch.bool) if tokens else None
    return Condition(noise(n, 8, seed=2), noise(n, 8, seed=3), text, mask)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"unshuffle": 2},
        {"condition_width": 24},
        {"learned_variance": True},
        {"text_tokens": True},
        {"blocks": 2},
    ],
    ids=str,
)
def test_rows_of_a_batch_do_not_see_one_another(options):
    unet = awake(Unet(UnetConfig(**TINY | options), embedding_width=8, text_width=12))
    x, t, told = noise(3, 3, 16, 16), torch.tensor([5, 500, 999]), condition(3, tokens=4)
    together = unet(x, t, told)
    assert together.shape == (3, 6 if options.get("learned_variance") else 3, 16, 16)
    alone = [unet(x[[k]], t[[k]], Condition(*(part[[k]] for part in told[:4]))) for k in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", [{"text_tokens": True}, {"condition_width": 24}], ids=str)
def test_context_computed_once_serves_every_step(options):
    unet = awake(Unet(UnetConfig(**TINY | options), embedding_width=8, text_width=12))
    told = condition(2, tokens=4)
    context = unet.context(told)
    for step in (0, 500, 999):
        x, t = noise(2, 3, 16, 16, seed=step), torch.full((2,), step)
        torch.testing.assert_close(unet(x, t, context), unet(x, t, told), atol=0, rtol=0)


def test_context_of_one_row_stands_for_many():
    unet = awake(
        Unet(UnetConfig(**TINY, text_tokens=True, condition_width=16), embedding_width=8, text_width=12)
    )
    one, x, t = condition(1, tokens=4), noise(3, 3, 16, 16), torch.tensor([0, 500, 999])
    each = Condition(*(None if part is None else part.expand(3, *part.shape[1:]) for part in one))
    torch.testing.assert_close(
        unet(x, t, unet.context(one).expanded(3)), unet(x, t, each), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_recomputing_blocks_backwards_gives_the_same_gradients(dropout):
    gradients = []
    for checkpointing in (False, True):
        config = UnetConfig(**TINY, text_tokens=True, dropout=dropout)
        torch.manual_seed(0)
        unet = awake(Unet(config, embedding_width=8, text_width=12)).train()
        unet.checkpointing = checkpointing
        torch.manual_seed(3)  # the masks of both are drawn alike, and drawn again alike
        unet(noise(2, 3, 16, 16), torch.tensor([5, 500]), condition(2, tokens=4)).square().mean().backward()
        gradients.append([p.grad for p in unet.parameters() if p.grad is not None])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed, atol=0, rtol=0)


def test_dropout_leaves_out_parts_in_training_only():
    x, t, told = noise(1, 3, 16, 16), torch.tensor([500]), condition(1)
    without = awake(Unet(UnetConfig(**TINY), embedding_width=8))
    unet = awake(Unet(UnetConfig(**TINY, dropout=0.5), embedding_width=8))
    unet.load_state_dict(without.state_dict())
    assert torch.equal(unet(x, t, told), without(x, t, told))
    unet.train()
    torch.manual_seed(3)
    first, other = unet(x, t, told), unet(x, t, told)
    torch.manual_seed(3)
    assert torch.equal(unet(x, t, told), first)
    assert (first - other).abs().max() > 1e-3


def test_network_hears_how_noisy_the_smaller_picture_is():
    config = UnetConfig(**TINY | {"attention": (False, False), "low_side_px": 8, "told_noise": True})
    unet = awake(Unet(config))
    x, t, low = noise(1, 3, 16, 16), torch.tensor([300]), noise(1, 3, 16, 16, seed=5)
    clean, noisy = (
        unet(x, t, Condition(low_res=low, low_noise=torch.tensor([level]))) for level in (0.0, 1.0)
    )
    assert (clean - noisy).abs().max() > 1e-4
    with pytest.raises(ValueError, match="told_noise"):
        UnetConfig(**TINY, told_noise=True)


def test_every_condition_changes_the_answer():
    unet = awake(Unet(UnetConfig(**TINY, text_tokens=True), embedding_width=8, text_width=12))
    x, t, told = noise(1, 3, 16, 16), torch.tensor([500]), condition(1, tokens=4)
    answer = unet(x, t, told)
    for part in ("image_embedding", "text_embedding", "text_hidden"):
        other = told._replace(**{part: getattr(told, part) + 1})
        assert (unet(x, t, other) - answer).abs().max() > 1e-4, part
    assert (unet(x, t + 100, told) - answer).abs().max() > 1e-4


def test_masked_text_tokens_are_not_read():
    unet = awake(Unet(UnetConfig(**TINY, text_tokens=True), embedding_width=8, text_width=12))
    x, t, told = noise(1, 3, 16, 16), torch.tensor([500]), condition(1, tokens=4)
    mask = torch.tensor([[True, True, False, False]])
    garbage = told.text_hidden.clone()
    garbage[:, 2:] = 1e3
    padded = unet(x, t, told._replace(text_mask=mask, text_hidden=garbage))
    trimmed = unet(x, t, told._replace(text_mask=mask[:, :2], text_hidden=told.text_hidden[:, :2]))
    torch.testing.assert_close(padded, trimmed, atol=1e-5, rtol=1e-4)


def test_new_network_says_nothing_and_still_learns_everywhere():
    unet = Unet(UnetConfig(**TINY, condition_width=16), embedding_width=8)
    x, t, told = noise(2, 3, 16, 16), torch.tensor([5, 500]), condition(2)
    assert not unet(x, t, told).any()
    awake(unet)(x, t, told).square().mean().backward()
    silent = [name for name, p in unet.named_parameters() if p.grad is None and name != "embed.null_image"]
    assert silent == []


def test_convolutions_alone_run_at_any_size():
    config = UnetConfig(**TINY | {"attention": (False, False), "low_side_px": 8, "residual_scale": 0.2})
    unet = awake(Unet(config))
    x, low = noise(1, 3, 32, 32), noise(1, 3, 32, 32, seed=5)
    t = torch.tensor([300])
    assert unet(x, t, Condition(low_res=low)).shape == (1, 3, 32, 32)


def test_saved_network_is_the_same_network(tmp_path):
    from unclip_pipeline.weights import load_weights, save_weights

    unet = awake(Unet(UnetConfig(**TINY, unshuffle=2, condition_width=16, target="v"), embedding_width=8))
    save_weights(unet_weights(unet, "decoder", {"images_seen": 7}), tmp_path / "decoder")
    weights = load_weights(tmp_path / "decoder")
    again = load_unet(weights, "decoder")
    assert again.config == unet.config and weights.config["images_seen"] == 7
    x, t, told = noise(1, 3, 16, 16), torch.tensor([5]), condition(1)
    assert torch.equal(again(x, t, told), unet(x, t, told))
    with pytest.raises(ValueError, match="upsampler"):
        load_unet(weights, "upsampler")


def test_embeddings_are_standardised_by_what_was_measured():
    unet = awake(Unet(UnetConfig(**TINY), embedding_width=8))
    x, t, told = noise(1, 3, 16, 16), torch.tensor([5]), condition(1)
    plain = unet(x, t, told)
    images, texts = 3 + 2 * noise(500, 8), -1 + 5 * noise(500, 8, seed=9)
    unet.embed.measure(images, texts)
    raw = told._replace(
        image_embedding=told.image_embedding * images.std(0) + images.mean(0),
        text_embedding=told.text_embedding * texts.std(0) + texts.mean(0),
    )
    torch.testing.assert_close(unet(x, t, raw), plain, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"channels": (16, 32, 64)}, "attention"),
        ({"side_px": 15}, "side_px"),
        ({"norm_groups": 5}, "norm_groups"),
        ({"dropout": 1.0}, "dropout"),
        ({"residual_scale": 0.1}, "low_side_px"),
    ],
)
def test_impossible_configuration_names_the_field(wrong, says):
    with pytest.raises(ValueError, match=says):
        UnetConfig(**TINY | wrong)


def test_configuration_tells_why_it_cannot_be_exported():
    assert UnetConfig(text_tokens=True).why_not_exportable() == []
    reasons = UnetConfig(text_tokens=True, target="v", unshuffle=2).why_not_exportable()
    assert len(reasons) == 2 and "target v" in reasons[0]


def test_time_features_have_unit_pairs():
    features = time_features(torch.tensor([0, 7, 999]), 16)
    torch.testing.assert_close(features[:, :8].square() + features[:, 8:].square(), torch.ones(3, 8))
