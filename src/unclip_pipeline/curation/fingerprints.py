"""Which pictures passed the filters, and the fingerprints of these and no others."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.images import decode_rgb
from unclip_pipeline.corpus.shards import read_shard
from unclip_pipeline.corpus.vectors import rows_of
from unclip_pipeline.curation.pictures import Fingerprints, fingerprint, stack


@dataclass(frozen=True)
class ShardFingerprints:
    """Takes the fingerprints of the wanted pictures of a shard; can travel between processes."""

    wanted: frozenset[str]

    def __call__(self, shard: Path) -> Fingerprints:
        """Read one shard."""
        samples = (sample for sample in read_shard(shard) if sample.uid in self.wanted)
        return stack([(sample.uid, fingerprint(decode_rgb(sample.image))) for sample in samples])


def passed_rows(scrape_ledger: pd.DataFrame, filter_verdicts: pd.DataFrame) -> pd.DataFrame:
    """Choose the rows of the ledger that passed the filters, with their similarity."""
    passed = filter_verdicts.loc[filter_verdicts["fate"] == KEPT, ["uid", "similarity"]]
    if passed.empty:
        raise ValueError(
            f"there is nothing to deduplicate: none of {len(filter_verdicts)} pairs passed the filters; look "
            "at `filter_report` and lower its thresholds"
        )
    rows = passed.merge(scrape_ledger.drop(columns="fate"), on="uid", validate="one_to_one")
    if len(rows) < len(passed):
        strange = sorted(set(passed["uid"]) - set(rows["uid"]))
        raise ValueError(
            f"filter_verdicts names {len(strange)} uids that scrape_ledger lacks, such as {strange[:3]}; run "
            "the pipeline `filter` again"
        )
    return rows


def shards_of(rows: pd.DataFrame, raw_shards: Path) -> list[Path]:
    """Find the shards of these rows; raises FileNotFoundError naming the first that is missing."""
    shards = [raw_shards / f"{name}.tar" for name in sorted(set(rows["shard"]))]
    for shard in shards:
        if not shard.is_file():
            raise FileNotFoundError(f"there is no {shard}; run the pipeline `scrape` again")
    return shards


def join_fingerprints(parts: list[Fingerprints], uids: list[str]) -> Fingerprints:
    """Put the fingerprints of several shards together, in the order of these uids."""
    whole = Fingerprints(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    rows = rows_of(whole.uid, uids, what="the images of the raw shards")
    return Fingerprints(*(column[rows] for column in whole))
