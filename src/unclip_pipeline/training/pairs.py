"""Batches of a dataset version by position: what the prior, the decoder and the upsampler learn from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from unclip_pipeline.corpus.released import Dataset, batch_rows

PIXELS_KEPT_BYTES = 1 << 30  # decoded pictures up to this much stay in memory

Rows = Int[np.ndarray, " b"]


@dataclass(frozen=True)
class Pairs:
    """Rows of a dataset version as tensors on one device."""

    dataset: Dataset
    rows: Int[np.ndarray, " n"]
    side_px: int = 0  # of the pictures, for those who read them
    device: torch.device = torch.device("cpu")

    def batches(self, batch_size: int, *, seed: int) -> Callable[[int], Rows]:
        """The rows at each position of the endless run of epochs, drawn by their sampling weights."""
        weights = self.dataset.weights(self.rows)

        def at(images_seen: int) -> Rows:
            return batch_rows(self.rows, weights, seed=seed, images_seen=images_seen, batch_size=batch_size)

        return at

    def images(self, rows: Rows) -> UInt8[Tensor, "b 3 s s"]:
        """Pictures, decoded once if all of them fit in memory."""
        if len(self.rows) * 3 * self.side_px**2 > PIXELS_KEPT_BYTES:
            return torch.from_numpy(self.dataset.images(rows, self.side_px)).to(self.device)
        return self._decoded[torch.from_numpy(np.searchsorted(self.rows, rows))].to(self.device)

    def image_embeddings(self, rows: Rows) -> Float[Tensor, "b d"]:
        """Un-normalised CLIP embeddings of the pictures."""
        return torch.from_numpy(self.dataset.image_embeddings(rows)).to(self.device)

    def text_embeddings(self, rows: Rows) -> Float[Tensor, "b d"]:
        """Un-normalised CLIP embeddings of the captions."""
        return torch.from_numpy(self.dataset.text_embeddings(rows)).to(self.device)

    @cached_property
    def _decoded(self) -> UInt8[Tensor, "n 3 s s"]:
        return torch.from_numpy(self.dataset.images(self.rows, self.side_px))
