"""Keep what lies near a reference set: the clusters of the corpus that references fall into."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from unclip_pipeline.corpus.embeddings import is_same_space, read_embeddings
from unclip_pipeline.corpus.vectors import ROWS_AT_ONCE, Bank, log_mean_exp, unit

Images = Float32[np.ndarray, "n d"]


class References(NamedTuple):
    """Clusters of a corpus, and how many references fall into each."""

    centres: Float32[np.ndarray, "k d"]
    hits: Int64[np.ndarray, " k"]

    def near(self, images: Images) -> Int64[np.ndarray, " n"]:
        """Count the references in each image's own cluster.

        DataComp's image-based filter (Gadre et al., 2023) keeps the images of which this is at least one.
        """
        return self.hits[_nearest(images, self.centres)]


def place_references(
    centres: Float32[np.ndarray, "k d"],
    *,
    pictures: Float32[np.ndarray, "p d"] | None,
    captions: Float32[np.ndarray, "c d"] | None,
    bank: Bank,
) -> References:
    """Let each reference fall into a cluster; all vectors are unit vectors.

    A caption falls into the cluster that it has most evidence for: raw cosines of captions and images all
    favour the same few clusters.
    """
    hits = np.zeros(len(centres), np.int64)
    if pictures is not None:
        hits += np.bincount(_nearest(pictures, centres), minlength=len(centres))
    if captions is not None:
        chance = log_mean_exp(bank.scale * centres @ bank.texts.T) / 2
        liked = (bank.scale * captions @ centres.T - chance).argmax(axis=1)
        hits += np.bincount(liked, minlength=len(centres))
    return References(centres, hits)


def read_reference(folder: Path, embedder_id: str) -> Images:
    """Read the unit image vectors of a reference set that the same CLIP has embedded."""
    found = read_embeddings(folder)
    if not is_same_space(found.embedder_id, embedder_id):
        raise ValueError(
            f"the reference set in {folder} was embedded by {found.embedder_id}, this corpus by {embedder_id}; "
            "embed it with the same CLIP, or empty filter.reference_embeddings"
        )
    return unit(found.image, found.uid.tolist())


def _nearest(vectors: Images, centres: Float32[np.ndarray, "k d"]) -> Int64[np.ndarray, " n"]:
    parts = range(0, len(vectors), ROWS_AT_ONCE)
    return np.concatenate([(vectors[row : row + ROWS_AT_ONCE] @ centres.T).argmax(axis=1) for row in parts])
