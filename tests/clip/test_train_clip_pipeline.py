"""The node that trains CLIP: what it may see, what it learns, and what is left of a killed run."""

import numpy as np
import pandas as pd
import pytest
import torch

from toy_corpus import toy_corpus
from unclip_pipeline.clip.encoder import Encoder, embedder_id_of, load_encoder
from unclip_pipeline.clip.model import ClipConfig
from unclip_pipeline.clip.zero_shot import ZeroShotConfig
from unclip_pipeline.corpus.shards import Sample, read_shard, shard_paths, write_shard
from unclip_pipeline.pipelines.train_clip import corpus as reading
from unclip_pipeline.pipelines.train_clip import create_pipeline, nodes
from unclip_pipeline.pipelines.train_clip.corpus import (
    Pictures,
    read_pictures,
    split_validation,
    training_uids,
)
from unclip_pipeline.pipelines.train_clip.validation import retrieve, validate
from unclip_pipeline.training import loop
from unclip_pipeline.training.clip import ClipTraining
from unclip_pipeline.weights import save_weights

CONFIG = ClipConfig(
    width=32, image_side_px=16, fold=1, channels=(8, 16), text_width=32, text_heads=2, text_layers=1,
    validation_share=0.2,
)  # fmt: skip
ASKED = ZeroShotConfig(sets={"colour": ["red", "green", "blue", "white"], "place": ["left", "right"]})
SHORT = ClipTraining(images=512, batch_size=64, warmup_images=64, preview_images=256, checkpoint_images=128)


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """Keep curves and pictures instead of logging them."""
    kept = []
    monkeypatch.setattr(nodes, "watch", lambda steps, stage, images: steps)
    monkeypatch.setattr(nodes, "log_metrics", lambda metrics, step: kept.append((step, metrics)))
    monkeypatch.setattr(nodes, "log_image", lambda image, name: kept.append(image.size))
    return kept


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return toy_corpus(tmp_path_factory.mktemp("toy") / "shards", 800, heldout=80)


def test_a_short_training_retrieves_far_above_chance(corpus, tmp_path):
    training = ClipTraining(images=8_000, batch_size=64, warmup_images=256)
    weights, metrics, history = nodes.train_clip(*corpus, tmp_path, CONFIG, training, ASKED, 0)
    # 16 different scenes among 64 pairs: four times 1/16 is the best that can be asked for
    assert metrics["retrieval_at_1_n"] == 128 and metrics["retrieval_at_1_chance"] == 1 / 64
    assert metrics["retrieval_at_1_low"] > 5 / 64
    assert history["loss"].iloc[-5:].mean() < history["loss"].iloc[:5].mean() / 2
    assert metrics["zero_shot_colour_low"] > 2 * metrics["zero_shot_colour_chance"]
    assert metrics["zero_shot_place_low"] > metrics["zero_shot_place_chance"]
    assert metrics["zero_shot_colour_left_out"] == 0 == metrics["zero_shot_colour_unnamed"]
    encoder = load_encoder(weights)
    red, blue = (encoder.texts([f"a {colour} disc"]) for colour in ("red", "blue"))
    picture = torch.full((1, 3, 16, 16), 20, dtype=torch.uint8)
    picture[0, 0, 4:12, 1:7] = 220
    near = torch.nn.functional.cosine_similarity(encoder.images(picture), torch.cat([red, blue]))
    assert near[0] > near[1]


def test_a_killed_run_goes_on_to_the_same_weights(corpus, tmp_path, monkeypatch, said):
    unbroken, _, history = nodes.train_clip(*corpus, tmp_path / "unbroken", CONFIG, SHORT, ASKED, 0)
    curve = [(step, found) for step, found in said if isinstance(found, dict)]
    assert [step for step, _ in curve] == [256, 512]
    assert all(
        {"retrieval_at_1", "zero_shot_colour", "zero_shot_colour_high"} <= set(found) for _, found in curve
    )
    assert history["images_seen"].iloc[-1] == unbroken.config["images_seen"] == 512 and said[0][0] == 256

    def killed(step, every, config):
        if step.images_seen == 320:
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(nodes, "is_due", killed)
    with pytest.raises(KeyboardInterrupt):
        nodes.train_clip(*corpus, tmp_path / "killed", CONFIG, SHORT, ASKED, 0)
    monkeypatch.setattr(nodes, "is_due", loop.is_due)
    resumed, _, _ = nodes.train_clip(*corpus, tmp_path / "killed", CONFIG, SHORT, ASKED, 0)
    assert resumed.config["embedder_id"] == unbroken.config["embedder_id"] == embedder_id_of(resumed)
    nodes.discard_checkpoints(resumed, tmp_path / "killed")
    assert not (tmp_path / "killed").exists()


def test_rows_that_are_held_out_or_ended_are_never_read(corpus, tmp_path, monkeypatch):
    shards, ledger = corpus
    ledger = ledger.assign(
        fate=["scrape.taken_down" if row % 10 == 0 else "kept" for row in range(len(ledger))]
    )
    forbidden = {s.image for p in shard_paths(shards) for s in read_shard(p) if s.uid in _ended(ledger)}
    assert len(forbidden) > 150
    seen = []
    decode = reading.decode_rgb
    monkeypatch.setattr(reading, "decode_rgb", lambda data: seen.append(data) or decode(data))
    few = ClipTraining(images=64, batch_size=64, warmup_images=0)
    _, metrics, _ = nodes.train_clip(shards, ledger, tmp_path, CONFIG, few, ASKED, 0)
    assert not forbidden & set(seen) and len(seen) == len(ledger) - len(forbidden)
    assert metrics["training_pairs"] < len(seen)  # the rest is validation


def test_validation_is_held_back_by_uid_alone(corpus):
    uids = training_uids(corpus[1])
    learned, held = split_validation(uids, 0.2)
    assert 0.15 < len(held) / len(uids) < 0.25 and sorted(learned + held) == uids
    assert split_validation(uids[::2], 0.2)[1] == [uid for uid in held if uid in uids[::2]]


def test_pictures_that_the_ledger_keeps_must_be_in_the_shards(corpus, tmp_path):
    with pytest.raises(ValueError, match="ffffffffffffffff"):
        read_pictures(corpus[0], [corpus[1]["uid"][0], "f" * 16], 16, tmp_path / "store.npy")


def test_a_picture_that_cannot_be_decoded_is_left_out(tmp_path):
    shards, ledger = toy_corpus(tmp_path / "shards", 12, shards=1)
    samples = list(read_shard(shards / "00000.tar"))
    samples[4] = samples[4]._replace(image=b"no image")
    write_shard(shards / "00000.tar", samples)
    pictures = read_pictures(shards, ledger["uid"].tolist(), 16, tmp_path / "store.npy")
    assert pictures.uids == [sample.uid for sample in samples if sample is not samples[4]]
    assert pictures.images.shape == (11, 3, 16, 16) and pictures.images.any(axis=(1, 2, 3)).all()


def test_retrieval_counts_each_picture_that_finds_its_own_caption():
    class Numbers(Encoder):
        """A picture's vector points where its first pixel says, a caption's where it says itself."""

        def __init__(self):
            pass

        def images(self, pixels):
            return torch.eye(64)[pixels[:, 0, 0, 0].long()]

        def texts(self, captions):
            return torch.eye(64)[[int(caption) for caption in captions]]

    images = torch.zeros(64, 3, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(64)
    images[:16, 0, 0, 0] = (torch.arange(16) + 1) % 16  # a quarter shows what its neighbour says
    pictures = Pictures(["u"] * 64, [str(number) for number in range(64)], images.numpy())
    found = validate(Numbers(), pictures, [])
    assert found.metrics["retrieval_at_1"] == 0.75 and found.metrics["retrieval_at_1_chance"] == 1 / 64
    assert found.metrics["retrieval_at_1_low"] < 0.75 < found.metrics["retrieval_at_1_high"]
    assert found.chosen[:3].tolist() == [1, 2, 3] and found.chosen[63] == 63


def test_too_few_pictures_to_choose_among_give_no_retrieval():
    class Never(Encoder):
        def __init__(self):
            pass

    found = retrieve(Never(), np.ones((63, 4), np.float32), ["a"] * 63)
    assert found.metrics["retrieval_at_1_n"] == 0 and not len(found.chosen)


def test_a_named_encoder_is_validated_but_not_trained(corpus, tmp_path):
    trained, _, _ = nodes.train_clip(
        *corpus, tmp_path / "a", CONFIG, ClipTraining(images=64, batch_size=64, warmup_images=0), ASKED, 0
    )
    save_weights(trained, tmp_path / "own")
    named = ClipConfig(source=f"file:{tmp_path / 'own'}", validation_share=0.2)
    weights, metrics, history = nodes.train_clip(*corpus, tmp_path / "b", named, SHORT, ASKED, 0)
    assert weights.config["embedder_id"] == trained.config["embedder_id"] and history.empty
    assert metrics["retrieval_at_1_n"] == 128 and list(history.columns) == ["images_seen", "loss"]


def test_equal_captions_count_as_equally_right():
    class Blind(Encoder):
        def __init__(self):
            pass

        def images(self, pixels):
            return torch.ones(len(pixels), 4)

        def texts(self, captions):
            return torch.ones(len(captions), 4)

    pictures = Pictures(
        ["u"] * 70, ["a"] * 32 + ["b"] * 38, torch.zeros(70, 3, 4, 4, dtype=torch.uint8).numpy()
    )
    metrics = validate(Blind(), pictures, []).metrics
    assert metrics["retrieval_at_1"] == 0.5 and metrics["retrieval_at_1_n"] == 64


def test_the_pipeline_reads_and_writes_what_the_catalog_has():
    pipeline = create_pipeline()
    assert pipeline.inputs() == {
        "raw_shards", "scrape_ledger", "train_clip_scratch", "params:clip", "params:train_clip",
        "params:zero_shot", "params:seed",
    }  # fmt: skip
    assert {"clip_weights", "train_clip_metrics", "train_clip_history"} <= pipeline.all_outputs()


def _ended(ledger: pd.DataFrame) -> set[str]:
    return set(ledger.loc[(ledger["split"] == "heldout") | (ledger["fate"] != "kept"), "uid"])


def test_a_heldout_row_planted_with_a_broken_picture_does_not_stop_the_run(tmp_path):
    shards, ledger = toy_corpus(tmp_path / "shards", 200, heldout=20, shards=1)
    held = set(ledger.loc[ledger["split"] == "heldout", "uid"])
    samples = [
        sample._replace(image=b"poison") if sample.uid in held else sample
        for sample in read_shard(shards / "00000.tar")
    ]
    assert sum(isinstance(sample, Sample) and sample.image == b"poison" for sample in samples) == 20
    write_shard(shards / "00000.tar", samples)
    few = ClipTraining(images=64, batch_size=64, warmup_images=0)
    weights, _, _ = nodes.train_clip(shards, ledger, tmp_path / "scratch", CONFIG, few, ASKED, 0)
    assert weights.config["training_pairs"] < 200


VIT = {
    "embed_dim": 32,
    "vision_cfg": {"layers": 2, "width": 32, "head_width": 16, "patch_size": 4, "image_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def test_a_vision_transformer_of_an_open_clip_config_is_trained_from_scratch(corpus, tmp_path, said):
    training = ClipTraining(images=1_280, batch_size=32, warmup_images=64, preview_images=640)
    config = ClipConfig(architecture=VIT, validation_share=0.2)
    weights, metrics, history = nodes.train_clip(*corpus, tmp_path / "scratch", config, training, ASKED, 0)
    assert history["loss"].iloc[-5:].mean() < 0.95 * history["loss"].iloc[:5].mean()
    assert metrics["retrieval_at_1_n"] == 128 and said[0][0] == 640
    assert weights.config["architecture"]["model"] == VIT
    assert weights.tensors["visual.conv1.weight"].shape == (32, 3, 4, 4)
    save_weights(weights, tmp_path / "vit")
    again, _, _ = nodes.train_clip(
        *corpus, tmp_path / "again", ClipConfig(source=f"file:{tmp_path / 'vit'}"), SHORT, ASKED, 0
    )
    assert again.config["embedder_id"] == weights.config["embedder_id"]


def test_a_class_that_no_validation_caption_names_is_said_before_training(corpus, tmp_path, caplog):
    asked = ZeroShotConfig(sets={"colour": ["red", "mauve", "blue"], "mood": ["gay", "grim"]})
    few = ClipTraining(images=64, batch_size=64, warmup_images=0)
    _, metrics, _ = nodes.train_clip(*corpus, tmp_path, CONFIG, few, asked, 0)
    assert "mauve" in caplog.text and "zero_shot.sets.mood" in caplog.text and "not measured" in caplog.text
    assert metrics["zero_shot_colour_unnamed"] == 1 and metrics["zero_shot_colour_left_out"] > 0
    assert metrics["zero_shot_mood_n"] == 0 and "zero_shot_mood" not in metrics
