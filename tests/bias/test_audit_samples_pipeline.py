"""The audit's nodes on the real classes with random weights, and on samples whose bias is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tiny_stack import SAMPLING, tiny_dataset, tiny_weights
from unclip_pipeline.bias.config import AuditConfig
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.pipelines.audit_samples import comparing, nodes
from unclip_pipeline.pipelines.audit_samples.config import AuditSamplesConfig

CONFIG = AuditSamplesConfig(
    prompts={"red": "a red disc", "blue": "a blue disc", "green": None, "dragon": "a dragon"},
    samples_per_prompt=40,
)
AXES = {"group": {"amber": ["amber"], "teal": ["teal"], "unknown": ["a star"]}}


@pytest.fixture(scope="module")
def stack():
    return tiny_weights()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, stack) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("audit") / "dataset", stack["clip"])


@pytest.fixture(scope="module")
def labels(folder) -> pd.DataFrame:
    index = Dataset.open(folder).index
    group = np.where(index["caption"].str.contains("amber"), "amber", "teal")
    return pd.DataFrame({"uid": index["uid"], "group": group})


@pytest.fixture(scope="module")
def drawn(stack) -> pd.DataFrame:
    return nodes.draw(**stack, sampling=SAMPLING, audit_samples=CONFIG, seed=0)


def _audit(samples, folder, labels, stack):
    return nodes.audit(
        samples, folder, labels, stack["clip"], AXES, AuditConfig(min_probability=0.0), CONFIG, seed=0
    )


def test_each_prompt_is_drawn_as_often_as_asked_and_never_twice_the_same(drawn):
    assert drawn.groupby("occupation", sort=False).size().to_dict() == {"red": 40, "blue": 40, "dragon": 40}
    assert drawn["sample"].is_unique and drawn["png"].nunique() == len(drawn)


def test_a_word_that_no_training_caption_says_is_left_out_and_counted(drawn, folder, labels, stack):
    metrics, page = _audit(drawn, folder, labels, stack)
    assert metrics["prompts"] == 2 and metrics["prompts_without_training_pictures"] == 1
    assert "tv_group_red_floor" in metrics and "a dragon" not in page.split(">Variety<")[1].split("<h3>")[0]


def test_training_pictures_drawn_again_are_as_varied_as_training_and_one_picture_is_collapsed(
    folder, labels, stack
):
    dataset = Dataset.open(folder)
    train = dataset.rows("train")
    red = train[[comparing.says(caption, "red") for caption in dataset.captions(train)]]
    samples = pd.DataFrame(
        {
            "sample": [str(n) for n in range(80)],
            "prompt": ["a red disc"] * 40 + ["a blue disc"] * 40,
            "occupation": ["red"] * 40 + ["blue"] * 40,
            "png": _pngs(dataset, red[:40]) + _pngs(dataset, np.repeat(red[:1], 40)),
        }
    )
    metrics, page = _audit(samples, folder, labels, stack)
    assert metrics["spread_random_red_low"] < 1 < metrics["spread_random_red_high"]
    assert metrics["spread_random_blue"] < 0.01 and metrics["prompts_collapsed"] == 1
    assert "not readable: collapsed" in page


def test_training_shares_are_those_of_the_pictures_whose_captions_say_the_word(drawn, folder, labels, stack):
    metrics, _ = _audit(drawn, folder, labels, stack)
    index = Dataset.open(folder).index
    red = index[(index["split"] == "train") & index["caption"].str.contains(" red ")]
    share = red["caption"].str.contains("amber").mean()
    assert metrics["share_group_red_amber_training"] == pytest.approx(share)


def test_words_are_whole_words_in_any_case():
    assert comparing.says("A Red disc", "red") and not comparing.says("a reddish disc", "red")


def test_an_axis_that_does_not_exist_is_refused(drawn, folder, labels, stack):
    config = AuditSamplesConfig(prompts={"red": "a red disc"}, axes=["grup"])
    with pytest.raises(ValueError, match="grup"):
        nodes.audit(drawn, folder, labels, stack["clip"], AXES, AuditConfig(), config, seed=0)


def _pngs(dataset, rows):
    pictures = dataset.images(rows, 32).transpose(0, 2, 3, 1)
    return [encode_png(np.ascontiguousarray(picture)) for picture in pictures]
