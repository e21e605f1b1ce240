"""Weights of a network: safetensors beside a JSON that says what they are. Never pickle."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from unclip_pipeline.corpus.files import atomic_folder

TENSORS = "model.safetensors"
CONFIG = "config.json"


class Weights(NamedTuple):
    """Tensors by name and JSON-able facts about them (architecture, dataset version, embedder id, ...)."""

    tensors: dict[str, Tensor]
    config: dict[str, Any]


def weights_digest(tensors: dict[str, Tensor]) -> str:
    """Name weights by 16 hex digits of sha256 over sorted names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def save_weights(weights: Weights, folder: Path) -> None:
    """Write a weights folder; it appears whole or not at all."""
    with atomic_folder(folder) as part:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.tensors.items()}
        save_file(tensors, part / TENSORS)
        (part / CONFIG).write_text(json.dumps(weights.config, indent=2, sort_keys=True) + "\n")


def load_weights(folder: Path) -> Weights:
    """Read a weights folder."""
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"no weights at {folder}: run the pipeline that trains them first")
    return Weights(load_file(folder / TENSORS), json.loads((folder / CONFIG).read_text()))
