"""The folder that is the model: weights of all parts, how to sample, and the card."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from unclip_pipeline.corpus.files import atomic_folder
from unclip_pipeline.unclip import SamplingConfig
from unclip_pipeline.weights import Weights, save_weights, weights_digest

CARD = "MODEL_CARD.md"


def parts_table(parts: Mapping[str, Weights]) -> pd.DataFrame:
    """List the parts with their sizes, what they saw, and digests of their weights."""
    rows = [
        {
            "part": name,
            "parameters": sum(tensor.numel() for tensor in weights.tensors.values()),
            "images_seen": weights.config.get("images_seen"),
            "digest": weights_digest(weights.tensors),
        }
        for name, weights in parts.items()
    ]
    return pd.DataFrame(rows)


def write_bundle(
    target: Path, parts: Mapping[str, Weights], sampling: SamplingConfig, facts: Mapping[str, str], card: str
) -> Path:
    """Write the bundle whole; `facts` go into unclip.json beside the sampling settings and the digests."""
    description = {
        "format": 1,
        **facts,
        "cascade": [name for name, part in parts.items() if part.config["kind"] == "upsampler"],
        "sampling": asdict(sampling),
        "weights": {name: weights_digest(weights.tensors) for name, weights in parts.items()},
    }
    with atomic_folder(target) as folder:
        for name, weights in parts.items():
            save_weights(weights, folder / name)
        (folder / "unclip.json").write_text(json.dumps(description, indent=2, sort_keys=True) + "\n")
        (folder / CARD).write_text(card)
    return target
