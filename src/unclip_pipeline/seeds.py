"""Randomness as an argument, keyed by where we are.

A generator is derived from the run's seed and a path of names and numbers such as
``("train_prior", images_seen)``: a resumed run draws what the unbroken run would have drawn.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_of(seed: int, *where: str | int) -> int:
    """Derive a 63-bit seed from the run's seed and a place."""
    digest = hashlib.sha256(repr((seed, where)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seeded_numpy(seed: int, *where: str | int) -> np.random.Generator:
    """Make numpy's generator for this place."""
    return np.random.default_rng(seed_of(seed, *where))


def seeded(seed: int, *where: str | int) -> "torch.Generator":
    """Make torch's CPU generator for this place."""
    import torch

    return torch.Generator().manual_seed(seed_of(seed, *where))
