"""What CLIP may see: fetched pictures that are not held out, and the part it is measured on."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.images import ImageDecodeError, decode_rgb, to_square
from unclip_pipeline.corpus.shards import read_shard, shard_paths
from unclip_pipeline.progress import progress
from unclip_pipeline.seeds import seed_of
from unclip_pipeline.training.distributed import from_main


class Pictures(NamedTuple):
    """Pictures at the encoder's side with their captions, in the order of the shards."""

    uids: list[str]
    captions: list[str]
    images: UInt8[np.ndarray, "n 3 s s"]


def training_uids(ledger: pd.DataFrame) -> list[str]:
    """Name the rows that may be learned from: fetched, and not held out by the list."""
    return sorted(ledger.loc[(ledger["fate"] == KEPT) & (ledger["split"] == "train"), "uid"])


def split_validation(uids: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Hold a share back by uid, so that the same pairs are held back whatever else the list holds."""
    held = [seed_of(0, "clip validation", uid) / 2**63 < share for uid in uids]
    return (
        [uid for uid, is_held in zip(uids, held, strict=True) if not is_held],
        [uid for uid, is_held in zip(uids, held, strict=True) if is_held],
    )


def read_pictures(raw_shards: Path, uids: Collection[str], side_px: int, store: Path) -> Pictures:
    """Decode these pictures into an array in the file `store`, which the system pages as it is read.

    What cannot be decoded is left out, as the filter will: shards of other origin may hold such bytes.
    Of several processes the main one decodes, and all of them read the file.
    """
    found, captions = from_main(lambda: _decoded(raw_shards, uids, side_px, store))
    return Pictures(found, captions, np.load(store, mmap_mode="c")[: len(found)])


def _decoded(
    raw_shards: Path, uids: Collection[str], side_px: int, store: Path
) -> tuple[list[str], list[str]]:
    """Write the pictures, and give uids and captions of those that could be decoded."""
    wanted, found, captions, broken = frozenset(uids), [], [], set()
    store.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(wanted), 3, side_px, side_px)
    images = np.lib.format.open_memmap(store, "w+", np.uint8, shape)
    for path in progress(shard_paths(raw_shards), label="train_clip: decoding", unit="shard"):
        for sample in read_shard(path):
            if sample.uid not in wanted:
                continue
            try:
                picture = decode_rgb(sample.image)
            except ImageDecodeError:
                broken.add(sample.uid)
                continue
            images[len(found)] = to_square(picture, side_px).transpose(2, 0, 1)
            found.append(sample.uid)
            captions.append(sample.caption)
    if missing := sorted(wanted - broken - set(found)):
        raise ValueError(
            f"the shards lack {len(missing)} of {len(wanted)} pictures that the scrape ledger keeps, such as "
            f"{missing[:3]}; run the pipeline `scrape` again"
        )
    images.flush()
    return found, captions
