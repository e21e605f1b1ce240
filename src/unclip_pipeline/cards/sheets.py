"""Contact sheets of pictures that are named by uid."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.corpus.images import contact_sheet, decode_rgb
from unclip_pipeline.corpus.shards import Sample, read_shard

COLUMNS = 10
SIDE_PX = 96


def find_samples(raw_shards: Path, rows: pd.DataFrame) -> dict[str, Sample]:
    """Read the samples of these rows (uid, shard), each shard once."""
    wanted = dict(zip(rows["uid"], rows["shard"], strict=True))
    return {
        sample.uid: sample
        for shard in sorted(set(wanted.values()))
        for sample in read_shard(raw_shards / f"{shard}.tar")
        if sample.uid in wanted
    }


def sheet(
    samples: dict[str, Sample],
    uids: Sequence[str],
    title: str,
    *,
    notes: Iterable[str] = (),
) -> str:
    """Show pictures under a title, each with a note (its caption if none are given)."""
    if not len(uids):
        return html.paragraph(f"{title}: there are none.")
    pictures = [decode_rgb(samples[uid].image) for uid in uids]
    side_px = min(SIDE_PX, max(max(picture.shape[:2]) for picture in pictures))
    written = list(notes) or [samples[uid].caption for uid in uids]
    return html.picture(contact_sheet(pictures, written, COLUMNS, max(48, side_px)), title)
