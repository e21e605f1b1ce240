"""What a CLIP knows of the world: attributes of held-out pictures by prompts in the world's grammar."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.seeds import seed_of, seeded_numpy
from unclip_pipeline.world.captions import describe_fully
from unclip_pipeline.world.scenes import ATTRIBUTES, WorldConfig, sample_scenes, vocabulary

PROMPTS = 32  # in each ensemble

Texts = Callable[[Sequence[str]], Float[np.ndarray, "n d"]]


def prompts_of(attribute: str, kind: str, config: WorldConfig, *, seed: int) -> dict[str, list[str]]:
    """Write an ensemble of full captions for each value; they differ between values in that word alone."""
    scenes = sample_scenes(
        config, PROMPTS, seed_of(seed, "prompts", kind, attribute), combinations="all", kinds=(kind,)
    )
    return {
        value: [
            describe_fully(
                replace(scene, **{attribute: value}, beside_sign=False), seeded_numpy(seed, "prompt", number)
            )
            for number, scene in enumerate(scenes)
        ]
        for value in vocabulary(config)[attribute]
    }


def score_zero_shot(
    truth: pd.DataFrame,
    uids: Sequence[str],
    images: Float[np.ndarray, "n d"],
    texts: Texts,
    config: WorldConfig,
    *,
    seed: int,
) -> dict[str, int | float]:
    """Measure zero-shot accuracy by attribute on the held-out rows among `uids`.

    `zero_shot_<attribute>` over all of them, `_heldout` over held-out combinations, `_seen` over the
    others; `_chance` is one of the number of values.
    """
    rows = truth.set_index("uid").reindex(uids).reset_index()
    heldout = (rows["split"] == "heldout").to_numpy()
    rows, units = rows[heldout], _unit(images[heldout])
    unseen = rows["heldout_kind"].notna().to_numpy()
    metrics: dict[str, int | float] = {}
    for kind in ("shape", "avatar"):
        own = (rows["kind"] == kind).to_numpy()
        for attribute in ATTRIBUTES[kind]:
            values = vocabulary(config)[attribute]
            if len(values) == 1:
                continue
            ensembles = prompts_of(attribute, kind, config, seed=seed)
            centres = np.stack([_unit(texts(ensembles[value])).mean(0) for value in values])
            named = np.array(values)[(units @ _unit(centres).T).argmax(1)]
            right = named == rows[attribute].to_numpy()
            name = f"zero_shot_{attribute}" if kind == "shape" else f"zero_shot_avatar_{attribute}"
            metrics |= share_metrics(name, int(right[own].sum()), int(own.sum()))
            metrics[f"{name}_chance"] = 1 / len(values)
            if kind == "shape":
                for which, part in (("heldout", own & unseen), ("seen", own & ~unseen)):
                    metrics |= share_metrics(f"{name}_{which}", int(right[part].sum()), int(part.sum()))
    return metrics


def _unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    vectors = vectors.astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
