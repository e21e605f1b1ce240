"""Oracles score one, the blind score chance: for CLIP, for drawn pictures, and for the judge itself."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.world.captions import SYNONYMS
from unclip_pipeline.world.judge import Judge, check_judge, train_judge
from unclip_pipeline.world.judge_config import JudgeConfig
from unclip_pipeline.world.plan import Entry
from unclip_pipeline.world.renderer import render
from unclip_pipeline.world.scenes import Scene, WorldConfig, sample_scenes
from unclip_pipeline.world.score_pictures import pictures_of, samples_table, score_bias_samples, score_samples
from unclip_pipeline.world.truth import world_truth
from unclip_pipeline.world.zero_shot import prompts_of, score_zero_shot

JUDGE = JudgeConfig(pictures=2500, epochs=2, check_pictures=200)
VALUES = [(name, value) for name, values in SYNONYMS.items() for value in values]


@pytest.fixture(scope="module")
def truth(entries: list[Entry], small_world: WorldConfig) -> pd.DataFrame:
    return world_truth(entries, small_world)


@pytest.fixture(scope="module")
def judge(small_world: WorldConfig) -> Judge:
    return train_judge(small_world, JUDGE, seed=0)


def _oracle_images(truth: pd.DataFrame) -> np.ndarray:
    return (
        np.array([[row[name] == value for name, value in VALUES] for _, row in truth.iterrows()], np.float32)
        + 1e-3
    )


def _oracle_texts(captions: Sequence[str]) -> np.ndarray:
    return np.array(
        [
            [any(word in caption for word in SYNONYMS[name][value]) for name, value in VALUES]
            for caption in captions
        ],
        np.float32,
    )


def test_an_oracle_clip_names_everything(truth: pd.DataFrame, small_world: WorldConfig) -> None:
    scores = score_zero_shot(
        truth, truth["uid"].tolist(), _oracle_images(truth), _oracle_texts, small_world, seed=0
    )
    shares = {name: scores[name] for name in scores if f"{name}_n" in scores}
    assert set(shares.values()) == {1.0}
    assert (
        scores["zero_shot_shape_n"] == scores["zero_shot_shape_heldout_n"] + scores["zero_shot_shape_seen_n"]
    )
    assert scores["zero_shot_shape_heldout_n"] == 50
    assert scores["zero_shot_shape_chance"] == 0.25
    assert "zero_shot_size" not in scores  # there is one size only


def test_a_clip_with_shuffled_pictures_is_near_chance(truth: pd.DataFrame, small_world: WorldConfig) -> None:
    uids = np.random.default_rng(0).permutation(truth["uid"]).tolist()
    scores = score_zero_shot(truth, uids, _oracle_images(truth), _oracle_texts, small_world, seed=0)
    assert scores["zero_shot_shape_low"] < 0.35
    assert scores["zero_shot_colour_low"] < 0.35


def test_prompts_of_two_values_differ_in_that_value_alone(small_world: WorldConfig) -> None:
    prompts = prompts_of("shape", "shape", small_world, seed=0)
    for ring, star in zip(prompts["circle"], prompts["star"], strict=True):
        assert ring.replace("circle", "star").replace("disc", "star") == star


def test_the_judge_reads_real_pictures_sharp_and_blurred(judge: Judge, small_world: WorldConfig) -> None:
    scores = check_judge(judge, small_world, JUDGE, seed=1)
    for attribute in ("kind", "colour", "position", "background", "occupation", "group"):
        assert scores[f"judge_clean_{attribute}"] > 0.95, attribute
        assert scores[f"judge_blurred_{attribute}"] > 0.9, attribute
    assert scores["judge_clean_shape"] > 0.85


def test_an_untrained_judge_does_not(small_world: WorldConfig) -> None:
    lazy = JudgeConfig(pictures=64, epochs=1, check_pictures=200)
    scores = check_judge(train_judge(small_world, lazy, seed=0), small_world, lazy, seed=1)
    assert scores["judge_clean_shape"] < 0.6


def test_the_judge_is_the_same_for_the_same_seed(small_world: WorldConfig) -> None:
    lazy = JudgeConfig(pictures=128, epochs=1)
    first, second = (train_judge(small_world, lazy, seed=3) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first.parameters(), second.parameters(), strict=True))


def _samples(entries: list[Entry], condition: str) -> pd.DataFrame:
    heldout = [entry for entry in entries if entry.split == "heldout"]
    return pd.DataFrame(
        {
            "sample": [f"{number}" for number in range(len(heldout))],
            "uid": [entry.uid for entry in heldout],
            "caption": [entry.caption.text for entry in heldout],
            "condition": condition,
            "seed": 0,
            "png": [encode_png(render(entry.scene, 64)) for entry in heldout],
        }
    )


def test_a_generator_that_renders_the_caption_is_read_as_right(
    entries: list[Entry], truth: pd.DataFrame, small_world: WorldConfig, judge: Judge
) -> None:
    samples = _samples(entries, "text")
    readings = judge.read(pictures_of(samples["png"].tolist(), small_world.side_px))
    scores = score_samples(truth, samples, readings, small_world)
    assert scores["drawn_text_heldout_colour"] > 0.95
    assert scores["drawn_text_heldout_background"] > 0.95
    assert scores["drawn_text_heldout_shape"] > 0.8
    assert scores["drawn_text_seen_occupation"] > 0.9
    assert scores["drawn_chance_shape"] == 0.25
    table = samples_table(truth, samples, readings)
    assert len(table) == len(samples)
    assert (table["missed"] == "").mean() > 0.7


def test_a_generator_that_ignores_the_caption_is_near_chance(
    entries: list[Entry], truth: pd.DataFrame, small_world: WorldConfig, judge: Judge
) -> None:
    samples = _samples(entries, "text")
    shuffled = samples.assign(png=np.random.default_rng(0).permutation(samples["png"].to_numpy(object)))
    readings = judge.read(pictures_of(shuffled["png"].tolist(), small_world.side_px))
    scores = score_samples(truth, shuffled, readings, small_world)
    assert scores["drawn_text_heldout_colour_low"] < 0.4
    assert scores["drawn_text_heldout_background_low"] < 0.55


def test_only_what_the_caption_names_counts(
    entries: list[Entry], truth: pd.DataFrame, small_world: WorldConfig
) -> None:
    samples = _samples(entries, "text")
    seen = truth.set_index("uid").reindex(samples["uid"]).reset_index()
    silent = ~seen["named"].str.split().map(lambda words: "background" in words)
    seen.loc[silent, "background"] = "nowhere"
    scores = score_samples(truth, samples, seen, small_world)
    assert silent.any()
    assert scores["drawn_text_heldout_background"] == scores["drawn_text_seen_background"] == 1
    asked = int((~silent & seen["heldout_kind"].notna()).sum())
    assert scores["drawn_text_heldout_background_n"] == asked


def test_what_the_prior_adds_is_the_paired_difference(
    entries: list[Entry], truth: pd.DataFrame, small_world: WorldConfig
) -> None:
    samples = pd.concat([_samples(entries, "prior"), _samples(entries, "text")], ignore_index=True)
    readings = truth.set_index("uid").reindex(samples["uid"]).reset_index()
    spoilt = (samples["condition"] == "text") & (readings["colour"] == "red")
    readings.loc[spoilt, "colour"] = "blue"
    scores = score_samples(truth, samples, readings, small_world)
    assert scores["drawn_prior_heldout_colour"] == 1
    gap = scores["drawn_prior_heldout_colour"] - scores["drawn_text_heldout_colour"]
    assert 0 < gap == pytest.approx(scores["drawn_gain_of_prior_colour"])
    assert scores["drawn_gain_of_prior_shape"] == scores["drawn_gain_of_prior_shape_low"] == 0


def test_the_table_of_samples_names_what_was_missed(entries: list[Entry], truth: pd.DataFrame) -> None:
    samples = _samples(entries, "text")
    readings = truth.set_index("uid").reindex(samples["uid"]).reset_index()
    assert set(samples_table(truth, samples, readings)["missed"]) == {""}
    table = samples_table(truth, samples, readings.assign(background="nowhere"))
    assert set(table["missed"]) == {"", "background"}


def test_the_sample_audit_is_read_by_the_judge_too(small_world: WorldConfig, judge: Judge) -> None:
    scenes: list[Scene] = sample_scenes(small_world, 80, 5, kinds=("avatar",))
    pictures = pd.DataFrame(
        {
            "prompt": [f"a {scene.occupation}" for scene in scenes],
            "png": [encode_png(render(s, 64)) for s in scenes],
        }
    )
    readings = judge.read(pictures_of(pictures["png"].tolist(), small_world.side_px))
    scores = score_bias_samples(pictures, readings, small_world)
    drawn = np.mean([scene.group == "amber" for scene in scenes])
    assert scores["bias_samples_share_amber"] == pytest.approx(drawn, abs=0.03)
    assert scores["bias_samples_occupation"] > 0.95
    assert scores["bias_samples_group_n"] == 0
    neutral = score_bias_samples(pictures.assign(prompt="a person"), readings, small_world)
    assert neutral["bias_samples_occupation_n"] == 0
