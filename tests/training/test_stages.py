"""Prior, decoder and upsampler: what they are told, what is kept from them, and their nodes end to end."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tiny_stack import tiny_dataset, tiny_weights
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.diffusion.schedule import named_schedule
from unclip_pipeline.models.prior import Prior, PriorConfig, Text
from unclip_pipeline.models.unet import UnetConfig
from unclip_pipeline.pipelines.train_decoder import nodes as decoder_nodes
from unclip_pipeline.pipelines.train_prior import nodes as prior_nodes
from unclip_pipeline.pipelines.train_upsampler import nodes as upsampler_nodes
from unclip_pipeline.training import loop
from unclip_pipeline.training.decoder import DecoderTraining, draw_dropped
from unclip_pipeline.training.degradation import blurred
from unclip_pipeline.training.history import History
from unclip_pipeline.training.pairs import Pairs
from unclip_pipeline.training.prior import PriorBatch, PriorTraining, prior_loss, replaced_text
from unclip_pipeline.training.upsampler import (
    UpsamplerTraining,
    check_crop,
    crops,
    enlarged_crops,
    random_corners,
    shrunk,
    upsampler_batches,
)
from unclip_pipeline.unclip import enlarged

RUN = dict(images=96, batch_size=16, warmup_images=16, checkpoint_images=32)
SMALL = dict(channels=(8, 16), head_width=8, target="v")
DECODER = UnetConfig(side_px=16, attention=(False, True), condition_width=16, **SMALL)
UPSAMPLER = UnetConfig(side_px=32, low_side_px=16, residual_scale=0.2, attention=(False, False), **SMALL)
PRIOR = PriorConfig(width=16, layers=1, heads=2)


@pytest.fixture(scope="module")
def clip():
    return tiny_weights()["clip"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, clip) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("training") / "dataset", clip)


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    """Keep pictures and curves instead of logging them."""
    kept: list[tuple[str, Image.Image]] = []
    for nodes in (decoder_nodes, upsampler_nodes):
        monkeypatch.setattr(nodes, "log_image", lambda image, name, step=None: kept.append((step, image)))
    for nodes in (prior_nodes, decoder_nodes, upsampler_nodes):
        monkeypatch.setattr(nodes, "watch", lambda steps, stage, images: steps)
    return kept


def train_all(folder: Path, clip, scratch: Path):
    return {
        "prior": prior_nodes.train_prior(folder, clip, scratch / "p", PRIOR, PriorTraining(**RUN), 0),
        "decoder": decoder_nodes.train_decoder(
            folder, clip, scratch / "d", DECODER, DecoderTraining(**RUN, preview_images=32), 0
        ),
        "upsampler": upsampler_nodes.train_upsampler(
            folder, scratch / "u", UPSAMPLER, UpsamplerTraining(**RUN, crop_px=16), 0
        ),
    }


def test_stages_train_and_a_killed_run_ends_with_the_same_weights(
    folder, clip, tmp_path, monkeypatch, silent
):
    unbroken = train_all(folder, clip, tmp_path / "unbroken")
    for name, (weights, metrics, history) in unbroken.items():
        assert weights.config["kind"] == name and weights.config["images_seen"] == 96
        assert weights.config["dataset_version"] == Dataset.open(folder).version
        assert all(np.isfinite(value) for value in metrics.values())
        assert history["images_seen"].iloc[-1] == 96 and "loss" in history
    assert [step for step, _ in silent] == [32, 64, 96, 96]
    assert unbroken["decoder"][0].config["exportable"] is False

    def killed_at_64(self, folder, *, identity):
        if self.images_seen == 64:
            raise KeyboardInterrupt
        return save(self, folder, identity=identity)

    save = loop.TrainingState.save
    for name in unbroken:
        monkeypatch.setattr(loop.TrainingState, "save", killed_at_64)
        with pytest.raises(KeyboardInterrupt):
            train_one(name, folder, clip, tmp_path / "killed")
        monkeypatch.setattr(loop.TrainingState, "save", save)
        weights = train_one(name, folder, clip, tmp_path / "killed")[0]
        for key, tensor in unbroken[name][0].tensors.items():
            assert torch.equal(tensor, weights.tensors[key]), (name, key)


def train_one(name: str, folder: Path, clip, scratch: Path):
    if name == "prior":
        return prior_nodes.train_prior(folder, clip, scratch / "p", PRIOR, PriorTraining(**RUN), 0)
    if name == "decoder":
        config = DecoderTraining(**RUN, preview_images=32)
        return decoder_nodes.train_decoder(folder, clip, scratch / "d", DECODER, config, 0)
    config = UpsamplerTraining(**RUN, crop_px=16)
    return upsampler_nodes.train_upsampler(folder, scratch / "u", UPSAMPLER, config, 0)


def test_prior_reads_text_tokens_when_asked(folder, clip, tmp_path):
    architecture = PriorConfig(width=16, layers=1, heads=2, text_tokens=True)
    weights, metrics, _ = prior_nodes.train_prior(
        folder, clip, tmp_path, architecture, PriorTraining(**RUN | {"checkpoint_images": 0}), 0
    )
    assert weights.tensors["tokens_in.weight"].shape == (16, 16)
    assert metrics["cosine_prior_n"] == 80 and metrics["retrieval_prior_chance"] == 1 / 50


def test_checkpoints_are_gone_once_the_weights_are_stored(tmp_path, clip):
    (tmp_path / "scratch").mkdir()
    for nodes in (prior_nodes, decoder_nodes, upsampler_nodes):
        nodes.discard_checkpoints(clip, tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


def test_heldout_rows_are_never_trained_on(folder):
    released = Dataset.open(folder)
    rows_at = Pairs(released, released.rows("train")).batches(16, seed=0)
    drawn = np.concatenate([rows_at(position) for position in range(0, 640, 16)])
    assert set(released.index["split"].to_numpy()[drawn]) == {"train"}
    assert len(set(drawn.tolist())) == len(released.rows("train"))


def test_pictures_come_back_in_the_order_asked_for(folder):
    released = Dataset.open(folder)
    pairs = Pairs(released, released.rows("train"), side_px=32)
    rows = released.rows("train")[[5, 2, 9]]
    assert torch.equal(pairs.images(rows), torch.from_numpy(released.images(rows, 32)))


def test_conditions_are_dropped_at_their_rates_and_jointly():
    config = DecoderTraining(**RUN, image_dropout=0.1, text_dropout=0.5, joint_dropout=0.05)
    dropped = draw_dropped(200_000, config, torch.Generator().manual_seed(0))
    assert dropped.image.float().mean().item() == pytest.approx(0.1, abs=0.005)
    assert dropped.text.float().mean().item() == pytest.approx(0.5, abs=0.005)
    assert (dropped.image & dropped.text).float().mean().item() == pytest.approx(0.05, abs=0.003)


def test_joint_dropout_beyond_its_parts_is_refused():
    with pytest.raises(ValueError, match="joint_dropout"):
        DecoderTraining(**RUN, image_dropout=0.1, joint_dropout=0.2)


def test_null_branch_of_the_prior_loses_the_caption_and_keeps_x_t():
    """With every caption dropped the loss must still depend on x_t, and no more on the caption."""
    seen: list[tuple[torch.Tensor, Text]] = []

    class Spy(Prior):
        def forward(self, x_t, t, text):
            seen.append((x_t, text))
            return x_t

    spy = Spy(PRIOR, embedding_width=4)
    loss = prior_loss(PriorTraining(**RUN, text_dropout=0.999), Text(torch.full((1, 4), 7.0)), "cosine")
    image = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    batch = PriorBatch(image, Text(torch.zeros(64, 4)), [""] * 64)
    for seed in (0, 1):
        loss(spy, batch, torch.Generator().manual_seed(seed))
    (first, text), (second, _) = seen
    assert (text.embedding == 7).float().mean() > 0.95
    assert (first - second).abs().max() > 0.1 and first.std() > 0.5


def test_replaced_text_takes_the_mask_of_the_empty_caption():
    text = Text(torch.zeros(2, 4), torch.zeros(2, 5, 3), torch.ones(2, 5, dtype=torch.bool))
    empty = Text(torch.ones(1, 4), torch.ones(1, 2, 3), torch.ones(1, 2, dtype=torch.bool))
    mixed = replaced_text(text, empty, torch.tensor([False, True]))
    assert mixed.mask.tolist() == [[True] * 5, [True, True, False, False, False]]
    assert mixed.hidden[1, :2].eq(1).all() and mixed.hidden[0].eq(0).all()
    assert mixed.embedding[:, 0].tolist() == [0, 1]


def test_crops_of_picture_and_enlargement_show_the_same_place(folder):
    released = Dataset.open(folder)
    pairs = Pairs(released, released.rows("train"), side_px=32)
    config = UpsamplerTraining(**RUN, crop_px=16, blur_share=0.0, low_noise=0.0)
    batch = upsampler_batches(pairs, config, UPSAMPLER, seed=0)(0)
    assert batch.picture.shape == batch.low_res.shape == (16, 3, 16, 16)
    assert (batch.picture - batch.low_res).abs().mean() < 0.1
    assert (batch.picture - batch.low_res.roll(1, 0)).abs().mean() > 0.2


def test_random_crops_lie_on_the_grid_and_reach_both_ends():
    place = torch.arange(64.0).expand(500, 1, 1, 64).expand(500, 1, 64, 64)
    where = random_corners(500, 32, 2, torch.Generator().manual_seed(0))
    corners = crops(place, where, 32)[:, 0, 0, 0]
    assert (corners % 2 == 0).all() and corners.min() == 0 and corners.max() == 32


def test_enlarged_crops_are_those_of_the_enlarged_picture():
    small = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for side_px in (8, 16, 64):
        where = random_corners(64, 64 - side_px, 4, torch.Generator().manual_seed(1))
        whole = crops(enlarged(small, 64), where, side_px)
        torch.testing.assert_close(enlarged_crops(small, where, side_px, 4), whole, atol=1e-5, rtol=0)


def test_blur_keeps_flat_pictures_and_has_the_published_width():
    flat = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(blurred(flat, 0.6), flat)
    spot = torch.zeros(1, 1, 9, 9)
    spot[..., 4, 4] = 1
    ratio = blurred(spot, 0.6)[0, 0, 4, 4] / blurred(spot, 0.6)[0, 0, 4, 5]
    assert ratio.item() == pytest.approx(np.exp(0.5 / 0.36), rel=1e-4)


def test_shrinking_is_antialiased():
    stripes = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    stripes[..., ::2] = 255
    assert (shrunk(stripes, 16)[..., 2:-2]).abs().max() < 0.2


def test_crop_that_misses_the_grid_is_refused():
    with pytest.raises(ValueError, match="crop_px"):
        check_crop(UpsamplerTraining(**RUN, crop_px=15), UPSAMPLER)


def test_history_averages_equal_shares_of_the_run():
    history = History(images=100, rows=2)
    for seen in range(10, 101, 10):
        history.add(seen, {"loss": float(seen)})
    table = history.table()
    assert table["images_seen"].tolist() == [50, 100] and table["loss"].tolist() == [30.0, 80.0]


def test_named_schedules_exist_for_every_configuration():
    for name in ("cosine", "linear"):
        assert len(named_schedule(name)) == 1_000
