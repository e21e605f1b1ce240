import numpy as np
import pytest

from unclip_pipeline.metrics.alignment import clip_score, cosine, hits_at_1, retrieval_at_1, spread


def test_clip_score_clamps_each_pair_before_averaging():
    images, texts = np.array([[1.0, 0], [1, 0]]), np.array([[2.0, 0], [-3, 0]])
    assert clip_score(images, texts, extractor="").value == 50.0
    assert cosine(images, texts, extractor="").value == 0.0


def test_a_constant_scorer_stays_at_guessing():
    """Under argmax it would reach 1.0, were the true caption listed first."""
    hits = hits_at_1(np.ones((6, 3)), np.ones((100, 3)), np.zeros(6, int))
    assert hits.mean() == pytest.approx(0.01)


def test_a_right_and_a_wrong_candidate_count_one_and_zero():
    candidates = np.eye(3)
    assert hits_at_1(np.eye(3), candidates, np.array([0, 1, 0])).tolist() == [1.0, 1.0, 0.0]


def test_random_embeddings_retrieve_at_chance_and_perfect_ones_always():
    rng = np.random.default_rng(0)
    queries, targets = rng.normal(size=(1000, 8)), rng.normal(size=(1000, 8))
    order = rng.permutation(1000)
    guessing = retrieval_at_1(queries, targets, among=10, order=order, extractor="")
    assert guessing.low < 0.1 < guessing.high
    assert retrieval_at_1(targets, targets, among=10, order=order, extractor="").value == 1.0


def test_retrieval_among_more_pairs_than_there_are_is_refused():
    with pytest.raises(ValueError, match="among"):
        retrieval_at_1(np.eye(3), np.eye(3), among=5, order=np.arange(3), extractor="")


def test_one_picture_over_and_over_has_no_spread_and_opposite_ones_have_two():
    rows = np.random.default_rng(0).normal(size=(5, 3))
    assert spread(rows, 7 * rows, extractor="").value == pytest.approx(0)
    assert spread(rows, -rows, extractor="").value == pytest.approx(2)
