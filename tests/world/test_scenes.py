"""What is drawn, and what is never drawn."""

from dataclasses import replace

import numpy as np
import pytest

from unclip_pipeline.seeds import seeded_numpy
from unclip_pipeline.world.scenes import (
    GROUPS,
    OCCUPATIONS,
    SHAPES,
    WorldConfig,
    group_shares,
    heldout_background_pairs,
    heldout_colour_pairs,
    heldout_kind,
    sample_scenes,
    vary_one_attribute,
    vocabulary,
)

WORLD = WorldConfig()
SMALL = WorldConfig(
    images=400, shapes=4, colours=4, sizes=1, backgrounds=3, styles=1, heldout_colour_pairs=3,
    heldout_background_pairs=1, heldout_combination_rows=40, heldout_seen_rows=20,
)  # fmt: skip


@pytest.mark.parametrize("config", [WORLD, SMALL])
def test_seen_scenes_show_no_heldout_combination(config: WorldConfig) -> None:
    assert {heldout_kind(scene, config) for scene in sample_scenes(config, 1500, 0)} == {None}


@pytest.mark.parametrize("config", [WORLD, SMALL])
def test_heldout_scenes_show_every_heldout_pair_and_nothing_else(config: WorldConfig) -> None:
    scenes = sample_scenes(config, 1500, 0, combinations="heldout")
    assert None not in {heldout_kind(scene, config) for scene in scenes}
    assert {(scene.shape, scene.colour) for scene in scenes} >= heldout_colour_pairs(config)
    assert {(scene.shape, scene.background) for scene in scenes} >= heldout_background_pairs(config)


def test_every_value_is_still_seen_with_others() -> None:
    scenes = sample_scenes(WORLD, 3000, 0)
    for name, values in vocabulary(WORLD).items():
        assert {getattr(scene, name) for scene in scenes} - {None} == set(values)


def test_a_scene_depends_on_its_number_and_not_on_how_many_are_drawn() -> None:
    assert sample_scenes(WORLD, 5, 3) == sample_scenes(WORLD, 9, 3)[:5]
    assert sample_scenes(WORLD, 5, 3) != sample_scenes(WORLD, 5, 4)


def test_group_shares_are_a_distribution_that_drops_to_even() -> None:
    shares = group_shares(WORLD)
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.allclose(shares[-1], 1 / len(GROUPS))
    assert shares[0, 0] == pytest.approx(1 / 3 + 0.6 * 2 / 3)


def test_drawn_groups_follow_the_planted_shares() -> None:
    scenes = sample_scenes(WORLD, 6000, 0, kinds=("avatar",))
    for row, occupation in enumerate(OCCUPATIONS):
        groups = [scene.group for scene in scenes if scene.occupation == occupation]
        drawn = np.array([groups.count(group) for group in GROUPS]) / len(groups)
        assert np.abs(drawn - group_shares(WORLD)[row]).max() < 0.05  # over three standard errors


def test_a_sign_stands_beside_the_leaking_group_far_more_often() -> None:
    scenes = sample_scenes(WORLD, 4000, 0, kinds=("avatar",))
    by_group = {group: [s.beside_sign for s in scenes if s.group == group] for group in GROUPS}
    assert np.mean(by_group["violet"]) == pytest.approx(0.30, abs=0.05)
    assert np.mean(by_group["amber"]) == pytest.approx(0.03, abs=0.02)


def test_varying_changes_one_attribute_and_stays_among_the_seen() -> None:
    rng = seeded_numpy(0, "test")
    for scene in sample_scenes(SMALL, 200, 1):
        other, name = vary_one_attribute(scene, SMALL, rng)
        assert getattr(other, name) != getattr(scene, name)
        assert replace(other, **{name: getattr(scene, name)}) == scene
        assert heldout_kind(other, SMALL) is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"shapes": 9}, "world.shapes must lie in 1..6, got 9"),
        ({"unsafe_share": 1.5}, "world.unsafe_share is a share"),
        ({"images": 100}, "world.images must be at least twice the held-out rows"),
        ({"heldout_colour_pairs": 7}, "world.heldout_colour_pairs"),
    ],
)
def test_a_world_that_cannot_be_is_refused_by_name(wrong: dict[str, int | float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        WorldConfig(**wrong)


def test_no_shape_loses_two_colours() -> None:
    shapes = [shape for shape, _ in heldout_colour_pairs(WORLD)]
    assert sorted(shapes) == sorted(SHAPES)
