"""What the decoder draws of held-out pairs, and its loss on them."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.corpus.images import contact_sheet
from unclip_pipeline.metrics.estimate import flatten, mean_of
from unclip_pipeline.models.prior import Text
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.seeds import seeded, seeded_numpy
from unclip_pipeline.training.decoder import decoder_batch
from unclip_pipeline.training.devices import autocast
from unclip_pipeline.training.loop import Loss
from unclip_pipeline.training.pairs import Pairs
from unclip_pipeline.training.prior import texts
from unclip_pipeline.unclip import SamplingConfig, draw_small

MOST_ROWS = 512
BATCH = 64
SHOWN = 16
SHOWN_SIDE_PX = 96


@dataclass(frozen=True)
class Previews:
    """The same held-out pairs drawn again and again from their true embeddings, with the same noise."""

    heldout: Pairs
    encoder: Encoder
    empty: Text
    seed: int

    def sheet(self, unet: Unet) -> Image.Image:
        """True pictures in the odd rows, below each what the decoder makes of its embedding."""
        rows = np.sort(seeded_numpy(self.seed, "preview").permutation(self.heldout.rows)[:SHOWN])
        uids = self.heldout.dataset.uids(rows)
        text = texts(self.heldout, rows, self.encoder, tokens=unet.config.text_tokens)
        drawn = draw_small(
            unet,
            self.heldout.image_embeddings(rows),
            text,
            self.empty,
            [seeded(self.seed, "preview", uid) for uid in uids],
            SamplingConfig(),
        )
        true = self.heldout.images(rows)
        half = SHOWN // 2
        pictures = torch.cat(
            [part[some] for some in (slice(half), slice(half, None)) for part in (true, drawn)]
        )
        return contact_sheet(list(pictures.permute(0, 2, 3, 1).cpu().numpy()), columns=half)


@torch.no_grad()
def validate(
    unet: Unet, heldout: Pairs, encoder: Encoder, loss: Loss, *, seed: int
) -> dict[str, float | int]:
    """Mean training loss on held-out rows, conditions dropped as in training."""
    rows = seeded_numpy(seed, "validate_decoder").permutation(heldout.rows)[:MOST_ROWS]
    values = []
    for start in range(0, len(rows), BATCH):
        batch = decoder_batch(heldout, rows[start : start + BATCH], encoder, tokens=unet.config.text_tokens)
        with autocast(unet.device):
            value, _ = loss(unet, batch, seeded(seed, "validate_decoder", start))
        values.append(value.item())
    return flatten({"validation_loss": mean_of(np.array(values))})
