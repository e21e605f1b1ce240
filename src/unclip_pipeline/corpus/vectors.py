"""CLIP vectors as numpy arrays: cosines, and how much more than chance a cosine says."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64, Shaped

from unclip_pipeline.seeds import seeded_numpy

ROWS_AT_ONCE = 4096


def unit(vectors: Float[np.ndarray, "n d"], uids: Sequence[str] | None = None) -> Float32[np.ndarray, "n d"]:
    """Divide each vector by its norm; a zero or non-finite vector is an error that names its row or uid."""
    vectors = vectors.astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    broken = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0))
    if len(broken):
        names = [uids[row] if uids is not None else f"row {row}" for row in broken[:3]]
        raise ValueError(
            f"{len(broken)} of {len(vectors)} embeddings are zero or not finite ({', '.join(names)}); "
            "run `embed` again, or take these images down"
        )
    return vectors / norms


def log_mean_exp(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Take the logarithm of the mean of exponentials of each row, without overflow."""
    highest = logits.max(axis=1)
    return highest + np.log(np.exp(logits - highest[:, None]).mean(axis=1))


class Bank(NamedTuple):
    """What chance looks like: random pairs of the corpus (unit vectors), and the CLIP's logit scale."""

    images: Float32[np.ndarray, "k d"]
    texts: Float32[np.ndarray, "k d"]
    scale: float


def bank_rows(count: int, size: int, seed: int) -> Int64[np.ndarray, " k"]:
    """Choose rows at random and list them in order; the same ones for the same seed and count."""
    return np.sort(seeded_numpy(seed, "bank").permutation(count)[:size])


def pair_evidence(
    images: Float32[np.ndarray, "n d"], texts: Float32[np.ndarray, "n d"], bank: Bank
) -> Float[np.ndarray, " n"]:
    """How much likelier a caption is for its image than for a random one, in nats; 0 is chance.

    A cosine as such cannot be compared between captions. A CLIP is trained so that its scaled cosine is
    the log of p(image, text) / p(image) p(text) up to a term per image and one per text (van den Oord et
    al., 2018); here both terms are measured on the bank and taken off, half of each
    (Wang et al., 2024, use the same for data selection).
    """
    scores = np.empty(len(images))
    for start in range(0, len(images), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        by_image = log_mean_exp(bank.scale * images[rows] @ bank.texts.T)
        by_text = log_mean_exp(bank.scale * texts[rows] @ bank.images.T)
        cosines = np.einsum("nd,nd->n", images[rows], texts[rows])
        scores[rows] = bank.scale * cosines - (by_image + by_text) / 2
    return scores


def prompt_evidence(
    images: Float32[np.ndarray, "n d"], prompts: Float32[np.ndarray, "k d"], bank: Bank
) -> Float[np.ndarray, " n"]:
    """How much likelier any of the prompts is for an image than for a random one, in nats; 0 is chance.

    What a share s of all images shows can reach -log(s) at most, so a threshold belongs well below it.
    """
    by_bank = log_mean_exp(bank.scale * bank.images @ prompts.T)
    return log_mean_exp(bank.scale * images @ prompts.T) - log_mean_exp(by_bank[None])[0]


def rows_of(uids: Shaped[np.ndarray, " m"], wanted: Sequence[str], *, what: str) -> Shaped[np.ndarray, " n"]:
    """Find where each wanted uid stands; one that is missing is an error that says what lacks it."""
    places = {uid: row for row, uid in enumerate(uids)}
    missing = [uid for uid in wanted if uid not in places]
    if missing:
        raise ValueError(
            f"{what} lack {len(missing)} of {len(wanted)} uids, such as {missing[:3]}; make them again"
        )
    return np.fromiter((places[uid] for uid in wanted), np.int64, len(wanted))
