"""Which number type embeds fastest here, among those that give the same vectors: measured, and remembered."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.clip.embed_config import AUTO, DTYPES, FLOAT32, EmbedConfig
from unclip_pipeline.clip.encoder import embedder_id_of, load_encoder
from unclip_pipeline.corpus.files import atomic_path
from unclip_pipeline.provenance import hardware
from unclip_pipeline.weights import Weights

MIN_COSINE = 0.999  # of any vector with its float32 self
MIN_SPEEDUP = 1.25  # below it, float32 stays: a choice must not hang on noise
ROUNDS = 3


class Trial(NamedTuple):
    """One number type on a few pairs: the best of three rounds, and its least cosine with float32."""

    dtype: str
    pairs_per_s: float
    least_cosine: float


def settled_dtype(
    weights: Weights,
    device: str,
    config: EmbedConfig,
    pixels: UInt8[Tensor, "n 3 s s"],
    captions: Sequence[str],
    remembered: Path,
) -> str:
    """Give the number type of `embed.dtype`; for "auto" the one in the file `remembered`, or measure it.

    What was chosen for this embedder on this kind of machine stays chosen until the file is removed.
    """
    if config.dtype != AUTO:
        return config.dtype
    case = f"{embedder_id_of(weights, mode=config.mode)} on {hardware()}, {_instructions(device)}"
    known = json.loads(remembered.read_text()) if remembered.is_file() else {}
    if case not in known:
        trials = [try_dtype(weights, device, name, pixels, captions) for name in DTYPES if name != AUTO]
        known[case] = {"dtype": best_dtype(trials), "trials": [trial._asdict() for trial in trials]}
        with atomic_path(remembered) as temporary:
            temporary.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    return known[case]["dtype"]


def best_dtype(trials: Sequence[Trial]) -> str:
    """Choose the fastest type whose vectors agree, if it is clearly faster than float32."""
    exact = next(trial for trial in trials if trial.dtype == FLOAT32)
    agreeing = [trial for trial in trials if trial.least_cosine >= MIN_COSINE]
    fastest = max(agreeing, key=lambda trial: trial.pairs_per_s)
    return fastest.dtype if fastest.pairs_per_s >= MIN_SPEEDUP * exact.pairs_per_s else FLOAT32


def try_dtype(
    weights: Weights, device: str, dtype: str, pixels: UInt8[Tensor, "n 3 s s"], captions: Sequence[str]
) -> Trial:
    """Embed these pairs in float32 and in this type."""
    exact = load_encoder(weights, device)
    encoder = load_encoder(weights, device, dtype=dtype)
    truth = torch.cat([exact.images(pixels), exact.texts(captions)])
    best_s = float("inf")
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        found = torch.cat([encoder.images(pixels).to(truth), encoder.texts(captions).to(truth)]).cpu()
        best_s = min(best_s, time.perf_counter() - began_s)
    return Trial(dtype, len(pixels) / best_s, _least_cosine(found, truth.cpu()))


def _least_cosine(found: Float[Tensor, "n d"], truth: Float[Tensor, "n d"]) -> float:
    cosines = F.cosine_similarity(found, truth)
    return float(cosines.min()) if bool(cosines.isfinite().all()) else -1.0


def _instructions(device: str) -> str:
    return torch.backends.cpu.get_cpu_capability() if device == "cpu" else torch.cuda.get_device_name()
