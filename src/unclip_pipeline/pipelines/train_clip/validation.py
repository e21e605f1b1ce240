"""How well an encoder tells pairs apart that it was not trained on."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image

from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.corpus.images import contact_sheet
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.corpus.vectors import unit
from unclip_pipeline.pipelines.train_clip.corpus import Pictures

AMONG = 64
IMAGES_AT_ONCE = 256
SHOWN = 24


class Retrieval(NamedTuple):
    """For each picture, the row of the caption that was chosen among those of its group."""

    chosen: Int[np.ndarray, " n"]
    metrics: dict[str, int | float]


def retrieve(encoder: Encoder, pictures: Pictures) -> Retrieval:
    """Choose each picture's caption among 64; `retrieval_at_1` with its interval, chance beside it.

    Pairs beyond a multiple of 64 are left out. Equal captions are equally right.
    """
    n = len(pictures.uids) // AMONG * AMONG
    parts = torch.from_numpy(pictures.images[:n]).split(IMAGES_AT_ONCE)
    images = unit(torch.cat([encoder.images(part) for part in parts]).float().cpu().numpy()) if n else None
    texts = unit(encoder.texts(pictures.captions[:n]).float().cpu().numpy()) if n else None
    chosen = np.zeros(n, np.int64)
    for start in range(0, n, AMONG):
        group = slice(start, start + AMONG)
        chosen[group] = start + (images[group] @ texts[group].T).argmax(1)
    right = sum(pictures.captions[row] == pictures.captions[choice] for row, choice in enumerate(chosen))
    return Retrieval(chosen, share_metrics("retrieval_at_1", right, n) | {"retrieval_chance": 1 / AMONG})


def retrieval_sheet(pictures: Pictures, retrieval: Retrieval) -> Image.Image:
    """Show the first pictures with the captions that were chosen for them."""
    rows = range(min(SHOWN, len(retrieval.chosen)))
    chosen = [pictures.captions[retrieval.chosen[row]] for row in rows]
    return contact_sheet([pictures.images[row].transpose(1, 2, 0) for row in rows], chosen, side_px=128)
