"""The encoder: exact short cuts, raw vectors, and a name that changes with everything that moves them."""

import numpy as np
import pytest
import torch
from PIL import Image

from unclip_pipeline.clip import text
from unclip_pipeline.clip.encoder import Encoder, embedder_id_of, load_encoder, model_input
from unclip_pipeline.clip.model import ClipConfig, initial_model, scratch_architecture
from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.clip.vocabulary import UsedTokens
from unclip_pipeline.weights import Weights

CONFIG = ClipConfig(
    width=16, image_side_px=16, channels=(4, 8), text_width=16, text_heads=2, context_length=24
)
CAPTIONS = ["a disc", "a large outlined purple star on the left of a striped background!", "", "a disc"]


@pytest.fixture(scope="module")
def weights() -> Weights:
    model = initial_model(CONFIG, seed=0)
    return Weights(dict(model.state_dict()), {"kind": "clip", "architecture": scratch_architecture(CONFIG)})


@pytest.fixture(scope="module")
def encoder(weights) -> Encoder:
    return load_encoder(weights)


def test_trimmed_texts_equal_padded_ones(encoder):
    tower = encoder._model.text
    padded = tower(encoder._tokens(CAPTIONS))  # open_clip's own forward, on the whole context
    torch.testing.assert_close(encoder.texts(CAPTIONS), padded, atol=1e-5, rtol=0)


def test_trimming_cuts_at_the_longest_caption(encoder):
    tokens = encoder._tokens(["a disc", "a red disc"])
    assert text.trimmed(encoder._model.text, tokens).shape == (2, 5)


@pytest.mark.parametrize("pool", ["argmax", "eos", "last", "first"])
@pytest.mark.parametrize("causal", [True, False])
def test_every_way_of_pooling_equals_open_clip(pool, causal):
    torch.manual_seed(0)
    tower = text.TextTransformer(
        context_length=12, width=16, heads=2, layers=2, output_dim=8, pool_type=pool, eos_id=49407,
        no_causal_mask=not causal,
    ).eval()  # fmt: skip
    tokens = open_clip.SimpleTokenizer(context_length=12)(["a disc", "a very red disc!"])
    ours = text.text_embeddings(tower, text.trimmed(tower, tokens))
    torch.testing.assert_close(ours, tower(tokens), atol=1e-5, rtol=0)


def test_equal_captions_are_encoded_once(encoder, monkeypatch):
    seen = []
    embed = text.text_embeddings
    monkeypatch.setattr(text, "text_embeddings", lambda tower, t: seen.append(len(t)) or embed(tower, t))
    vectors = encoder.texts(["a disc", "a star", "a disc", "a disc"])
    assert seen == [2] and torch.equal(vectors[0], vectors[3]) and not torch.equal(vectors[0], vectors[1])


def test_texts_keep_their_order_whatever_their_length(encoder):
    longest_first = sorted(set(CAPTIONS), key=len, reverse=True)
    for caption, vector in zip(longest_first, encoder.texts(longest_first), strict=True):
        torch.testing.assert_close(vector, encoder.texts([caption])[0], atol=1e-5, rtol=0)


def test_no_captions_give_no_vectors(encoder):
    assert encoder.texts([]).shape == (0, 16)


def test_vectors_are_not_normalised(encoder):
    pixels = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    for vectors in (encoder.images(pixels), encoder.texts(CAPTIONS)):
        assert (vectors.norm(dim=1) - 1).abs().min() > 1e-2


def test_the_mask_covers_the_text_and_not_the_padding(encoder):
    hidden, mask = encoder.text_tokens(["!", "a red disc"])  # "!" is token 0, like the padding
    assert hidden.shape == (2, 5, 16) and mask.sum(1).tolist() == [3, 5]


def test_token_states_do_not_depend_on_longer_neighbours(encoder):
    alone = encoder.text_tokens(["a disc"]).hidden[0]
    beside = encoder.text_tokens(CAPTIONS).hidden[0, : len(alone)]
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=0)


def test_the_embedder_id_changes_with_weights_and_preprocessing(weights):
    nudged = dict(weights.tensors) | {"logit_scale": weights.tensors["logit_scale"] + 1e-6}
    architecture = weights.config["architecture"]
    preprocessing = architecture["preprocessing"] | {"std": [0.2] * 3}
    other_eyes = weights.config | {"architecture": architecture | {"preprocessing": preprocessing}}
    half = {name: tensor.half() for name, tensor in weights.tensors.items()}
    ids = [
        embedder_id_of(w)
        for w in (
            weights,
            Weights(nudged, weights.config),
            Weights(weights.tensors, other_eyes),
            Weights(half, weights.config),
        )
    ]
    assert len(set(ids)) == 4
    assert embedder_id_of(Weights(dict(weights.tensors), dict(weights.config))) == ids[0]


def test_pictures_are_resized_as_pillow_does(encoder):
    smooth = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(smooth).resize((56, 40), Image.Resampling.BICUBIC))
    square = Image.fromarray(picture[:, 8:48]).resize((16, 16), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]
    seen = model_input(pixels, encoder.architecture) * 0.25 + 0.5
    expected = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None] / 255
    assert (seen - expected).abs().max() <= 1.01 / 255


def test_only_the_weights_of_a_clip_make_an_encoder(weights):
    with pytest.raises(ValueError, match="kind"):
        load_encoder(Weights(weights.tensors, weights.config | {"kind": "prior"}))


def test_cutting_the_token_table_down_and_back_changes_no_vector(weights):
    model = initial_model(CONFIG, seed=0).eval()
    tokens = open_clip.SimpleTokenizer(context_length=24)(CAPTIONS)
    used, table = UsedTokens(tokens), model.text.token_embedding
    before = text.text_embeddings(model.text, tokens)
    model.text.token_embedding = used.shrink(table)
    assert model.text.token_embedding.num_embeddings < 40
    torch.testing.assert_close(text.text_embeddings(model.text, used.compact(tokens)), before)
    model.text.token_embedding = used.restore(table, model.text.token_embedding)
    assert torch.equal(model.text.token_embedding.weight, table.weight)


def test_training_the_used_rows_equals_training_the_whole_table():
    tokens = open_clip.SimpleTokenizer(context_length=24)(CAPTIONS)
    used, whole, small = UsedTokens(tokens), initial_model(CONFIG, seed=0), initial_model(CONFIG, seed=0)
    table = small.text.token_embedding
    small.text.token_embedding = used.shrink(table)
    for model, ids in ((whole, tokens), (small, used.compact(tokens))):
        optimizer = torch.optim.AdamW(model.text.parameters(), lr=1e-2, weight_decay=0.0)
        for _ in range(3):
            text.text_embeddings(model.text, ids).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    restored = used.restore(table, small.text.token_embedding)
    torch.testing.assert_close(restored.weight, whole.text.token_embedding.weight)
