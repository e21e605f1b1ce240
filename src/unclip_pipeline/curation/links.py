"""Which pairs of rows are one picture: candidates by embedding and by hash, then a close look at each."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from unclip_pipeline.curation.cells import CellDifference, cell_difference
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.hash_bands import hash_pairs
from unclip_pipeline.curation.neighbours import Vectors, cosine_pairs, read
from unclip_pipeline.curation.pairs import Pairs, union
from unclip_pipeline.curation.pictures import Fingerprints

if TYPE_CHECKING:
    from unclip_pipeline.curation.same_picture import GrainReader

MAX_MEDIAN_CELL = 3.0  # copies that lie in place leave half of the cells as they are
MAX_TONES = 6.0  # copies that were cropped keep most tones
SURE_CELL_DIFFERENCE = 7.0  # cells this close need no word of the grain
PAIRS_AT_ONCE = 65_536


class Candidates(NamedTuple):
    """Pairs that a coarse look found alike, with what the close look found."""

    pairs: Pairs
    cosine: Float[np.ndarray, " n"]
    perceptual: Bool[np.ndarray, " n"]  # one picture: the thumbnails say so
    semantic: Bool[np.ndarray, " n"]  # one picture: embedding and grain say so
    median_cell: Float[np.ndarray, " n"]  # how far the middle cell of their thumbnails differs, of 255

    @property
    def same(self) -> Bool[np.ndarray, " n"]:
        """Tell which pairs are one picture."""
        return self.perceptual | self.semantic


class Links(NamedTuple):
    """Pairs of rows that are one picture, and by which rule."""

    pairs: Pairs
    cosine: Float[np.ndarray, " n"]
    reason: Shaped[np.ndarray, " n"]


def near_pairs(vectors: Vectors, config: DuplicateConfig, *, seed: int = 0) -> Pairs:
    """Find the pairs whose embeddings are near enough for a close look."""
    return cosine_pairs(vectors, config.min_cosine, config.search, seed=seed)


def judge_pairs(near: Pairs, vectors: Vectors, prints: Fingerprints, config: DuplicateConfig) -> Candidates:
    """Look closely at near pairs and at those with near hashes."""
    from unclip_pipeline.curation.same_picture import GrainReader

    hashed = hash_pairs(prints.hash, config.max_hash_bits, max_memory_mb=config.max_memory_mb)
    pairs = union(len(vectors), near, hashed)
    cosine = cosines(vectors, pairs)
    cells = cell_difference(prints, pairs)
    alike = cells.largest <= config.max_cell_difference
    reaches = cosine >= config.min_cosine
    if config.min_grain == 0 or not len(pairs):
        return Candidates(pairs, cosine, alike, reaches & ~alike, cells.median)
    rows, places = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    reader, seen = GrainReader(prints.view[rows]), Pairs(*np.split(places, 2))
    perceptual = alike & ~_refuted(reader, seen, alike & (cells.largest > SURE_CELL_DIFFERENCE))
    semantic = _share_grain(reader, seen, cells, reaches & ~alike, config.min_grain)
    return Candidates(pairs, cosine, perceptual, semantic, cells.median)


def links_of(candidates: Candidates, contaminating: Bool[np.ndarray, " n"]) -> Links:
    """Choose the pairs that are one picture, and those too near a held-out one."""
    chosen = candidates.same | contaminating
    reason = np.where(candidates.perceptual, "perceptual", "semantic").astype(object)
    reason[contaminating & ~candidates.same] = "near_heldout"
    return Links(candidates.pairs.where(chosen), candidates.cosine[chosen], reason[chosen])


def cosines(vectors: Vectors, pairs: Pairs) -> Float[np.ndarray, " m"]:
    """Multiply the vectors of each pair."""
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        found[some] = np.einsum(
            "nd,nd->n", read(vectors, pairs.first[some]), read(vectors, pairs.second[some])
        )
    return found


def _refuted(reader: "GrainReader", pairs: Pairs, asked: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Tell which of the pairs asked about have plenty of grain that is unrelated."""
    refuted = np.zeros(len(pairs), bool)
    refuted[asked] = reader.in_place(pairs.where(asked)).unrelated
    return refuted


def _share_grain(
    reader: "GrainReader",
    pairs: Pairs,
    cells: CellDifference,
    asked: Bool[np.ndarray, " n"],
    min_grain: float,
) -> Bool[np.ndarray, " n"]:
    """Tell which of the pairs asked about share their grain, as they lie or laid over each other."""
    same = np.zeros(len(pairs), bool)
    in_place = asked & (cells.median <= MAX_MEDIAN_CELL)
    same[in_place] = reader.in_place(pairs.where(in_place)).correlation >= min_grain
    moved = asked & ~same & (cells.tones <= MAX_TONES)
    same[moved] = reader.registered(pairs.where(moved)).correlation >= min_grain
    return same
