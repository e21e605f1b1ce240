"""Sheets of pictures that are named by uid."""

import io
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from PIL import Image

from unclip_pipeline.cards import gallery, html
from unclip_pipeline.corpus.images import decode_rgb
from unclip_pipeline.corpus.shards import Sample, read_shard

SIDE_PX = 96
NOTE_CHARACTERS = 80


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
    written = list(notes) or [samples[uid].caption for uid in uids]
    pictures = [
        gallery.Picture(thumbnail(samples[uid].image), _shortened(note))
        for uid, note in zip(uids, written, strict=True)
    ]
    return _titled(title, pictures)


def pairs(
    samples: dict[str, Sample], first: Sequence[str], second: Sequence[str], title: str, notes: Sequence[str]
) -> str:
    """Show pictures two by two, each pair with a note."""
    pictures = [
        gallery.Picture(thumbnail(samples[one].image), note, beside=thumbnail(samples[other].image))
        for one, other, note in zip(first, second, notes, strict=True)
    ]
    return _titled(title, pictures)


def thumbnail(data: bytes, side_px: int = SIDE_PX) -> bytes:
    """Scale a picture down to fit a square, whole, and encode it small; a smaller one keeps its size."""
    picture = Image.fromarray(decode_rgb(data))
    picture.thumbnail((side_px, side_px))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90, subsampling=0)
    return stream.getvalue()


def _titled(title: str, pictures: Sequence[gallery.Picture]) -> str:
    if not pictures:
        return html.paragraph(f"{title}: there are none.")
    return html.heading(title) + gallery.grid(pictures, small=True)


def _shortened(note: str) -> str:
    return textwrap.shorten(note, NOTE_CHARACTERS, placeholder=" …")
