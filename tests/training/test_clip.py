"""What CLIP learns from: the robust loss, dropped words, and batches by position."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unclip_pipeline.clip import text
from unclip_pipeline.clip.model import ClipConfig, build_model, initial_model, scratch_architecture
from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.training.clip import (
    ADAMW_LAYERS,
    ClipBatch,
    ClipTraining,
    Corpus,
    clip_loss,
    drop_words,
    robust_cross_entropy,
)
from unclip_pipeline.training.optim import make_optimizers, muon_matrices

CONFIG = ClipConfig(
    width=16, image_side_px=16, channels=(4, 8), text_width=16, text_heads=2, context_length=12
)
CAPTIONS = ["a red disc", "a blue disc on the left", "star", "a small green star"]
TRAINING = ClipTraining(images=100, batch_size=4, warmup_images=4)
PLAIN = ClipTraining(images=100, batch_size=4, warmup_images=4, robustness=0.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16), dtype=np.uint8)
    return Corpus(images, CAPTIONS, list("abcd"), scratch_architecture(CONFIG), torch.device("cpu"))


@pytest.fixture
def model(corpus) -> torch.nn.Module:
    return corpus.shrink(initial_model(CONFIG, seed=0)).eval()


def test_the_robust_loss_is_cross_entropy_at_zero_and_misplaced_probability_at_one():
    logits = torch.randn(6, 6, generator=seeded())
    own = torch.arange(6)
    torch.testing.assert_close(robust_cross_entropy(logits, 0.0), F.cross_entropy(logits, own))
    torch.testing.assert_close(
        robust_cross_entropy(logits, 1e-4), F.cross_entropy(logits, own), atol=1e-2, rtol=0
    )
    misplaced = 1 - logits.softmax(1).diagonal()
    torch.testing.assert_close(robust_cross_entropy(logits, 1.0), misplaced.mean())


def test_the_pull_of_a_pair_shrinks_with_its_probability():
    q, logits = 0.7, torch.randn(5, 5, generator=seeded(1), dtype=torch.float64)
    plain, robust = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    robust_cross_entropy(plain, 0.0).backward()
    robust_cross_entropy(robust, q).backward()
    share = logits.softmax(1).diagonal() ** q
    torch.testing.assert_close(robust.grad, plain.grad * share[:, None])


def test_without_robustness_the_loss_is_open_clips(corpus, model):
    batch = corpus.batches(model, 4, seed=0)(40)
    plain = clip_loss(scratch_architecture(CONFIG), PLAIN)
    ours, _ = plain(model, batch, seeded())
    pixels = (batch.images / 255 - 0.5) / 0.25
    images = F.normalize(model.visual(pixels), dim=1)
    texts = F.normalize(text.text_embeddings(model.text, batch.tokens), dim=1)
    torch.testing.assert_close(ours, open_clip.ClipLoss()(images, texts, model.logit_scale.exp()))


def test_training_begins_with_cross_entropy_and_ends_robust(corpus, model):
    batch = corpus.batches(model, 4, seed=0)(0)
    loss = clip_loss(scratch_architecture(CONFIG), TRAINING)
    begin, end = (loss(model, batch._replace(images_seen=seen), seeded())[0] for seen in (0, 100))
    plain, _ = clip_loss(scratch_architecture(CONFIG), PLAIN)(model, batch, seeded())
    assert begin == plain and end < begin


def test_the_scale_of_the_logits_stays_below_a_hundred(corpus, model):
    model.logit_scale.data.fill_(math.log(1000))
    _, metrics = clip_loss(scratch_architecture(CONFIG), TRAINING)(
        model, corpus.batches(model, 4, seed=0)(0), seeded()
    )
    assert metrics["logit_scale"] == pytest.approx(100)


def test_a_scale_beyond_a_hundred_can_come_back(corpus, model):
    model.logit_scale.data.fill_(math.log(1000))
    value, _ = clip_loss(scratch_architecture(CONFIG), PLAIN)(
        model, corpus.batches(model, 4, seed=0)(0), seeded()
    )
    value.backward()
    assert model.logit_scale.item() == pytest.approx(math.log(100)) and model.logit_scale.grad.abs() > 1e-3


def test_only_matrices_decay_never_norms_biases_or_the_logit_scale(corpus, model):
    training = ClipTraining(images=100, batch_size=4, warmup_images=4, weight_decay=0.5)
    optimizers = make_optimizers(model, training, muon=muon_matrices(model, training, exclude=ADAMW_LAYERS))
    names = {parameter: name for name, parameter in model.named_parameters()}
    decay = {
        names[parameter]: group["weight_decay"]
        for optimizer in optimizers.values()
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert decay.keys() == set(names.values())
    norms = {
        f"{prefix}.{name}"
        for prefix, layer in model.named_modules()
        if isinstance(layer, nn.LayerNorm | nn.BatchNorm2d)
        for name, _ in layer.named_parameters()
    }
    free = {name for name, share in decay.items() if share == 0}
    assert (
        free == norms | {name for name in decay if name.endswith("bias")} | {"logit_scale"} and len(norms) > 6
    )
    assert {decay[name] for name in decay.keys() - free} == {0.5}


@pytest.mark.parametrize("wanted", ["", "ViT-S-32-alt", "RN50", "convnext_tiny"])
def test_the_layer_that_touches_pixels_is_never_orthogonalised(wanted):
    with torch.device("meta"):
        model = build_model(scratch_architecture(ClipConfig(architecture=wanted)))
    first = next(name for name, layer in model.visual.named_modules() if isinstance(layer, nn.Conv2d))
    matrices = muon_matrices(model, TRAINING, exclude=ADAMW_LAYERS)
    assert f"visual.{first}.weight" not in matrices and any(name.startswith("visual.") for name in matrices)
    assert not any("embedding" in name or name.endswith("proj") for name in matrices)


def test_dropped_words_leave_start_end_and_order(corpus, model):
    tokens = corpus.tokens
    ends = text.end_positions(model.text, tokens)
    for seed in range(20):
        left = drop_words(model.text, tokens, 0.5, seeded(seed))
        for whole, end, part in zip(tokens.tolist(), ends.tolist(), left.tolist(), strict=True):
            words = part[: part.index(max(whole)) + 1]
            assert words[0] == whole[0] and words[-1] == max(whole)
            rest = iter(whole[: end + 1])
            assert all(word in rest for word in words)  # a subsequence
            assert not any(part[len(words) :])


def test_as_many_words_are_dropped_as_asked_for(model):
    tokens = torch.arange(1, 12).repeat(500, 1)  # start, nine words, end
    left = drop_words(model.text, tokens, 0.3, seeded())
    kept = (text.end_positions(model.text, left) - 1).float().mean() / 9
    assert kept == pytest.approx(0.7, abs=0.02)
    assert torch.equal(drop_words(model.text, tokens, 0.0, seeded()), tokens)


def test_every_epoch_shows_every_pair_once_and_replays_from_any_position(corpus, model):
    at = corpus.batches(model, 2, seed=0)
    epoch = at(8).uids + at(10).uids
    assert sorted(epoch) == list("abcd")
    again: ClipBatch = corpus.batches(model, 2, seed=0)(10)
    assert again.uids == at(10).uids and torch.equal(again.tokens, at(10).tokens)


def test_restoring_gives_the_trained_rows_and_leaves_the_others(corpus):
    whole = initial_model(CONFIG, seed=0)
    trained = corpus.shrink(whole)
    trained.text.token_embedding.weight.data += 1
    restored = corpus.restore(whole, trained).text.token_embedding.weight
    moved = (restored - whole.text.token_embedding.weight).mean(1)
    assert moved[corpus.used.ids].min() > 0.99 and moved.count_nonzero() == len(corpus.used.ids)


@pytest.mark.parametrize(
    "broken", [{"robustness": 1.1}, {"word_dropout": 1.0}, {"preview_images": -1}, {"images": 1}]
)
def test_a_broken_training_names_its_field(broken):
    with pytest.raises(ValueError, match=next(iter(broken))):
        ClipTraining(**{"images": 2000, **broken})
