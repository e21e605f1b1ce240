"""One shard of pairs in, one file of vectors out: whoever does it, the file is the same."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from unclip_pipeline.clip.captions import CaptionCache, as_half
from unclip_pipeline.clip.embed_config import FAST, FLOAT32, EmbedConfig
from unclip_pipeline.clip.encoder import Encoder, load_encoder
from unclip_pipeline.clip.pictures import Picture, make_preparation
from unclip_pipeline.clip.prefetch import map_ahead
from unclip_pipeline.corpus.embeddings import Embeddings, is_embedding_of, write_embeddings
from unclip_pipeline.corpus.images import ImageDecodeError
from unclip_pipeline.corpus.shards import Sample, read_shard
from unclip_pipeline.weights import Weights

DECODED_AT_ONCE = 32  # pictures, by one thread
BATCHES_AHEAD = 2  # decoded and not yet embedded


NO_PICTURES = np.empty((0, 0, 0, 3), np.uint8)


class Decoded(NamedTuple):
    """Pairs of one batch: those with a picture, and the reasons of those without."""

    uids: list[str]
    captions: list[str]
    pixels: UInt8[Tensor, "n 3 s s"]
    undecodable: dict[str, str]


@dataclass
class EmbedShard:
    """Embed a raw shard into the folder `target`; each process builds the encoder once.

    `dtype` is the settled one, never "auto"; `torch_threads` are those of a process, 0 leaves them alone.
    """

    weights: Weights
    target: Path
    device: str = "cpu"
    config: EmbedConfig = field(default_factory=EmbedConfig)
    dtype: str = FLOAT32
    torch_threads: int = 0

    @cached_property
    def _encoder(self) -> Encoder:
        if self.torch_threads:
            torch.set_num_threads(self.torch_threads)
        return load_encoder(self.weights, self.device, mode=self.config.mode, dtype=self.dtype)

    @cached_property
    def _captions(self) -> CaptionCache:
        return CaptionCache(self._encoder, self.config.cached_captions)

    def __call__(self, shard: Path) -> int:
        """Write the vectors of a shard and return how many pairs it holds, undecodable ones included."""
        uids, captions, undecodable = [], [], {}
        images = [np.empty((0, self._encoder.width), np.float16)]
        for batch in self._batches(shard):
            uids += batch.uids
            captions += batch.captions
            undecodable |= batch.undecodable
            if batch.uids:
                images.append(as_half(self._encoder.images(batch.pixels)))
        found = Embeddings(
            np.array(uids, dtype=str), np.concatenate(images), self._captions.texts(captions),
            self._encoder.embedder_id, undecodable,
        )  # fmt: skip
        write_embeddings(embeddings_path(self.target, shard), found, source=shard_digest(shard))
        return len(uids) + len(undecodable)

    def _batches(self, shard: Path) -> Iterator[Decoded]:
        """Decode the shard's batches beside whatever the caller does with the last one."""
        threads = self.config.decoders or (1 if self.device == "cpu" else os.cpu_count() or 1)
        size = min(DECODED_AT_ONCE, self.config.images_at_once)
        pieces_at_once = self.config.images_at_once // size  # whatever the threads: batches move last bits
        prepare = make_preparation(
            self.weights.config["architecture"]["preprocessing"], fast=self.config.mode == FAST
        )
        done = map_ahead(
            lambda piece: decode(piece, prepare),
            _pieces(read_shard(shard), size),
            threads=threads,
            ahead=BATCHES_AHEAD * pieces_at_once,
        )
        while group := list(islice(done, pieces_at_once)):
            yield _joined(group)


def decode(samples: list[Sample], prepare: Callable[[bytes], Picture]) -> Decoded:
    """Make the pixels of samples; one that is no whole image is set aside with its reason."""
    seen: list[Sample] = []
    squares: list[Picture] = []
    undecodable = {}
    for sample in samples:
        try:
            squares.append(prepare(sample.image))
        except ImageDecodeError as fault:
            undecodable[sample.uid] = f"undecodable: {fault}"
        else:
            seen.append(sample)
    pixels = torch.from_numpy(np.stack(squares) if squares else NO_PICTURES).permute(0, 3, 1, 2)
    return Decoded([s.uid for s in seen], [s.caption for s in seen], pixels, undecodable)


def embeddings_path(target: Path, shard: Path) -> Path:
    """Name the file that holds a shard's vectors."""
    return target / f"{shard.stem}.parquet"


def is_embedded(target: Path, shard: Path, embedder_id: str) -> bool:
    """Tell whether the vectors of just these pairs by just this embedder are there."""
    path = embeddings_path(target, shard)
    return path.is_file() and is_embedding_of(path, embedder_id=embedder_id, source=shard_digest(shard))


def shard_digest(shard: Path) -> str:
    """Name a shard by 16 hex digits of its sha256."""
    with shard.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _pieces(samples: Iterator[Sample], size: int) -> Iterator[list[Sample]]:
    while piece := list(islice(samples, size)):
        yield piece


def _joined(pieces: list[Decoded]) -> Decoded:
    return Decoded(
        [uid for piece in pieces for uid in piece.uids],
        [caption for piece in pieces for caption in piece.captions],
        torch.cat([piece.pixels for piece in pieces if piece.uids] or [pieces[0].pixels]),
        {uid: reason for piece in pieces for uid, reason in piece.undecodable.items()},
    )
