"""What pixels and caption of each pair measure: one parquet per shard, kept when thresholds change.

A file carries the digest of its shard and the version of the measures, so a later run takes it over
unless the shard or a measure has changed.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unclip_pipeline.corpus.files import atomic_path
from unclip_pipeline.corpus.images import ImageDecodeError, decode_rgb
from unclip_pipeline.corpus.shards import read_shard
from unclip_pipeline.curation.captions import CaptionMeasures, measure_caption
from unclip_pipeline.curation.languages import LanguageGuess, guess_language
from unclip_pipeline.curation.looks import PictureMeasures, measure_picture

VERSION = "1"  # another one whenever a measure changes: what was measured before is measured again
COLUMNS = ("uid", "image_error", *PictureMeasures._fields, *CaptionMeasures._fields, *LanguageGuess._fields)
_SOURCE, _VERSION = b"source", b"measures"


@dataclass(frozen=True)
class MeasureShard:
    """Measure the pairs of a raw shard into the folder `target`; returns how many there are."""

    target: Path

    def __call__(self, shard: Path) -> int:
        table = measure_shard(shard)
        facts = {_SOURCE: _digest(shard), _VERSION: VERSION.encode()}
        columns = pa.Table.from_pandas(table, preserve_index=False)
        with atomic_path(measures_path(self.target, shard)) as temporary:
            pq.write_table(columns.replace_schema_metadata(facts), temporary)
        return len(table)


def measure_shard(shard: Path) -> pd.DataFrame:
    """Measure every pair of a shard; what captions share is measured once."""
    said: dict[str, tuple[object, ...]] = {}
    rows = []
    for sample in read_shard(shard):
        if sample.caption not in said:
            said[sample.caption] = (*measure_caption(sample.caption), *guess_language(sample.caption))
        rows.append((sample.uid, *_look(sample.image), *said[sample.caption]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _look(image: bytes) -> tuple[str | float, ...]:
    """Measure the pixels; bytes that are no image have the decoder's words for it, and no measures."""
    try:
        return ("", *measure_picture(decode_rgb(image)))
    except ImageDecodeError as fault:
        return (str(fault) or "not decodable", *[math.nan] * len(PictureMeasures._fields))


def measures_path(target: Path, shard: Path) -> Path:
    """Name the file that holds a shard's measures."""
    return target / f"{shard.stem}.parquet"


def is_measured(target: Path, shard: Path) -> bool:
    """Tell whether the measures of just this shard, by just these measures, are there."""
    path = measures_path(target, shard)
    if not path.is_file():
        return False
    try:
        facts = pq.read_schema(path).metadata or {}
    except pa.ArrowInvalid:
        return False
    return (facts.get(_SOURCE), facts.get(_VERSION)) == (_digest(shard), VERSION.encode())


def read_measures(folder: Path) -> pd.DataFrame:
    """Read the measures of all shards."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"no measures in {folder}: run the pipeline `filter` from its first node")
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def _digest(shard: Path) -> bytes:
    with shard.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16].encode()
