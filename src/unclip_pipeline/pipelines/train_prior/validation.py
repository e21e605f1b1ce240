"""How good the prior is on pairs it never saw, beside what a caption's own embedding is worth."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.metrics.alignment import cosine, retrieval_at_1, unit
from unclip_pipeline.metrics.estimate import flatten
from unclip_pipeline.metrics.frechet import frechet_distance
from unclip_pipeline.models.prior import Prior, Text
from unclip_pipeline.seeds import seeded, seeded_numpy
from unclip_pipeline.training.pairs import Pairs, Rows
from unclip_pipeline.training.prior import texts
from unclip_pipeline.unclip import SamplingConfig, draw_embeddings

MOST_ROWS = 600
AMONG = 50  # candidates of the retrieval


def validate(
    prior: Prior, pairs: Pairs, heldout: Rows, encoder: Encoder, empty: Text, *, seed: int
) -> dict[str, float | int]:
    """Cosine and retrieval of the true image, and distance of the distributions, on held-out rows.

    `text` is the caption's embedding as it is, `shifted` moved by the mean gap of the training pairs.
    """
    random = seeded_numpy(seed, "validate_prior")
    rows = np.sort(random.permutation(heldout)[:MOST_ROWS])
    order = random.permutation(len(rows))
    truth = _numpy(pairs.image_embeddings(rows))
    text = pairs.text_embeddings(rows)
    gap = pairs.image_embeddings(pairs.measured_rows).mean(0) - pairs.text_embeddings(
        pairs.measured_rows
    ).mean(0)
    drawn = draw_for(prior, pairs, rows, encoder, empty, seed=seed)
    figures: dict[str, float | int] = {}
    for name, guess in {"prior": _numpy(drawn), "text": _numpy(text), "shifted": _numpy(text + gap)}.items():
        estimates = {
            f"cosine_{name}": cosine(guess, truth, extractor=encoder.embedder_id),
            f"retrieval_{name}": retrieval_at_1(
                guess, truth, among=min(AMONG, len(rows)), order=order, extractor=encoder.embedder_id
            ),
        }
        figures |= flatten(estimates) | {f"retrieval_{name}_chance": 1 / min(AMONG, len(rows))}
        figures[f"fd_{name}"] = frechet_distance(unit(truth), unit(guess))
    return figures | {"fd_share_of_shifted": figures["fd_prior"] / figures["fd_shifted"]}


def draw_for(
    prior: Prior, pairs: Pairs, rows: Rows, encoder: Encoder, empty: Text, *, seed: int
) -> Float[Tensor, "n d"]:
    """Draw an embedding for the caption of each row, with the default sampling."""
    sampling = SamplingConfig()
    parts = []
    for start in range(0, len(rows), sampling.batch_size):
        some = rows[start : start + sampling.batch_size]
        noise = [
            seeded(seed, "validate_prior", uid, copy)
            for uid in pairs.dataset.uids(some)
            for copy in range(sampling.prior_samples)
        ]
        text = texts(pairs, some, encoder, tokens=prior.config.text_tokens)
        parts.append(draw_embeddings(prior, text, empty, noise, sampling))
    return torch.cat(parts)


def _numpy(rows: Float[Tensor, "n d"]) -> Float[np.ndarray, "n d"]:
    return rows.cpu().double().numpy()
