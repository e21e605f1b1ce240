import numpy as np
import pandas as pd
import pytest

from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.shards import Sample, write_shard
from unclip_pipeline.curation.fingerprints import (
    ShardFingerprints,
    join_fingerprints,
    passed_rows,
    shards_of,
)
from unclip_pipeline.curation.pictures import fingerprint, stack

LEDGER = pd.DataFrame({"uid": ["a", "b"], "fate": ["kept", "kept"], "shard": ["00000", "00001"]})


def verdicts(*fates: str) -> pd.DataFrame:
    return pd.DataFrame({"uid": ["a", "b"], "similarity": [0.5, 0.6], "fate": fates})


def test_rows_that_passed_keep_their_similarity():
    rows = passed_rows(LEDGER, verdicts("filter.unsafe", "kept"))
    assert rows[["uid", "similarity", "shard"]].to_numpy().tolist() == [["b", 0.6, "00001"]]


def test_an_empty_selection_says_where_to_look():
    with pytest.raises(ValueError, match="none of 2 pairs passed the filters; look at `filter_report`"):
        passed_rows(LEDGER, verdicts("filter.unsafe", "filter.unsafe"))


def test_verdicts_of_unknown_pairs_are_refused():
    with pytest.raises(ValueError, match="uids that scrape_ledger lacks, such as .'b'.; run the pipeline"):
        passed_rows(LEDGER.head(1), verdicts("kept", "kept"))


def test_a_missing_shard_is_named(tmp_path):
    (tmp_path / "00000.tar").touch()
    with pytest.raises(FileNotFoundError, match="00001.tar; run the pipeline `scrape` again"):
        shards_of(LEDGER, tmp_path)


def test_wanted_pictures_are_read_in_the_wanted_order_and_others_not_even_decoded(tmp_path):
    images = [np.full((64, 64, 3), 40 * number, np.uint8) for number in range(4)]
    samples = [
        Sample(uid, encode_png(image), "png", "", {}) for uid, image in zip("abcd", images, strict=True)
    ]
    samples[1] = samples[1]._replace(image=b"no image")
    write_shard(tmp_path / "00000.tar", samples[:2])
    write_shard(tmp_path / "00001.tar", samples[2:])
    read = ShardFingerprints(frozenset("adc"))
    parts = [read(tmp_path / f"{shard}.tar") for shard in ("00001", "00000")]
    joined = join_fingerprints(parts, ["d", "a", "c"])
    assert joined.uid.tolist() == ["d", "a", "c"]
    assert joined.cells[:, 0, 0, 0].tolist() == [120, 0, 80]


def test_a_picture_without_fingerprint_is_named():
    image = np.zeros((64, 64, 3), np.uint8)
    prints = stack([("a", fingerprint(image))])
    assert join_fingerprints([prints], ["a"]).uid.tolist() == ["a"]
    with pytest.raises(ValueError, match="lack 1 of 2 uids, such as .'b'."):
        join_fingerprints([prints], ["a", "b"])
