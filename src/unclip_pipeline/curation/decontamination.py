"""No training picture may be one that evaluation holds out: drop those that are, and prove none is left.

What is held out is compared with all, whatever the search for duplicates skips. A held-out and a training
picture also count as one where their embeddings alone are near enough, and the grain is not asked: a training
picture lost for nothing costs little, a test that was trained on costs the trust in all figures.
"""

import re

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.links import Candidates, judge_pairs
from unclip_pipeline.curation.neighbours import pairs_of
from unclip_pipeline.curation.pairs import Pairs
from unclip_pipeline.curation.pictures import Fingerprints

WORDS = re.compile(r"\w+")


def heldout_pairs(
    heldout: Bool[np.ndarray, " n"], vectors: Float32[np.ndarray, "n d"], config: DuplicateConfig
) -> Pairs:
    """Find every near pair of a held-out and a training picture, by comparing all of them."""
    pairs = pairs_of(np.flatnonzero(heldout), vectors, config.min_cosine, max_memory_mb=config.max_memory_mb)
    return pairs.where(crosses(heldout, pairs))


def crosses(heldout: Bool[np.ndarray, " n"], pairs: Pairs) -> Bool[np.ndarray, " m"]:
    """Tell which pairs are of a held-out and a training picture."""
    return heldout[pairs.first] != heldout[pairs.second]


def too_near(
    candidates: Candidates, heldout: Bool[np.ndarray, " n"], config: DuplicateConfig
) -> Bool[np.ndarray, " m"]:
    """Tell which pairs of a held-out and a training picture count as one for their embeddings alone."""
    return crosses(heldout, candidates.pairs) & (candidates.cosine >= config.decontaminate_cosine)


def prove_decontaminated(
    released: pd.DataFrame,
    vectors: Float32[np.ndarray, "n d"],
    prints: Fingerprints,
    config: DuplicateConfig,
) -> dict[str, int]:
    """Compare all held-out with all training pictures that are left; raise where any two are one picture.

    `released` (uid, split, caption, sha256) has the rows in the order in which they were judged before.
    Captions that both sides have are counted, not forbidden: a caption is no picture.
    """
    heldout = (released["split"] == "heldout").to_numpy()
    near = heldout_pairs(heldout, vectors, config)
    judged = judge_pairs(near, vectors, prints, config)
    same = crosses(heldout, judged.pairs) & (judged.same | too_near(judged, heldout, config))
    shared = set(released.loc[heldout, "sha256"]) & set(released.loc[~heldout, "sha256"])
    left = int(same.sum()) + len(shared)
    if left:
        worst = judged.pairs.where(same)
        uids = released["uid"].to_numpy()
        named = [f"{uids[a]} and {uids[b]}" for a, b in zip(worst.first[:3], worst.second[:3], strict=True)]
        raise ValueError(
            f"decontamination left {left} pairs of a held-out and a training picture that are one, such as "
            f"{named or sorted(shared)[:3]}; nothing may be released: report this as a defect"
        )
    captions = released["caption"].map(plain_words)
    return {
        "decontamination_left": left,
        "decontamination_pairs_compared": int(heldout.sum()) * int((~heldout).sum()),
        "decontamination_near_pairs": len(near),
        "train_captions_also_heldout": int(captions[~heldout].isin(set(captions[heldout])).sum()),
    }


def plain_words(caption: str) -> str:
    """Reduce a caption to its words, in lower case."""
    return " ".join(WORDS.findall(caption.casefold()))
