"""How well an encoder tells pairs apart that it was not trained on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int
from PIL import Image

from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.clip.zero_shot import Question, answer
from unclip_pipeline.corpus.images import contact_sheet
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.corpus.vectors import unit
from unclip_pipeline.pipelines.train_clip.corpus import Pictures

AMONG = 64
IMAGES_AT_ONCE = 256
SHOWN = 24


class Validation(NamedTuple):
    """For each picture, the row of the caption that was chosen among those of its group."""

    chosen: Int[np.ndarray, " n"]
    metrics: dict[str, int | float]


def validate(encoder: Encoder, pictures: Pictures, asked: Sequence[Question]) -> Validation:
    """Retrieve captions, and ask what the pictures show."""
    parts = torch.from_numpy(pictures.images).split(IMAGES_AT_ONCE) if len(pictures.uids) else ()
    found = [encoder.images(part).float().cpu().numpy() for part in parts]
    images = unit(np.concatenate(found), pictures.uids) if found else np.empty((0, 1), np.float32)
    retrieved = retrieve(encoder, images, pictures.captions)
    return retrieved._replace(metrics=retrieved.metrics | answer(encoder, images, asked))


def retrieve(encoder: Encoder, images: Float32[np.ndarray, "n d"], captions: Sequence[str]) -> Validation:
    """Choose each picture's caption among 64; `retrieval_at_1` with its interval, chance beside it.

    `images` are unit vectors. Pairs beyond a multiple of 64 are left out; equal captions are equally right.
    """
    n = len(images) // AMONG * AMONG
    texts = unit(encoder.texts(captions[:n]).float().cpu().numpy()) if n else images
    chosen = np.zeros(n, np.int64)
    for start in range(0, n, AMONG):
        group = slice(start, start + AMONG)
        chosen[group] = start + (images[group] @ texts[group].T).argmax(1)
    right = sum(captions[row] == captions[choice] for row, choice in enumerate(chosen))
    return Validation(
        chosen, share_metrics("retrieval_at_1", right, n) | {"retrieval_at_1_chance": 1 / AMONG}
    )


def retrieval_sheet(pictures: Pictures, validation: Validation) -> Image.Image:
    """Show the first pictures with the captions that were chosen for them."""
    rows = range(min(SHOWN, len(validation.chosen)))
    chosen = [pictures.captions[validation.chosen[row]] for row in rows]
    return contact_sheet([pictures.images[row].transpose(1, 2, 0) for row in rows], chosen, side_px=128)
