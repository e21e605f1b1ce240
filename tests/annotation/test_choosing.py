import numpy as np
import pytest

from unclip_pipeline.curation.annotation.choosing import (
    AnnotateConfig,
    choose,
    copies_as_neighbours,
    guessed_chance,
    inclusion_probabilities,
    systematic,
)


def vectors(n: int, d: int = 8, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_every_row_is_drawn_as_often_as_its_probability_says() -> None:
    random = np.random.default_rng(0)
    pi = inclusion_probabilities(random.random(60) ** 3, 12, 0.5)
    assert pi.sum() == pytest.approx(12)
    assert pi.max() <= 0.5
    order = random.permutation(60)
    drawn = np.zeros(60)
    for _ in range(20_000):
        rows = systematic(pi, order, random.random())
        assert len(np.unique(rows)) == 12
        drawn[rows] += 1
    assert np.abs(drawn / 20_000 - pi).max() < 4 * 0.5 / np.sqrt(20_000)


def test_copies_lie_side_by_side_and_are_not_asked_about_twice() -> None:
    once = vectors(400)
    both = np.concatenate([once, once])
    order = copies_as_neighbours(both)
    assert sorted(order.tolist()) == list(range(800))
    assert (np.abs(np.argsort(order)[:400] - np.argsort(order)[400:]) == 1).mean() > 0.97
    uid = np.array([f"{row:04d}" for row in range(800)], dtype=object)
    chance = np.random.default_rng(1).random(800)
    for seed in range(5):
        config = AnnotateConfig(labels=200)
        chosen = choose(uid, both, {"unsafe": chance}, config, seed=seed, round=1)
        rows = chosen["uid"].astype(int) % 400
        assert len(chosen) == 200
        assert rows.duplicated().mean() < 0.02  # by chance it would be an eighth


def test_doubtful_and_likely_pictures_are_drawn_more_often_and_all_may_be() -> None:
    chance = np.full(2000, 0.001)
    chance[:100] = 0.5
    config = AnnotateConfig(labels=100, random_share=0.2)
    uid = np.arange(2000).astype(str).astype(object)
    chosen = choose(uid, vectors(2000), {"unsafe": chance}, config, seed=0, round=3)
    assert (chosen["uid"].astype(int) < 100).sum() > 40
    assert set(chosen["chosen_for"]) == {"unsafe", "random"}
    assert chosen["inclusion_probability"].min() >= 0.2 * 100 / 2000
    assert chosen["round"].eq(3).all()


def test_the_sample_stands_for_the_population() -> None:
    truth = np.random.default_rng(3).random(3000) < 0.1
    chance = np.where(truth, 0.7, 0.1)
    uid, own = np.arange(3000).astype(str).astype(object), vectors(3000)
    totals = []
    for seed in range(60):
        chosen = choose(uid, own, {"unsafe": chance}, AnnotateConfig(labels=150), seed=seed, round=1)
        weight = 1 / chosen["inclusion_probability"].to_numpy()
        totals.append(weight[truth[chosen["uid"].astype(int)]].sum())
    assert abs(np.mean(totals) - truth.sum()) < 4 * np.std(totals) / np.sqrt(60)


def test_a_small_population_is_labelled_whole() -> None:
    uid = np.arange(30).astype(str).astype(object)
    chosen = choose(
        uid, vectors(30), {"unsafe": np.full(30, 0.5)}, AnnotateConfig(labels=200), seed=0, round=1
    )
    assert sorted(chosen["uid"].astype(int)) == list(range(30))
    assert chosen["inclusion_probability"].eq(1).all()


def test_nothing_left_is_nothing_chosen() -> None:
    empty = choose(np.zeros(0, object), vectors(0), {}, AnnotateConfig(), seed=0, round=1)
    assert empty.empty and {"uid", "inclusion_probability"} <= set(empty)


def test_a_rule_that_misses_some_of_a_kind_is_doubted_there() -> None:
    own = vectors(1000)
    shows = own[:, 0] > 0.45
    answers = shows & (np.random.default_rng(0).random(1000) < 0.5)
    chance = guessed_chance(answers, own, seed=0)
    assert chance[shows & ~answers].mean() > 5 * chance[~shows].mean()


def test_the_same_seed_chooses_the_same_and_rounds_differ() -> None:
    uid, own = np.arange(500).astype(str).astype(object), vectors(500)
    picks = [
        set(
            choose(uid, own, {"unsafe": np.full(500, 0.1)}, AnnotateConfig(labels=50), seed=0, round=r)["uid"]
        )
        for r in (1, 1, 2)
    ]
    assert picks[0] == picks[1] != picks[2]


@pytest.mark.parametrize(
    "fault", [{"labels": 0}, {"random_share": 0.0}, {"max_chance": 0.0}, {"image_side_px": 4}]
)
def test_a_choice_that_makes_no_sense_is_an_error(fault: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"annotate.{next(iter(fault))}"):
        AnnotateConfig(**fault)
