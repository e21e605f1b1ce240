"""Any open_clip model embeds: causal towers on short texts, others on the whole context, pictures as it sees them."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from unclip_pipeline.clip import text
from unclip_pipeline.clip.encoder import Encoder, load_encoder
from unclip_pipeline.clip.model import ClipConfig
from unclip_pipeline.clip.named import named_weights
from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.clip.pictures import make_preparation
from unclip_pipeline.corpus.images import ImageDecodeError

VISION = {"layers": 2, "width": 64, "head_width": 16, "patch_size": 8, "image_size": 32}
CAUSAL = {"width": 32, "heads": 2, "layers": 2, "context_length": 77, "vocab_size": 49408}
SIGLIP = CAUSAL | {"context_length": 24, "no_causal_mask": True, "pool_type": "last", "proj_bias": True}
CLASS_TOKEN = CAUSAL | {"embed_cls": True}
CAPTIONS = ["a disc", "a large outlined purple star on the left of a striped background!", "", "a disc"]


def published(folder, text_cfg, **preprocessing):
    """Write a folder as open_clip publishes them; give it with its model."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    config = {"embed_dim": 48, "vision_cfg": VISION, "text_cfg": text_cfg}
    model = open_clip.CustomTextCLIP(**config).eval()
    for parameter in model.text.parameters():  # at their initial size, texts hardly differ
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    facts = {"model_cfg": config | {"custom_text": True}, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(facts))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder, model


def encoder_of(folder) -> Encoder:
    return load_encoder(named_weights(ClipConfig(source=f"file:{folder}")))


def photo(width: int, height: int, mode: str = "RGB", **save) -> bytes:
    rough = np.random.default_rng(width).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(
        stream, "JPEG", **save
    )
    return stream.getvalue()


@pytest.mark.parametrize(
    ("tower", "tokens_run"),
    [(CAUSAL, 16), (CAUSAL | {"no_causal_mask": True}, 77), (SIGLIP, 24), (CLASS_TOKEN, 77)],
    ids=["causal", "both ways", "siglip", "class token"],
)
def test_texts_equal_open_clip_on_as_many_tokens_as_is_exact(tower, tokens_run, tmp_path, monkeypatch):
    folder, model = published(tmp_path / "model", tower)
    encoder, seen = encoder_of(folder), []
    embed = text.text_embeddings
    monkeypatch.setattr(text, "text_embeddings", lambda t, x: seen.append(x.shape) or embed(t, x))
    found = encoder.texts(CAPTIONS)
    tokens = open_clip.SimpleTokenizer(context_length=tower["context_length"])(CAPTIONS)
    assert seen == [(3, tokens_run)]
    torch.testing.assert_close(found, model.encode_text(tokens), atol=1e-5, rtol=0)
    assert (found[0] - found[1]).abs().max() > 1e-2


def test_a_text_tower_of_transformers_sees_the_whole_context(tmp_path):
    from transformers import BertConfig, BertTokenizer

    (tmp_path / "bert").mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "disc", "star", "red"]
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(tmp_path / "bert" / "vocab.txt")).save_pretrained(tmp_path / "bert")
    BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    ).save_pretrained(tmp_path / "bert")  # fmt: skip
    name = str(tmp_path / "bert")
    tower = {
        "hf_model_name": name, "hf_tokenizer_name": name, "hf_proj_type": "linear",
        "hf_pooler_type": "mean_pooler", "hf_model_pretrained": False, "context_length": 12,
    }  # fmt: skip
    folder, model = published(tmp_path / "model", tower)
    encoder = encoder_of(folder)
    captions = ["a disc", "a red star a red star"]
    tokens = open_clip.tokenizer.HFTokenizer(name, context_length=12)(captions)
    torch.testing.assert_close(encoder.texts(captions), model.encode_text(tokens), atol=1e-5, rtol=0)
    for use in (lambda: encoder.text_tokens(captions), lambda: encoder.text_width):
        with pytest.raises(ValueError, match="hf_model_name"):
            use()


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_pixels_and_vectors_equal_open_clips_own_preprocessing(resize_mode, interpolation, tmp_path):
    seen = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "fill_color": 90}
    folder, model = published(
        tmp_path / "model", CAUSAL, resize_mode=resize_mode, interpolation=interpolation, **seen
    )
    weights = named_weights(ClipConfig(source=f"file:{folder}"))
    prepare, encoder = (
        make_preparation(weights.config["architecture"]["preprocessing"]),
        load_encoder(weights),
    )
    transform = open_clip.image_transform(
        32, False, resize_mode=resize_mode, interpolation=interpolation, **seen
    )
    for size in ((96, 60), (41, 77), (32, 32), (20, 20)):
        data = photo(*size)
        expected = transform(Image.open(io.BytesIO(data)))
        pixels = torch.from_numpy(prepare(data)).permute(2, 0, 1)[None]
        mean, std = (torch.tensor(seen[key])[:, None, None] for key in ("mean", "std"))
        assert torch.equal((pixels[0] / 255).sub_(mean).div_(std), expected)
        torch.testing.assert_close(
            encoder.images(pixels), model.encode_image(expected[None]), atol=1e-5, rtol=0
        )


def test_the_embedder_id_names_the_way_pictures_are_resized(tmp_path):
    ids = {
        encoder_of(published(tmp_path / mode, CAUSAL, resize_mode=mode)[0]).embedder_id
        for mode in ("shortest", "longest", "squash")
    }
    assert len(ids) == 3 and all("/32px-bicubic-" in embedder_id for embedder_id in ids)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("save", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}], ids=str)
def test_jpegs_are_decoded_as_pillow_does(mode, save):
    data = photo(61, 47, mode, quality=80, **save)
    prepare = make_preparation({"size": 61, "resize_mode": "squash", "interpolation": "bicubic"})
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((61, 61), Image.Resampling.BICUBIC)
    assert np.array_equal(prepare(data), np.array(image))


@pytest.mark.parametrize("fast", [False, True])
def test_a_turned_jpeg_is_put_upright_and_a_broken_one_is_refused(fast):
    seen = {"size": 16, "interpolation": "bicubic"}
    turned = Image.new("RGB", (32, 32), "red")
    turned.paste("blue", (0, 0, 16, 32))
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = 3  # upside down
    turned.save(stream, "JPEG", exif=exif)
    prepare = make_preparation(seen, fast=fast)
    assert prepare(stream.getvalue())[8, 2].argmax() == 0  # red has come to the left
    for broken in (b"no image", photo(60, 60)[:500]):
        with pytest.raises(ImageDecodeError):
            prepare(broken)


@pytest.mark.parametrize(
    "resize_mode", [{}, {"resize_mode": "shortest"}, {"resize_mode": "longest"}], ids=str
)
def test_fast_pictures_are_nearly_the_exact_ones(resize_mode):
    seen = {"size": 64, "interpolation": "bicubic", **resize_mode}
    exact, fast = make_preparation(seen), make_preparation(seen, fast=True)
    data = photo(400, 300, quality=90)
    assert np.abs(exact(data).astype(int) - fast(data)).mean() < 3
    assert fast(photo(40, 40)).shape == (64, 64, 3)
