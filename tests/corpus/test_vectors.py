import numpy as np
import pytest

from unclip_pipeline.corpus.vectors import (
    Bank,
    bank_rows,
    log_mean_exp,
    pair_evidence,
    prompt_evidence,
    rows_of,
    unit,
)
from unclip_pipeline.seeds import seeded_numpy


def classes(k: int) -> np.ndarray:
    return np.eye(k, dtype=np.float32)


def test_unit_vectors_have_norm_one_and_broken_ones_are_named():
    vectors = seeded_numpy(0, "v").standard_normal((5, 3)).astype(np.float16)
    assert np.linalg.norm(unit(vectors), axis=1) == pytest.approx(np.ones(5), abs=1e-3)
    vectors[3] = np.nan
    with pytest.raises(ValueError, match="d, run `embed` again|\\(d\\); run"):
        unit(vectors, ["a", "b", "c", "d", "e"])


def test_log_mean_exp_does_not_overflow():
    logits = np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]])
    assert log_mean_exp(logits) == pytest.approx([1000.0, np.log(2.0)])


def test_evidence_is_the_log_of_how_much_likelier_than_chance():
    """Of k equally frequent classes, seen sharply, the right one is k times likelier."""
    k, scale = 8, 50.0
    bank = Bank(classes(k), classes(k), scale)
    right = pair_evidence(classes(k), classes(k), bank)
    wrong = pair_evidence(classes(k), np.roll(classes(k), 1, axis=0), bank)
    assert right == pytest.approx(np.full(k, np.log(k)), abs=1e-4)
    assert (wrong < -scale / 2).all()


def test_evidence_does_not_care_how_near_a_caption_is_to_everything():
    """A caption that all images are near to gains nothing by it."""
    images = unit(seeded_numpy(1, "i").standard_normal((400, 16)))
    common = unit(images.mean(0, keepdims=True))
    bank = Bank(images, unit(images + 0.1), 20.0)
    vague = pair_evidence(images, np.repeat(common, 400, axis=0), bank)
    own = pair_evidence(images, images, bank)
    assert vague.mean() < 0.5 < own.mean()


def test_a_prompt_that_fits_a_share_of_the_corpus_has_at_most_its_log():
    bank = Bank(classes(4)[[0, 1, 1, 2, 2, 2, 3, 3]], classes(4)[[0] * 8], 60.0)
    scores = prompt_evidence(classes(4), classes(4)[[0]], bank)
    assert scores[0] == pytest.approx(np.log(8), abs=1e-3)
    assert (scores[1:] < -20).all()


def test_the_bank_is_drawn_by_seed():
    banks = [bank_rows(50, 10, seed).tolist() for seed in (1, 1, 2)]
    assert banks[0] == banks[1] != banks[2]
    assert banks[0] == sorted(set(banks[0]))
    assert bank_rows(50, 99, 1).tolist() == list(range(50))


def test_rows_are_found_by_uid_and_missing_ones_named():
    uids = np.array(["c", "a", "b"], dtype=object)
    assert rows_of(uids, ["a", "c"], what="embeddings").tolist() == [1, 0]
    with pytest.raises(ValueError, match="embeddings lack 1 of 2 uids, such as \\['x'\\]"):
        rows_of(uids, ["a", "x"], what="embeddings")
