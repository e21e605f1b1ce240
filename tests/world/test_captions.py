"""Captions name what they say they name."""

from collections import Counter

import numpy as np

from unclip_pipeline.world.captions import (
    MAX_WORDS,
    NAMED_SHARES,
    SYNONYMS,
    caption,
    describe,
    describe_fully,
    named_values,
)
from unclip_pipeline.world.scenes import ATTRIBUTES, Scene, WorldConfig, sample_scenes

KINDS = ("shape", "avatar", "hazard")
SCENES = sample_scenes(WorldConfig(), 3000, 0, kinds=KINDS)


def _says(text: str, scene: Scene, attribute: str) -> bool:
    return any(synonym in text for synonym in SYNONYMS[attribute][getattr(scene, attribute)])


def test_a_caption_says_the_right_value_of_all_it_names_and_nothing_of_the_rest() -> None:
    rng = np.random.default_rng(0)
    for scene in SCENES:
        text, named = describe(scene, rng)
        assert {name for name in scene.attributes if _says(f" {text} ", scene, name)} == set(named), text


def test_reading_a_caption_inverts_writing_it() -> None:
    rng = np.random.default_rng(1)
    for scene in SCENES:
        text, named = describe(scene, rng)
        assert named_values(text) == {name: getattr(scene, name) for name in named}, text


def test_a_full_caption_names_everything() -> None:
    rng = np.random.default_rng(0)
    assert all(
        _says(describe_fully(scene, rng), scene, name) for scene in SCENES for name in scene.attributes
    )


def test_no_caption_is_longer_than_allowed() -> None:
    rng = np.random.default_rng(0)
    assert max(len(caption(scene, rng).split()) for scene in SCENES) <= MAX_WORDS


def test_attributes_are_named_as_often_as_planted() -> None:
    rng = np.random.default_rng(0)
    named = Counter(name for scene in SCENES for name in describe(scene, rng).named)
    having = Counter(name for scene in SCENES for name in ATTRIBUTES[scene.kind])
    for name, share in NAMED_SHARES.items():
        assert abs(named[name] / having[name] - share) < 0.04
    assert min(NAMED_SHARES[name] for name in ("size", "position", "background")) >= 0.8


def test_no_word_of_a_value_belongs_to_a_value_of_another_attribute() -> None:
    common = {
        "a",
        "on",
        "in",
        "of",
        "the",
        "at",
        "front",
        "with",
        "background",
        "hair",
        "haired",
        "skinned",
        "sky",
    }
    owners: dict[str, set[str]] = {}
    for attribute, values in SYNONYMS.items():
        for phrases in values.values():
            for word in " ".join(phrases).replace("-", " ").split():
                owners.setdefault(word, set()).add(attribute)
    assert {word for word, names in owners.items() if len(names) > 1} <= common


def test_the_same_generator_state_gives_the_same_words() -> None:
    scene = SCENES[0]
    assert caption(scene, np.random.default_rng(5)) == caption(scene, np.random.default_rng(5))
