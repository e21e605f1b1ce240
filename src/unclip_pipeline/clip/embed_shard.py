"""One shard of pairs in, one file of vectors out: whoever does it, the file is the same."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unclip_pipeline.clip.encoder import Encoder, load_encoder
from unclip_pipeline.corpus.embeddings import Embeddings, is_embedding_of, write_embeddings
from unclip_pipeline.corpus.images import decode_rgb, to_square
from unclip_pipeline.corpus.shards import Sample, read_shard
from unclip_pipeline.weights import Weights

PAIRS_AT_ONCE = 256


@dataclass
class EmbedShard:
    """Embed a raw shard into the folder `target`; each process builds the encoder once."""

    weights: Weights
    target: Path
    device: str = "cpu"

    @cached_property
    def _encoder(self) -> Encoder:
        return load_encoder(self.weights, self.device)

    def __call__(self, shard: Path) -> int:
        """Write the vectors of a shard and return how many pairs it holds."""
        uids: list[str] = []
        captions: list[str] = []
        images = [torch.empty(0, self._encoder.width)]
        for samples in _parts(read_shard(shard)):
            uids += [sample.uid for sample in samples]
            captions += [sample.caption for sample in samples]
            images.append(self._encoder.images(_pixels(samples, self._encoder.image_side_px)).float().cpu())
        texts = self._encoder.texts(captions)
        write_embeddings(
            embeddings_path(self.target, shard),
            Embeddings(
                np.array(uids, dtype=str), _half(torch.cat(images)), _half(texts), self._encoder.embedder_id
            ),
            source=shard_digest(shard),
        )
        return len(uids)


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


def _parts(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    while part := list(islice(samples, PAIRS_AT_ONCE)):
        yield part


def _pixels(samples: list[Sample], side_px: int) -> UInt8[Tensor, "b 3 s s"]:
    squares = [to_square(decode_rgb(sample.image), side_px) for sample in samples]
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


def _half(vectors: Float[Tensor, "n d"]) -> np.ndarray:
    return vectors.float().cpu().numpy().astype(np.float16)
