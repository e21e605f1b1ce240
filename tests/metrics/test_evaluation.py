"""The figures of an evaluation whose answer is known: drawings that are real, all alike, or swapped."""

import numpy as np
import pytest

from unclip_pipeline.cards.evaluation import EMBEDDING_MEASURES, PICTURE_MEASURES
from unclip_pipeline.metrics.evaluation import (
    Captions,
    Described,
    Extractors,
    embedding_agreement,
    embedding_distances,
    picture_metrics,
    shifted,
)

N, D = 120, 12
RNG = np.random.default_rng(0)
MEANING = RNG.normal(size=(2 * N, D))


def _pictures(meaning, seed):
    rng = np.random.default_rng(seed)
    plain = meaning @ np.full((D, 6), 0.2) + rng.normal(size=(len(meaning), 6))
    return Described(meaning + rng.normal(0, 0.3, meaning.shape), plain, np.full(len(meaning), 4.0))


REAL, OTHERS = _pictures(MEANING[:N], 1), _pictures(MEANING[N:], 2)
DRAWN = {
    "prior": _pictures(MEANING[:N], 3),  # as good as real
    "text": _pictures(np.roll(MEANING[:N], 1, 0), 4),  # real pictures for the wrong captions
    "image": _pictures(MEANING[:1].repeat(N, 0), 5),  # one picture over and over
}
CAPTIONS = Captions(MEANING[:N], np.arange(N))
MEASURED = picture_metrics(
    DRAWN, REAL, OTHERS, CAPTIONS, neighbours=5, extractors=Extractors("clip", "random")
)


def _value(name):
    return MEASURED[name].value


def test_drawings_as_good_as_real_score_like_real_ones():
    for measure in ("fd_clip", "fd_random", "kid_random", "mmd_clip", "mmd_random"):
        assert _value(f"{measure}_image") > 3 * _value(f"{measure}_real")


def test_every_figure_of_the_page_is_measured_and_every_measured_one_is_on_the_page():
    stems = {name.rpartition("_")[0] for name in MEASURED}
    assert stems == {measure.stem for measure in PICTURE_MEASURES}


def test_the_extractor_is_named_on_every_distance():
    assert MEASURED["fd_clip_prior"].extractor == "clip"
    assert MEASURED["fd_random_prior"].extractor == "random"


def test_shifted_text_closes_a_gap_between_the_modalities_and_plain_text_does_not():
    gap = np.full(D, 3.0)
    images, texts, others = MEANING[:N] + gap, MEANING[:N] - gap, MEANING[N:] + gap
    moved = shifted(texts, MEANING.mean(0) - gap, MEANING.mean(0) + gap)
    ways = {"text": texts, "shifted": moved}
    near = embedding_agreement(ways, images, among=10, order=np.arange(N), extractor="clip")
    far = embedding_distances(ways, images, others, extractor="clip")
    assert near["embedding_cosine_shifted"].value > 0.99 > near["embedding_cosine_text"].value
    assert far["embedding_fd_shifted"].value == pytest.approx(far["embedding_fd_real"].value, rel=1e-6)
    assert far["embedding_fd_text"].value > 10 * far["embedding_fd_real"].value
    stems = {name.rpartition("_")[0] for name in near | far}
    assert stems <= {measure.stem for measure in EMBEDDING_MEASURES}
