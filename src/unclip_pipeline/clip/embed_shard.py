"""One shard of pairs in, one file of vectors out: whoever does it, the file is the same."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from unclip_pipeline.clip.encoder import Encoder, load_encoder
from unclip_pipeline.corpus.embeddings import Embeddings, embedder_of, write_embeddings
from unclip_pipeline.corpus.images import decode_rgb, to_square
from unclip_pipeline.corpus.shards import Sample, read_shard
from unclip_pipeline.weights import Weights

IMAGES_AT_ONCE = 256


@dataclass
class EmbedShard:
    """Embed a raw shard into `target`; the encoder is built once in each process that needs it."""

    weights: Weights
    target: Path

    @cached_property
    def _encoder(self) -> Encoder:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return load_encoder(self.weights, device)

    def __call__(self, shard: Path) -> int:
        """Write the vectors of a shard; returns its rows."""
        samples = list(read_shard(shard))
        embeddings = Embeddings(
            uid=np.array([sample.uid for sample in samples], dtype="U16"),
            image=_as_half(embed_images(self._encoder, samples), self._encoder.width),
            text=_as_half(self._encoder.texts([sample.caption for sample in samples]), self._encoder.width),
            embedder_id=self._encoder.embedder_id,
        )
        write_embeddings(embeddings_path(self.target, shard), embeddings)
        return len(samples)


def embed_images(encoder: Encoder, samples: list[Sample]) -> Float[Tensor, "n d"]:
    """Embed pictures in batches, each decoded and cut to the encoder's square."""
    parts = [torch.zeros(0, encoder.width)]
    for start in range(0, len(samples), IMAGES_AT_ONCE):
        squares = [
            to_square(decode_rgb(sample.image), encoder.image_side_px)
            for sample in samples[start : start + IMAGES_AT_ONCE]
        ]
        pixels = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)
        parts.append(encoder.images(pixels).float().cpu())
    return torch.cat(parts)


def embeddings_path(target: Path, shard: Path) -> Path:
    """Name the file that holds a shard's vectors."""
    return target / f"{shard.stem}.parquet"


def is_embedded(target: Path, shard: Path, embedder_id: str) -> bool:
    """Tell whether a shard has vectors of this embedder."""
    path = embeddings_path(target, shard)
    return path.is_file() and embedder_of(path) == embedder_id


def _as_half(vectors: Float[Tensor, "n d"], width: int) -> Float16[np.ndarray, "n d"]:
    return vectors.float().cpu().numpy().reshape(-1, width).astype(np.float16)
