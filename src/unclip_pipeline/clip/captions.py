"""Vectors of captions that came before, as many as are allowed to be kept."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float16
from torch import Tensor

from unclip_pipeline.clip.encoder import Encoder


class CaptionCache:
    """The most recently used captions with their vectors."""

    def __init__(self, encoder: Encoder, most: int) -> None:
        self._encoder = encoder
        self._most = most
        self._known: OrderedDict[str, Float16[np.ndarray, " d"]] = OrderedDict()

    def texts(self, captions: Sequence[str]) -> Float16[np.ndarray, "n d"]:
        """Embed captions; those that are new together, each once."""
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._known]
        found = dict(zip(new, as_half(self._encoder.texts(new)), strict=True))
        rows = np.empty((len(captions), self._encoder.width), np.float16)
        for row, caption in enumerate(captions):
            rows[row] = found[caption] if caption in found else self._known[caption]
        self._keep(captions, found)
        return rows

    def _keep(self, captions: Sequence[str], found: dict[str, Float16[np.ndarray, " d"]]) -> None:
        for caption in dict.fromkeys(captions):
            if caption in found:
                self._known[caption] = found[caption]
            self._known.move_to_end(caption)
        while len(self._known) > self._most:
            self._known.popitem(last=False)


def as_half(vectors: Float[Tensor, "n d"]) -> Float16[np.ndarray, "n d"]:
    """Bring vectors to the type they are stored in."""
    return vectors.float().cpu().numpy().astype(np.float16)
