"""The evaluation's figures, from features alone: every way of drawing beside what real pictures score.

Metric names are `<measure>_<way>`. The way `real` is the floor (or ceiling): held-out pictures of the prompts
in place of drawn ones, measured in the same way, at the same n, against the same other held-out pictures.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from unclip_pipeline.metrics.alignment import clip_score, cosine, hits_at_1, retrieval_at_1, unit
from unclip_pipeline.metrics.estimate import Estimate, Features, Others, mean_of, share_of
from unclip_pipeline.metrics.frechet import frechet
from unclip_pipeline.metrics.kernel import kid, mmd_rbf
from unclip_pipeline.metrics.prdc import prdc


class Described(NamedTuple):
    """Pictures in both feature spaces, and how sharp each is."""

    clip: Features
    random: Features
    sharpness: Float[np.ndarray, " n"]


class Extractors(NamedTuple):
    """What the feature spaces are called in results."""

    clip: str
    random: str


class Captions(NamedTuple):
    """Distinct captions, and which of them belongs to each picture."""

    embeddings: Features
    own: Int[np.ndarray, " n"]


def picture_metrics(
    drawn: Mapping[str, Described],
    real: Described,
    others: Described,
    captions: Captions,
    *,
    neighbours: int,
    extractors: Extractors,
) -> dict[str, Estimate]:
    """Measure drawn pictures by way, and the true pictures of the prompts as the way `real`."""
    found: dict[str, Estimate] = {}
    for way, pictures in {**drawn, "real": real}.items():
        found |= _alignment(pictures, captions, way, extractors.clip)
        for space in ("clip", "random"):
            mine, reference = getattr(pictures, space), getattr(others, space)
            found |= _distances(reference, mine, f"{space}_{way}", neighbours, getattr(extractors, space))
        found[f"sharpness_{way}"] = mean_of(pictures.sharpness)
    return found


def embedding_agreement(
    predicted: Mapping[str, Features],
    real: Features,
    *,
    among: int,
    order: Int[np.ndarray, " n"],
    extractor: str,
) -> dict[str, Estimate]:
    """Measure how near image embeddings predicted from captions come to those of the true pictures."""
    found: dict[str, Estimate] = {}
    for way, rows in predicted.items():
        found[f"embedding_cosine_{way}"] = cosine(rows, real, extractor=extractor)
        found[f"embedding_retrieval_{way}"] = retrieval_at_1(
            rows, real, among=among, order=order, extractor=extractor
        )
    return found


def embedding_distances(
    predicted: Mapping[str, Features], real: Features, others: Others, *, extractor: str
) -> dict[str, Estimate]:
    """Measure how alike sets of predicted and of real image embeddings are, on unit length."""
    ways = {**predicted, "real": real}
    return {
        f"embedding_fd_{way}": frechet(unit(others), unit(rows), extractor=extractor)
        for way, rows in ways.items()
    }


def shifted(
    texts: Features, text_mean: Float[np.ndarray, " d"], image_mean: Float[np.ndarray, " d"]
) -> Features:
    """Move text embeddings by the gap between the modalities' means: the fair stand-in for a prior."""
    return texts - text_mean + image_mean


def _alignment(pictures: Described, captions: Captions, way: str, extractor: str) -> dict[str, Estimate]:
    own = captions.embeddings[captions.own]
    hits = hits_at_1(pictures.clip, captions.embeddings, captions.own)
    return {
        f"clip_score_{way}": clip_score(pictures.clip, own, extractor=extractor),
        f"r_precision_{way}": share_of(hits, extractor),
    }


def _distances(
    reference: Others, mine: Features, name: str, neighbours: int, extractor: str
) -> dict[str, Estimate]:
    balls = prdc(reference, mine, neighbours=neighbours, extractor=extractor)
    return {
        f"fd_{name}": frechet(reference, mine, extractor=extractor),
        f"kid_{name}": kid(_lengthened(reference), _lengthened(mine), extractor=extractor),
        f"mmd_{name}": mmd_rbf(reference, mine, extractor=extractor),
        **{f"{measure}_{name}": estimate for measure, estimate in balls._asdict().items()},
    }


def _lengthened(rows: Features) -> Features:
    """Give unit vectors the length sqrt(d), at which KID's kernel sees more of them than their means."""
    lengths = np.linalg.norm(rows, axis=1)
    return rows * np.sqrt(rows.shape[1]) if np.allclose(lengths, 1) else rows
