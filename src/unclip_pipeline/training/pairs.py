"""Batches of a dataset version by position: what the prior, the decoder and the upsampler learn from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

from unclip_pipeline.corpus.epochs import batches_of
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.training.ahead import ReadAhead, reading_threads
from unclip_pipeline.training.loop import own_parts, part_size
from unclip_pipeline.training.optim import PairsTraining

PIXELS_KEPT_BYTES = 1 << 30  # decoded pictures up to this much stay in memory
AHEAD_BYTES = 1 << 30  # decoded pictures that wait for their step take no more
MEASURED_ROWS = 1 << 16  # enough for mean and deviation of embeddings

Rows = Int[np.ndarray, " b"]


class Read(NamedTuple):
    """What was read of some rows; pictures and embeddings for those who asked for them."""

    rows: Rows
    pictures: UInt8[Tensor, "b 3 s s"] | None
    image_embeddings: Float32[Tensor, "b d"] | None
    text_embeddings: Float32[Tensor, "b d"] | None

    def to(self, device: torch.device) -> "Read":
        """Move the tensors."""
        moved = (None if part is None else part.to(device, non_blocking=True) for part in self[1:])
        return Read(self.rows, *moved)

    def pinned(self) -> "Read":
        """Put the tensors where a GPU can fetch them by itself."""
        return Read(self.rows, *(None if part is None else part.pin_memory() for part in self[1:]))


@dataclass(frozen=True)
class Pairs:
    """Rows of a dataset version as tensors on one device."""

    dataset: Dataset
    rows: Int[np.ndarray, " n"]
    side_px: int = 0  # of the pictures, for those who read them
    device: torch.device = torch.device("cpu")
    _kept: "_Kept" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        fits = len(self.rows) * 3 * self.side_px**2 <= PIXELS_KEPT_BYTES
        object.__setattr__(self, "_kept", _Kept.none_of(len(self.rows) if fits else 0, self.side_px))

    def batches(self, batch_size: int, *, seed: int, mixed_shards: int = 0) -> Callable[[int], Rows]:
        """The rows at each position of the endless run of epochs, drawn by their sampling weights."""
        shards = self.dataset.shard_of[self.rows] if mixed_shards else None
        draw = batches_of(
            self.rows, self.dataset.weights(self.rows), seed=seed, shards=shards, mixed_shards=mixed_shards
        )
        return partial(draw, batch_size=batch_size)

    def ahead(self, config: PairsTraining, *, seed: int, embeddings: bool = True) -> Callable[[int], Read]:
        """What a training reads at each position, read in threads before it is asked for."""
        size, device = part_size(config), self.device
        rows_at = self.batches(size, seed=seed, mixed_shards=config.mixed_shards)
        dataset = self.dataset.in_whole_shards(config.mixed_shards)
        gpu = device.type == "cuda"

        def read(position: int) -> Read:
            found = self._on_host(rows_at(position), dataset, embeddings=embeddings)
            return found.pinned() if gpu else found

        threads = config.reading_threads or reading_threads()
        depth = max(1, min(2 * threads, AHEAD_BYTES // max(1, size * 3 * self.side_px**2)))
        started = partial(torch.cuda.set_device, torch.cuda.current_device()) if gpu else _nothing
        reads = ReadAhead(read, partial(following, config), depth=depth, threads=threads, started=started)
        return lambda position: reads(position).to(device)

    def read(self, rows: Rows, *, embeddings: bool = True) -> Read:
        """Read these rows now."""
        return self._on_host(rows, self.dataset, embeddings=embeddings).to(self.device)

    def images(self, rows: Rows) -> UInt8[Tensor, "b 3 s s"]:
        """Pictures, decoded once if all of them fit in memory."""
        return torch.from_numpy(self._pixels(rows, self.dataset)).to(self.device)

    def image_embeddings(self, rows: Rows) -> Float[Tensor, "b d"]:
        """Un-normalised CLIP embeddings of the pictures."""
        return torch.from_numpy(self.dataset.image_embeddings(rows)).to(self.device)

    def text_embeddings(self, rows: Rows) -> Float[Tensor, "b d"]:
        """Un-normalised CLIP embeddings of the captions."""
        return torch.from_numpy(self.dataset.text_embeddings(rows)).to(self.device)

    @property
    def measured_rows(self) -> Rows:
        """Enough rows to measure the embeddings by: all of them, or those of shards spread over the version."""
        if len(self.rows) <= MEASURED_ROWS:
            return self.rows
        shards = self.dataset.shard_of[self.rows]
        counts = np.bincount(shards)
        every = max(1, len(self.rows) // MEASURED_ROWS)
        some = np.flatnonzero(counts)[::every]
        return self.rows[np.isin(shards, some)]

    def _on_host(self, rows: Rows, dataset: Dataset, *, embeddings: bool) -> Read:
        is_all_read = embeddings and self.side_px and not len(self._kept.known)
        dataset = dataset.near(rows) if is_all_read else dataset
        return Read(
            rows,
            torch.from_numpy(self._pixels(rows, dataset)) if self.side_px else None,
            torch.from_numpy(dataset.image_embeddings(rows)) if embeddings else None,
            torch.from_numpy(dataset.text_embeddings(rows)) if embeddings else None,
        )

    def _pixels(self, rows: Rows, dataset: Dataset) -> UInt8[np.ndarray, "b 3 s s"]:
        kept, places = self._kept, np.searchsorted(self.rows, rows)
        if not len(kept.known):
            return dataset.images(rows, self.side_px)
        new = np.unique(places[~kept.known[places]])
        if len(new):
            kept.pixels[new] = dataset.images(self.rows[new], self.side_px)
            kept.known[new] = True  # after the pixels: another thread may look
        return kept.pixels[places]


class _Kept(NamedTuple):
    """Decoded pictures of all rows, and which of them are there."""

    pixels: UInt8[np.ndarray, "n 3 s s"]
    known: Bool[np.ndarray, " n"]

    @classmethod
    def none_of(cls, count: int, side_px: int) -> "_Kept":
        """Room for so many pictures, which takes memory as it fills."""
        return cls(np.empty((count, 3, side_px, side_px), np.uint8), np.zeros(count, bool))


def following(config: PairsTraining, position: int) -> int | None:
    """The position that this process reads after this one; None where training ends, or never comes by."""
    step = position - position % config.batch_size
    parts = own_parts(config, step)
    if position not in parts:
        return None
    place = parts.index(position) + 1
    if place < len(parts):
        return parts[place]
    return (
        own_parts(config, step + config.batch_size)[0] if step + config.batch_size < config.images else None
    )


def _nothing() -> None:
    pass
