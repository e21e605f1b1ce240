"""Where a CLIP comes from: built by open_clip from our tower, or fetched from a file, a tag, a folder."""

import json

import pytest
import torch
from safetensors.torch import save_file

from unclip_pipeline.clip.conv_tower import ConvTower, ConvTowerConfig
from unclip_pipeline.clip.encoder import load_encoder
from unclip_pipeline.clip.model import (
    ClipConfig,
    build_model,
    initial_model,
    scratch_architecture,
)
from unclip_pipeline.clip.named import named_weights
from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.weights import Weights, save_weights

TINY = ClipConfig(width=16, image_side_px=16, channels=(4, 8), text_width=16, text_heads=2, text_layers=1)
PUBLISHED = {
    "embed_dim": 16,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32},
    "text_cfg": {"width": 16, "heads": 2, "layers": 1, "context_length": 20, "vocab_size": 49408},
}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder as open_clip publishes them, and the model in it."""
    folder = tmp_path_factory.mktemp("published") / "tiny"
    folder.mkdir()
    torch.manual_seed(0)
    model = open_clip.CLIP(**PUBLISHED).eval()
    preprocessing = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    facts = {"model_cfg": PUBLISHED, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(facts))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder, model


def test_open_clip_builds_our_tower():
    model = build_model(scratch_architecture(TINY))
    assert isinstance(model, open_clip.CustomTextCLIP) and isinstance(model.visual.trunk, ConvTower)
    assert model.encode_image(torch.zeros(3, 3, 16, 16)).shape == (3, 16)


def test_an_architecture_survives_json():
    architecture = json.loads(json.dumps(scratch_architecture(TINY)))
    build_model(architecture).load_state_dict(initial_model(TINY, seed=0).state_dict())


def test_the_head_sees_flattened_map_averages_and_maxima():
    config = ConvTowerConfig(image_side_px=32, fold=2, channels=(4, 8, 16))
    tower = ConvTower(config, 5)
    assert tower.head.in_features == config.features == 16 * 4 * 4 + 2 * (4 + 8 + 16)
    assert tower(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


def test_the_tower_tells_where_things_are():
    picture = torch.zeros(1, 3, 16, 16)
    picture[..., 2:6, 2:6] = 1
    tower = initial_model(TINY, seed=0).visual.eval()
    assert (tower(picture) - tower(picture.roll(8, dims=3))).abs().max() > 1e-3


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = initial_model(TINY, seed=3).state_dict()
    torch.manual_seed(2)
    again, other = initial_model(TINY, seed=3).state_dict(), initial_model(TINY, seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["text.token_embedding.weight"], other["text.token_embedding.weight"])


def test_a_published_folder_gives_the_vectors_of_its_model(published):
    folder, model = published
    encoder = load_encoder(named_weights(ClipConfig(source=f"file:{folder}")))
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)))
    torch.testing.assert_close(encoder.images(pixels), model.encode_image((pixels / 255 - mean) / std))
    captions = ["a red disc", "a very large blue square on the left!"]
    tokens = open_clip.SimpleTokenizer(context_length=20)(captions)
    torch.testing.assert_close(encoder.texts(captions), model.encode_text(tokens), atol=1e-5, rtol=1e-5)


def test_a_model_by_name_takes_a_checkpoint_by_path(published, tmp_path):
    folder, _ = published
    (tmp_path / "unclip-test-tiny.json").write_text(json.dumps(PUBLISHED))
    open_clip.add_model_config(tmp_path / "unclip-test-tiny.json")
    source = f"open_clip:unclip-test-tiny/{folder}/open_clip_model.safetensors"
    by_name, by_folder = (named_weights(ClipConfig(source=s)) for s in (source, f"file:{folder}"))
    assert all(torch.equal(by_name.tensors[name], tensor) for name, tensor in by_folder.tensors.items())
    assert by_name.config["architecture"]["name"] == "unclip-test-tiny"


def test_weights_of_this_pipeline_are_taken_from_their_folder(tmp_path):
    weights = Weights(
        dict(initial_model(TINY, seed=0).state_dict()),
        {"kind": "clip", "architecture": scratch_architecture(TINY)},
    )
    save_weights(weights, tmp_path / "own")
    found = load_encoder(named_weights(ClipConfig(source=f"file:{tmp_path / 'own'}")))
    assert found.embedder_id == load_encoder(weights).embedder_id


def test_a_captioning_model_is_refused_by_name():
    with pytest.raises(ValueError, match="coca_tiny .* multimodal_cfg"):
        build_model({"name": "coca_tiny", "model": {**PUBLISHED, "multimodal_cfg": {}}})


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"source": "ViT-B-32"}, "clip.source"),
        ({"source": "open_clip:ViT-B-32"}, "laion2b"),
        ({"text_width": 100, "text_heads": 8}, "try 96"),
        ({"image_side_px": 50}, "try 48"),
        ({"context_length": 2}, "at least 8"),
        ({"validation_share": 0.9}, "validation_share"),
        ({"channels": ()}, "channels"),
    ],
)
def test_a_broken_choice_names_its_field(broken, said):
    with pytest.raises(ValueError, match=said):
        ClipConfig(**broken)


def test_a_model_that_nobody_knows_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="clip.source: .* no model 'ViT-B-23'; the nearest are .*ViT-B-32"):
        named_weights(ClipConfig(source="open_clip:ViT-B-23/laion"))


def test_a_tag_that_nobody_published_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="ViT-B-32 has no tag 'laion', .* laion2b_s34b_b79k"):
        named_weights(ClipConfig(source="open_clip:ViT-B-32/laion"))


def test_a_tag_that_cannot_be_fetched_says_how_to_do_without_a_network(monkeypatch):
    def unreachable(*_, **__):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(open_clip, "create_model", unreachable)
    with pytest.raises(ValueError, match='no route to host.*"open_clip:ViT-B-32/<path>"'):
        named_weights(ClipConfig(source="open_clip:ViT-B-32/laion2b_s34b_b79k"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint as open_clip's training writes them, of the smallest model it knows, and that model."""
    path = tmp_path_factory.mktemp("checkpoint") / "epoch_1.pt"
    with torch.random.fork_rng():
        model = open_clip.create_model("ViT-S-32-alt").eval()
    torch.save(
        {"epoch": 1, "state_dict": {f"module.{name}": t for name, t in model.state_dict().items()}}, path
    )
    return path, model


def test_a_published_model_takes_a_checkpoint_of_open_clips_training(checkpoint):
    path, model = checkpoint
    encoder = load_encoder(named_weights(ClipConfig(source=f"open_clip:ViT-S-32-alt/{path}")))
    tokens = open_clip.get_tokenizer("ViT-S-32-alt")(["a red disc", "a star"])
    torch.testing.assert_close(
        encoder.texts(["a red disc", "a star"]), model.encode_text(tokens), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("other", ["RN50", "ViT-S-16-alt"])
def test_a_checkpoint_of_another_architecture_is_refused_by_both_names(checkpoint, other):
    with pytest.raises(ValueError, match=f"clip.source: .*epoch_1.pt does not hold the weights of {other} "):
        named_weights(ClipConfig(source=f"open_clip:{other}/{checkpoint[0]}"))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, suffix):
    (tmp_path / f"broken.{suffix}").write_bytes(b"hello" * 10)
    with pytest.raises(ValueError, match="clip.source: .*broken.*does not hold the weights"):
        named_weights(ClipConfig(source=f"open_clip:ViT-S-32-alt/{tmp_path}/broken.{suffix}"))


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="none.pt', nor is there such a file"):
        named_weights(ClipConfig(source=f"open_clip:ViT-B-32/{tmp_path}/none.pt"))


@pytest.mark.parametrize("held", [[], ["config.json"]])
def test_a_folder_without_weights_says_what_it_lacks(tmp_path, held):
    for name in held:
        (tmp_path / name).write_text("{}")
    with pytest.raises(FileNotFoundError, match="model.safetensors.*open_clip_config.json"):
        named_weights(ClipConfig(source=f"file:{tmp_path}"))


def test_a_published_folder_without_its_checkpoint_is_named(published, tmp_path):
    (tmp_path / "open_clip_config.json").write_text((published[0] / "open_clip_config.json").read_text())
    with pytest.raises(ValueError, match="clip.source: .* no weights that fit its open_clip_config.json"):
        named_weights(ClipConfig(source=f"file:{tmp_path}"))


def test_weights_of_another_network_are_refused_by_kind(tmp_path):
    save_weights(Weights({"weight": torch.zeros(2)}, {"kind": "prior"}), tmp_path / "prior")
    with pytest.raises(ValueError, match="clip.source: .*prior holds weights of kind 'prior'"):
        named_weights(ClipConfig(source=f"file:{tmp_path / 'prior'}"))


def test_a_published_architecture_is_built_from_scratch_by_name():
    config = ClipConfig(architecture="ViT-S-32-alt")
    first, again = (initial_model(config, seed=3) for _ in range(2))
    assert torch.equal(first.visual.proj, again.visual.proj) and first.visual.image_size == (224, 224)
    assert scratch_architecture(config)["preprocessing"]["size"] == 224


def test_an_architecture_may_be_spelled_out_as_open_clip_does():
    architecture = scratch_architecture(ClipConfig(architecture=PUBLISHED | {"custom_text": True}))
    assert architecture["model"] == PUBLISHED and architecture["preprocessing"]["size"] == 32


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("ViT-B-23", "clip.architecture: .*ViT-B-32"),
        ("ViT-B-16-SigLIP", "hf_tokenizer_name"),
        ("roberta-ViT-B-32", "hf_model_name"),
        ({"embed_dim": 16}, "'vision_cfg', 'text_cfg'. is missing"),
        (PUBLISHED | {"vision_cfg": {"widht": 8}}, "widht"),
        (PUBLISHED | {"vision_cfg": PUBLISHED["vision_cfg"] | {"width": 8}}, "open_clip cannot build"),
        (PUBLISHED | {"vision_cfg": PUBLISHED["vision_cfg"] | {"image_size": [32, 64]}}, "square"),
        (PUBLISHED | {"text_cfg": PUBLISHED["text_cfg"] | {"pool_type": "last"}}, "pool_type"),
        (PUBLISHED | {"text_cfg": PUBLISHED["text_cfg"] | {"vocab_size": 100}}, "vocab_size"),
    ],
    ids=str,
)
def test_an_architecture_that_cannot_be_trained_is_refused_before_anything_is_read(wanted, said):
    with pytest.raises(ValueError, match=said):
        ClipConfig(architecture=wanted)


def test_an_architecture_beside_named_weights_is_refused():
    with pytest.raises(ValueError, match="clip.architecture .* 'file:x'"):
        ClipConfig(source="file:x", architecture="ViT-B-32")
