"""The evaluation's nodes on the real classes with random weights, and on samples whose answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tiny_stack import SAMPLING, tiny_dataset, tiny_weights
from unclip_pipeline.cards.guidance import guidance_section
from unclip_pipeline.corpus.images import decode_rgb, encode_png
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.pipelines.evaluate import nodes, sweep
from unclip_pipeline.pipelines.evaluate.plan import EvaluateConfig, make_plan
from unclip_pipeline.seeds import seed_of
from unclip_pipeline.unclip import UnClip

CONFIG = EvaluateConfig(
    heldout_prompts=40,
    seen_prompts=24,
    retrieval_among=10,
    copies_false_positive_rate=0.05,
    seen_references=60,
    batch_size=25,
    guidance_prompts=20,
    guidance_scales=(1.0, 4.0),
)


@pytest.fixture(scope="module")
def stack():
    return tiny_weights()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, stack) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("evaluate") / "dataset", stack["clip"])


@pytest.fixture(scope="module")
def drawn(folder, stack) -> tuple[pd.DataFrame, pd.DataFrame]:
    return nodes.draw(folder, **stack, sampling=SAMPLING, evaluate=CONFIG, seed=0)


@pytest.fixture(scope="module")
def samples(drawn) -> pd.DataFrame:
    return drawn[0]


@pytest.fixture(scope="module")
def guided(drawn) -> pd.DataFrame:
    return drawn[1]


@pytest.fixture
def measure(guided, folder, stack):
    """Measure these samples as the stage does."""
    return lambda samples: nodes.measure(
        samples, guided, folder, **stack, sampling=SAMPLING, evaluate=CONFIG, seed=0
    )


def _with_pictures(samples, folder, rows_by_uid):
    """The samples table with other pictures in it: those of the dataset's rows."""
    dataset = Dataset.open(folder)
    rows = samples["uid"].map(rows_by_uid).to_numpy()
    pictures = dataset.images(rows, 32).transpose(0, 2, 3, 1)
    return samples.assign(png=[encode_png(np.ascontiguousarray(picture)) for picture in pictures])


def test_the_plan_uses_no_row_twice_and_keeps_the_splits_apart(folder):
    dataset = Dataset.open(folder)
    plan = make_plan(dataset, CONFIG, seed=0)
    rows = np.concatenate(plan)
    assert len(set(rows.tolist())) == len(rows) == 40 + 40 + 24 + 60
    split = dataset.index["split"].to_numpy()
    assert set(split[np.concatenate([plan.heldout, plan.others])]) == {"heldout"}
    assert set(split[np.concatenate([plan.seen, plan.seen_references])]) == {"train"}


def test_the_plan_is_replayed_by_the_same_seed_and_changed_by_another(folder):
    dataset = Dataset.open(folder)
    first, same, other = (make_plan(dataset, CONFIG, seed=seed) for seed in (0, 0, 1))
    assert (first.heldout == same.heldout).all() and (first.heldout != other.heldout).any()


def test_too_few_held_out_pictures_are_refused_with_the_next_move(folder):
    with pytest.raises(ValueError, match="raise the share that is held out"):
        make_plan(replace(Dataset.open(folder), index=Dataset.open(folder).index.head(40)), CONFIG, seed=0)


def test_every_held_out_caption_is_drawn_in_three_ways_and_training_ones_with_the_prior(samples):
    counts = samples.groupby(["condition", "held_out"]).size().to_dict()
    assert counts == {("image", True): 40, ("prior", False): 24, ("prior", True): 40, ("text", True): 40}
    assert samples["sample"].is_unique


def test_the_true_way_decodes_the_embedding_that_lies_in_the_dataset(samples, folder):
    dataset = Dataset.open(folder)
    one = samples[samples["condition"] == "image"].iloc[3]
    row = dataset.index.index[dataset.index["uid"] == one.uid].to_numpy()
    assert np.allclose(one.embedding, dataset.image_embeddings(row)[0])


def test_drawing_again_gives_the_same_pictures_and_another_seed_others(samples, folder, stack):
    again, other = (
        nodes.draw(folder, **stack, sampling=SAMPLING, evaluate=CONFIG, seed=seed)[0] for seed in (0, 1)
    )
    assert (again["png"] == samples["png"]).all()
    assert not set(other["seed"]) & set(samples["seed"])


def test_the_noise_is_the_same_in_all_ways_and_differs_between_batches(samples):
    by_way = samples[samples["held_out"]].groupby("condition")["seed"].agg(list)
    assert by_way["text"] == by_way["prior"] == by_way["image"] and len(set(by_way["text"])) == 2


def test_a_model_that_gives_back_training_pictures_is_caught_and_they_are_named(samples, folder, measure):
    dataset = Dataset.open(folder)
    plan = make_plan(dataset, CONFIG, seed=0)
    uids = samples["uid"].unique()
    copied = dict(
        zip(uids, np.resize(np.concatenate([plan.seen, plan.seen_references]), len(uids)), strict=True)
    )
    metrics, nearest = measure(_with_pictures(samples, folder, copied))
    assert metrics["copies_tiles_heldout_excess_low"] > 0.7
    assert metrics["copies_clip_heldout_excess_low"] > 0.7
    first = nearest[(nearest["rank"] == 1) & (nearest["measure"] == "tiles")].set_index("sample")["uid"]
    shown = samples[samples["condition"] == "prior"]
    assert first[shown["sample"]].tolist() == dataset.uids(shown["uid"].map(copied).to_numpy())


def test_true_pictures_in_place_of_samples_score_exactly_like_real_ones(samples, folder, measure):
    dataset = Dataset.open(folder)
    own = {uid: row for row, uid in enumerate(dataset.index["uid"])}
    metrics, _ = measure(_with_pictures(samples, folder, own))
    for measure in ("fd_clip", "fd_random", "kid_clip", "coverage_random", "clip_score", "sharpness"):
        assert metrics[f"{measure}_prior"] == pytest.approx(metrics[f"{measure}_real"], rel=1e-6, abs=1e-9)
    assert metrics["copies_tiles_heldout_excess"] <= 0
    assert metrics["embedding_fd_real"] > 0 and metrics["fd_clip_real"] > 0  # held against other pictures
    assert metrics["copies_tiles_seen_threshold"] > 0.01  # training pictures did not find themselves


def test_figures_carry_interval_number_extractor_and_guidance_and_the_page_shows_them(
    samples, guided, folder, measure
):
    metrics, nearest = measure(samples)
    assert metrics["fd_clip_prior_n"] == 40 and metrics["fd_clip_prior_low"] <= metrics["fd_clip_prior"]
    assert metrics["extractor_random"].startswith("random-conv") and metrics["guidance_prior"] == 1.5
    assert list(metrics)[:2] == ["r_precision_prior", "fd_clip_prior"]
    page = nodes.report(metrics, samples, guided, nearest, folder)
    assert page.count("data:image/png") > 100 and metrics["extractor_clip"] in page


def test_guidance_is_swept_on_the_same_captions_and_one_of_the_scales_draws_as_decode_does(
    guided, folder, stack
):
    assert guided.groupby("guidance")["uid"].agg(tuple).nunique() == 1
    dataset = Dataset.open(folder)
    rows = make_plan(dataset, CONFIG, seed=0).heldout[:20]
    assert guided["uid"].tolist() == 2 * dataset.uids(rows)
    strong = UnClip.from_weights(**stack, sampling=replace(SAMPLING, decoder_guidance=4.0))
    seed = seed_of(0, "evaluate", "guidance")
    embeddings = strong.sample_image_embeddings(dataset.captions(rows), seed=seed)
    expected = strong.decode(embeddings, dataset.captions(rows), seed=seed).permute(0, 2, 3, 1).numpy()
    pngs = guided.loc[guided["guidance"] == 4, "png"]
    assert all((decode_rgb(png) == one).all() for png, one in zip(pngs, expected, strict=True))


def test_true_pictures_in_the_sweep_score_exactly_like_real_ones(guided, folder, stack):
    dataset = Dataset.open(folder)
    plan = make_plan(dataset, CONFIG, seed=0)
    own = {uid: row for row, uid in enumerate(dataset.index["uid"])}
    true = dataset.images(guided["uid"].map(own).to_numpy(), 16).transpose(0, 2, 3, 1)
    pictures = guided.assign(png=[encode_png(np.ascontiguousarray(one)) for one in true])
    encoder = UnClip.from_weights(**stack, sampling=SAMPLING).encoder
    figures = sweep.measure_sweep(pictures, dataset, plan, encoder, CONFIG)
    for measure in sweep.MEASURES:
        assert figures[f"guided_{measure}_4"] == pytest.approx(figures[f"guided_{measure}_real"], abs=1e-9)


def test_the_page_shows_a_curve_a_table_and_the_pictures_of_every_scale(guided):
    figures = {"guided_clip_score_1": 20.0, "guided_clip_score_4": 30.0, "guided_clip_score_real": 28.0}
    section = guidance_section({"guidance_decoder": 2.0} | figures, guided)
    assert section.count("data:image/png") == 2 * 8 and section.count("<svg") >= 1
    assert "In use: 2." in section and "guidance 4" in section and "28" in section


def test_a_sweep_of_one_scale_is_refused():
    with pytest.raises(ValueError, match="a sweep compares"):
        EvaluateConfig(guidance_scales=(2.0,))
