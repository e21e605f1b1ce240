import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unclip_pipeline.cards.dataset_card import DatasetCard
from unclip_pipeline.corpus.embeddings import Embeddings, write_embeddings
from unclip_pipeline.corpus.files import SUCCESS
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.released import Dataset, verify_dataset
from unclip_pipeline.corpus.shards import Sample, write_shard
from unclip_pipeline.pipelines.release_dataset.nodes import describe, release
from unclip_pipeline.seeds import seeded_numpy

CARD = DatasetCard(name="tiny", motivation="To test.", uses="Tests.", limits="It is tiny.")
AUDIT = {
    "share_hair_long": 0.25,
    "share_hair_long_low": 0.1,
    "share_hair_long_high": 0.5,
    "share_hair_long_n": 12,
}
FATES = ["kept", "filter.unsafe", "kept", "deduplicate.exact", "kept", "scrape.http_404"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[pd.DataFrame, Path, Path]:
    """A ledger of six rows, its raw shards and its embeddings."""
    folder = tmp_path_factory.mktemp("release")
    uids = [f"{row:016x}" for row in range(6)]
    ledger = pd.DataFrame(
        {
            "uid": uids,
            "caption": [f"caption {row}" for row in range(6)],
            "licence": ["CC0-1.0", None, None, "CC0-1.0", "CC0-1.0", None],
            "split": ["train"] * 4 + ["heldout", "train"],
            "fate": FATES,
            "shard": ["00000", "00000", "00001", "00001", "00001", None],
            "width": pd.array([8] * 6, dtype="Int64"),
            "weight": [0.5, None, 1.5, None, None, None],
        }
    )
    for shard, rows in ledger.groupby("shard"):
        samples = [_sample(row.uid, row.caption) for row in rows.itertuples()]
        write_shard(folder / "raw" / f"{shard}.tar", samples)
        vectors = seeded_numpy(0, shard).standard_normal((2, len(rows), 16)).astype(np.float16)
        found = Embeddings(rows["uid"].to_numpy(), vectors[0], vectors[1], "tiny")
        write_embeddings(folder / "embeddings" / f"{shard}.parquet", found)
    return ledger, folder / "raw", folder / "embeddings"


def _sample(uid: str, caption: str) -> Sample:
    image = seeded_numpy(0, uid).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Sample(uid, encode_png(image), "png", caption, {})


@pytest.fixture(scope="module")
def folder(inputs, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("data") / "dataset"
    return release(*inputs, target, AUDIT, CARD)[0]


def test_only_kept_rows_are_released_with_their_weights(inputs, folder):
    ledger, *_ = inputs
    dataset = Dataset.open(folder)
    assert dataset.index["uid"].tolist() == ledger["uid"][ledger["fate"] == "kept"].tolist()
    assert dataset.index["weight"].tolist() == [0.5, 1.5, 1.0]
    assert len(dataset.rows("heldout")) == 1


def test_the_same_inputs_give_the_same_bytes(inputs, folder, tmp_path):
    again, _ = release(*inputs, tmp_path / "again", AUDIT, CARD)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert {"card.md", "croissant.json", "dataset.json", "index.parquet", SUCCESS} <= {
        file.name for file in files
    }
    for file in files:
        assert (folder / file).read_bytes() == (again / file).read_bytes(), file
    assert verify_dataset(again) == Dataset.open(folder).version


def test_a_release_that_fails_leaves_nothing(inputs, tmp_path):
    ledger, raw, embeddings = inputs
    wrong = ledger.assign(fate=ledger["fate"].replace("scrape.http_404", "kept"))
    with pytest.raises(ValueError, match="embeddings lack 1"):
        release(wrong, raw, embeddings, tmp_path / "dataset", AUDIT, CARD)
    assert list(tmp_path.iterdir()) == []


def test_the_card_says_what_is_inside_and_what_is_not(folder):
    card = (folder / "card.md").read_text()
    assert Dataset.open(folder).version in card
    assert "3 pairs of picture and caption in 2 shards: 2 to train on and 1 held out" in card
    assert "| filter | unsafe | -1 |" in card
    assert "| CC0-1.0 | 2 |" in card and "| not stated | 1 |" in card
    assert "| share hair long | 0.250 | 0.100 to 0.500 | 12 |" in card


def test_croissant_names_every_file_with_its_digest(folder):
    document = json.loads((folder / "croissant.json").read_text())
    assert document["@type"] == "sc:Dataset"
    assert document["version"] == Dataset.open(folder).version
    assert document["license"]
    files = {entry["contentUrl"]: entry["sha256"] for entry in document["distribution"]}
    assert set(files) == {"index.parquet", "shards/00000.tar", "shards/00001.tar"}
    for name, digest in files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    fields = {field["source"]["extract"]["column"] for field in document["recordSet"][0]["field"]}
    assert fields <= set(Dataset.open(folder).index)


def test_the_page_shows_kept_and_dropped_pictures(inputs, folder):
    ledger, raw, _ = inputs
    page = describe(ledger, raw, folder, {"rows": 3})
    for words in ("kept: 3", "filter.unsafe: 1", "deduplicate.exact: 1"):
        assert words in page
    assert "scrape.http_404: 1" not in page  # there is no picture of it


@pytest.mark.parametrize("field", ["name", "motivation", "uses", "limits"])
def test_a_card_must_say_something(field):
    said = {"name": "n", "motivation": "m", "uses": "u", "limits": "l"}
    with pytest.raises(ValueError, match=f"dataset_card.{field}"):
        DatasetCard(**said | {field: " "})
