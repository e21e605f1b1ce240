"""Keep what lies near a reference set: the clusters of the corpus that references fall into."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from unclip_pipeline.corpus.embeddings import read_embeddings
from unclip_pipeline.corpus.vectors import ROWS_AT_ONCE, Bank, log_mean_exp, unit
from unclip_pipeline.seeds import seed_of, seeded_numpy

FIT_ROWS = 200_000  # rows that clusters are made from; more do not move them
Images = Float32[np.ndarray, "n d"]


def references_in_clusters(
    images: Images,
    *,
    pictures: Float32[np.ndarray, "p d"] | None,
    captions: Float32[np.ndarray, "c d"] | None,
    bank: Bank,
    clusters: int,
    seed: int,
) -> Int64[np.ndarray, " n"]:
    """Count the references that fall into each image's own cluster; all vectors are unit vectors.

    DataComp's image-based filter (Gadre et al., 2023) keeps the images of which this is at least one. A
    caption falls into the cluster that it has most evidence for: raw cosines of captions and images all
    favour the same few clusters. `clusters` of 0 means the square root of the corpus' size.
    """
    centres = cluster_centres(images, clusters or max(1, math.isqrt(len(images))), seed)
    hits = np.zeros(len(centres), np.int64)
    if pictures is not None:
        hits += np.bincount(_nearest(pictures, centres), minlength=len(centres))
    if captions is not None:
        chance = log_mean_exp(bank.scale * centres @ bank.texts.T) / 2
        liked = (bank.scale * captions @ centres.T - chance).argmax(axis=1)
        hits += np.bincount(liked, minlength=len(centres))
    return hits[_nearest(images, centres)]


def cluster_centres(images: Images, clusters: int, seed: int) -> Float32[np.ndarray, "k d"]:
    """Place unit cluster centres by k-means on a random part of the corpus, the same for the same seed."""
    from sklearn.cluster import MiniBatchKMeans

    if clusters > len(images):
        raise ValueError(
            f"filter.reference_clusters must be at most the {len(images)} images there are, got {clusters}"
        )
    rows = np.sort(seeded_numpy(seed, "reference_rows").permutation(len(images))[:FIT_ROWS])
    means = MiniBatchKMeans(
        clusters, random_state=seed_of(seed, "reference_clusters") % (1 << 32), n_init=3, batch_size=4096
    )
    return unit(means.fit(images[rows]).cluster_centers_)


def read_reference(folder: Path, embedder_id: str) -> Images:
    """Read the unit image vectors of a reference set that the same CLIP has embedded."""
    found = read_embeddings(folder)
    if found.embedder_id != embedder_id:
        raise ValueError(
            f"the reference set in {folder} was embedded by {found.embedder_id}, this corpus by {embedder_id}; "
            "embed it with the same CLIP, or empty filter.reference_embeddings"
        )
    return unit(found.image, found.uid.tolist())


def _nearest(vectors: Images, centres: Float32[np.ndarray, "k d"]) -> Int64[np.ndarray, " n"]:
    parts = range(0, len(vectors), ROWS_AT_ONCE)
    return np.concatenate([(vectors[row : row + ROWS_AT_ONCE] @ centres.T).argmax(axis=1) for row in parts])
