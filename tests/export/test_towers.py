"""CLIP's towers and tokenizer are the same functions in transformers."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from networks import awake
from unclip_pipeline.clip import text
from unclip_pipeline.clip.encoder import make_tokenizer, model_input
from unclip_pipeline.clip.model import ClipConfig, build_model, initial_model, scratch_architecture
from unclip_pipeline.clip.open_clip_guard import open_clip

pytest.importorskip("transformers")
pytest.importorskip("diffusers")

CAPTIONS = [
    "",
    "!",
    "hello!",
    "A Photo of a CAT, sitting",
    "l'été à Zürich naïve café",
    "東京の猫 кошка Ωμέγα",
    "emoji \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 ok",
    "cafe\u0301 combining",
    "it's we'll they'd  two  spaces\tand tab\nline",
    "3.14159 100,000 a_b #tag @you -- … « »",
    "\u00a0no-break\u2009thin",
    "İstanbul ß ſ Å Ⅷ ½",
    "long " * 100,
]
SMALL = {"text_cfg": {"width": 32, "heads": 2, "layers": 2, "context_length": 20}, "embed_dim": 32}


def architecture(**changes: Any) -> dict[str, Any]:
    vision = {"width": 48, "layers": 2, "head_width": 16, "patch_size": 8, "image_size": 32}
    seen = {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"}
    return {"name": "small", "model": {**SMALL, "vision_cfg": vision, **changes}, "preprocessing": seen}


def text_of(
    model: torch.nn.Module, described: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    tokens = make_tokenizer(described)(CAPTIONS)
    states = text.token_states(model.text, tokens)
    return text.text_embeddings(model.text, tokens), states, text.token_mask(model.text, tokens)


@pytest.mark.parametrize(
    "described",
    [
        architecture(),
        architecture(quick_gelu=True),
        architecture(text_cfg={**SMALL["text_cfg"], "mlp_ratio": 2.0, "norm_kwargs": {"eps": 1e-6}}),
        scratch_architecture(
            ClipConfig(width=32, text_width=32, text_heads=2, channels=(8, 8, 8), image_side_px=32)
        ),
    ],
    ids=["gelu", "quick gelu", "other sizes", "from scratch"],
)
@torch.no_grad()
def test_text_tower_says_the_same_of_the_same_captions(described):
    from unclip_pipeline.export.towers import clip_tokenizer, text_tower_to_transformers

    torch.manual_seed(0)
    model = awake(build_model(described))
    embeddings, states, mask = text_of(model, described)
    length = described["model"]["text_cfg"]["context_length"]
    theirs = clip_tokenizer(length)(
        CAPTIONS, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    )
    said = text_tower_to_transformers(model.text, described)(theirs.input_ids)
    assert theirs.attention_mask.bool().equal(mask)
    torch.testing.assert_close(said.text_embeds, embeddings, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(said.last_hidden_state[mask], states[mask], atol=1e-5, rtol=1e-5)
    assert embeddings.std() > 0.01


@torch.no_grad()
def test_picture_tower_says_the_same_of_the_same_pictures():
    from unclip_pipeline.export.towers import feature_extractor, image_tower_to_transformers

    torch.manual_seed(0)
    described = architecture()
    model = awake(build_model(described))
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8))
    images = [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in pixels]
    seen = feature_extractor(described)(images=images, return_tensors="pt").pixel_values
    ours = model_input(pixels, described)
    torch.testing.assert_close(seen, ours, atol=1e-5, rtol=1e-5)
    theirs = image_tower_to_transformers(model.visual, described)(seen).image_embeds
    torch.testing.assert_close(theirs, model.visual(ours), atol=1e-5, rtol=1e-5)


def test_tokenizer_splits_clean_text_alike_and_is_read_back_the_same(tmp_path):
    from transformers import CLIPTokenizer

    from unclip_pipeline.export.towers import clip_tokenizer

    ours = open_clip.SimpleTokenizer(context_length=77)(CAPTIONS)
    built = clip_tokenizer(77)
    built.save_pretrained(tmp_path)
    for theirs in (built, CLIPTokenizer.from_pretrained(tmp_path)):
        assert theirs.model_max_length == 77
        found = theirs(CAPTIONS, padding="max_length", truncation=True, max_length=77, return_tensors="pt")
        real = found.attention_mask.bool()
        for caption, a, b, kept in zip(CAPTIONS, ours, found.input_ids, real, strict=True):
            assert a[kept].equal(b[kept]), caption
            assert not a[~kept].any(), f"{caption}: ours goes on"


@pytest.mark.parametrize(
    "caption", ["curly \u201cquotes\u201d", "salt &amp; pepper", "broken Ã©tÃ©", "\ufb01ligree"]
)
def test_tokenizer_cleans_nothing_as_the_exported_card_says(caption):
    from unclip_pipeline.export.towers import clip_tokenizer

    ours = open_clip.SimpleTokenizer(context_length=32)([caption])[0]
    theirs = clip_tokenizer(32)(caption, padding="max_length", return_tensors="pt").input_ids[0]
    assert not ours[: ours.argmax()].equal(theirs[: ours.argmax()])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text_cfg": {**SMALL["text_cfg"], "no_causal_mask": True}}, "text_cfg.no_causal_mask True"),
        ({"text_cfg": {**SMALL["text_cfg"], "pool_type": "last"}}, "text_cfg.pool_type 'last'"),
        ({"text_cfg": {**SMALL["text_cfg"], "embed_cls": True}}, "text_cfg.embed_cls True"),
        ({"text_cfg": {**SMALL["text_cfg"], "proj_bias": True}}, "text_cfg.proj_bias True"),
        ({"text_cfg": {**SMALL["text_cfg"], "hf_model_name": "bert"}}, "text_cfg.hf_model_name 'bert'"),
        ({"text_cfg": {**SMALL["text_cfg"], "hf_tokenizer_name": "t5"}}, "text_cfg.hf_tokenizer_name 't5'"),
        ({"text_cfg": {**SMALL["text_cfg"], "vocab_size": 1000}}, "text_cfg.vocab_size 1000"),
        ({"embed_dim": 64}, "text_cfg.width 32 is not embed_dim 64"),
    ],
)
def test_text_tower_that_transformers_cannot_express_is_refused_by_field(changes, reason):
    from unclip_pipeline.export.towers import why_text_not_exportable

    (found,) = why_text_not_exportable(architecture(**changes))
    assert found.startswith(reason)


@pytest.mark.parametrize(
    ("name", "exportable", "pictures"),
    [
        ("ViT-B-32", True, True),
        ("ViT-L-14-quickgelu", True, True),
        ("ViT-H-14", True, True),
        ("RN50", False, False),
        ("EVA02-B-16", True, False),
        ("ViT-B-16-SigLIP", False, False),
        ("coca_ViT-B-32", False, False),
        ("xlm-roberta-base-ViT-B-32", False, True),
    ],
)
def test_named_models_are_known_to_convert_or_not(name, exportable, pictures):
    from unclip_pipeline.export.towers import why_pictures_not_exportable, why_text_not_exportable

    described = {"model": open_clip.get_model_config(name), "preprocessing": {"resize_mode": "shortest"}}
    assert (not why_text_not_exportable(described)) == exportable
    assert (not why_pictures_not_exportable(described)) == pictures


def test_convolutional_tower_is_named_as_what_keeps_image_variations_away():
    from unclip_pipeline.export.towers import why_pictures_not_exportable

    config = ClipConfig()
    assert initial_model(config, seed=0).visual is not None
    (reason,) = why_pictures_not_exportable(scratch_architecture(config))
    assert reason.startswith("channels") and "convolutional" in reason
