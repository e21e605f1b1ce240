"""What CLIP may see: fetched pictures that are not held out, and the part it is measured on."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.images import decode_rgb, to_square
from unclip_pipeline.corpus.shards import read_shard, shard_paths
from unclip_pipeline.progress import progress
from unclip_pipeline.seeds import seed_of


class Pictures(NamedTuple):
    """Pictures at the encoder's side with their captions."""

    uids: list[str]
    captions: list[str]
    images: UInt8[np.ndarray, "n 3 s s"]

    def part(self, rows: np.ndarray) -> "Pictures":
        """Take the rows that a mask marks."""
        places = np.flatnonzero(rows)
        return Pictures(
            [self.uids[place] for place in places],
            [self.captions[place] for place in places],
            self.images[places],
        )


def read_pictures(raw_shards: Path, ledger: pd.DataFrame, side_px: int) -> Pictures:
    """Decode every kept picture of the split `train`; rows that the list holds out are never read."""
    allowed = set(ledger.loc[(ledger["fate"] == KEPT) & (ledger["split"] == "train"), "uid"])
    images = np.empty((len(allowed), 3, side_px, side_px), np.uint8)
    uids: list[str] = []
    captions: list[str] = []
    for path in progress(shard_paths(raw_shards), label="train_clip: decoding", unit="shard"):
        for sample in read_shard(path):
            if sample.uid in allowed:
                images[len(uids)] = to_square(decode_rgb(sample.image), side_px).transpose(2, 0, 1)
                uids.append(sample.uid)
                captions.append(sample.caption)
    if len(uids) < len(allowed):
        raise ValueError(
            f"the scrape ledger keeps {len(allowed)} pictures for training, the shards hold {len(uids)}; "
            "run the pipeline `scrape` again"
        )
    return Pictures(uids, captions, images)


def split_validation(pictures: Pictures, share: float) -> tuple[Pictures, Pictures]:
    """Hold a share back by uid, so that the same pictures are held back whatever the list's order."""
    held = np.array([seed_of(0, "clip validation", uid) / 2**63 < share for uid in pictures.uids])
    return pictures.part(~held), pictures.part(held)
