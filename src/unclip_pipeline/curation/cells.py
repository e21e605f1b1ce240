"""How far the thumbnails of two pictures differ, cell by cell."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from unclip_pipeline.curation.pairs import Pairs
from unclip_pipeline.curation.pictures import Fingerprints, mean_difference

PAIRS_AT_ONCE = 1024


class CellDifference(NamedTuple):
    """How far the thumbnails of a pair differ, of 255; 0 is the same."""

    median: Float[np.ndarray, " n"]
    largest: Float[np.ndarray, " n"]
    tones: Float[np.ndarray, " n"]  # the same wherever the cells lie: copies that were cropped keep tones


def cell_difference(prints: Fingerprints, pairs: Pairs) -> CellDifference:
    """Compare thumbnails cell by cell, and by the closest 30% of their sorted tones."""
    tones = np.sort(prints.cells.mean(axis=3, dtype=np.float32).reshape(len(prints.uid), -1), axis=1)
    found = np.empty((3, len(pairs)))
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        a, b = pairs.first[some], pairs.second[some]
        cells = np.sort(mean_difference(prints.cells[a], prints.cells[b]).reshape(len(a), -1), axis=1)
        shades = np.partition(np.abs(tones[a] - tones[b]), int(0.3 * tones.shape[1]), axis=1)
        found[:, some] = cells[:, cells.shape[1] // 2], cells[:, -1], shades[:, int(0.3 * tones.shape[1])]
    return CellDifference(*found)
