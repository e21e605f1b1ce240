import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from unclip_pipeline.corpus.embeddings import Embeddings, write_embeddings
from unclip_pipeline.corpus.shards import Sample, write_shard
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.engines import EngineConfig
from unclip_pipeline.pipelines.deduplicate.nodes import deduplicate, describe, take_fingerprints
from unclip_pipeline.seeds import seeded_numpy

CONFIG = DuplicateConfig()
UIDS = [f"{row:016x}" for row in range(5)]  # 1 is a fainter 0, 4 has not passed
CAPTIONS = ["the clock at one", "the same again", "the clock at two", "the clock at three", "a bad one"]


def picture(number: int) -> np.ndarray:
    random = seeded_numpy(number, "picture")
    coarse = np.kron(random.integers(40, 216, (4, 4, 3)), np.ones((16, 16, 1)))
    return (coarse + 4 * random.standard_normal((64, 64, 3))).clip(0, 255).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, pd.DataFrame, pd.DataFrame]:
    """Raw shards, embeddings, ledger and verdicts of five pictures."""
    folder = tmp_path_factory.mktemp("corpus")
    images = [picture(0), (picture(0) * 0.99).astype(np.uint8), picture(2), picture(3), picture(4)]
    samples = [
        Sample(uid, png(image), "png", caption, {})
        for uid, image, caption in zip(UIDS, images, CAPTIONS, strict=True)
    ]
    ledger = pd.DataFrame(
        {
            "uid": UIDS, "caption": CAPTIONS, "split": ["heldout", *["train"] * 4], "fate": "kept",
            "sha256": UIDS, "shard": ["00000"] * 3 + ["00001"] * 2,
            "width": pd.array([64] * 5, dtype="Int64"), "height": pd.array([64] * 5, dtype="Int64"),
        }
    )  # fmt: skip
    fates = ["kept"] * 4 + ["filter.unsafe"]
    verdicts = pd.DataFrame({"uid": UIDS, "similarity": 0.5, "fate": fates})
    vectors = np.eye(5, 8)
    vectors[1, 0], vectors[1, 1] = 1, 0.05
    for shard, places in (("00000", slice(0, 3)), ("00001", slice(3, 5))):
        (folder / "shards").mkdir(exist_ok=True)
        write_shard(folder / "shards" / f"{shard}.tar", samples[places])
        half = vectors[places].astype(np.float16)
        write_embeddings(
            folder / "embeddings" / f"{shard}.parquet",
            Embeddings(np.array(UIDS[places]), half, half, "clip/a"),
        )
    return folder / "shards", folder / "embeddings", ledger, verdicts


def test_the_stage_finds_the_copy_proves_the_rest_and_shows_it(corpus):
    shards, embeddings, ledger, verdicts = corpus
    prints = take_fingerprints(shards, ledger, verdicts, EngineConfig(processes=1))
    assert prints.uid.tolist() == UIDS[:4]
    found, families, metrics = deduplicate(ledger, verdicts, embeddings, prints, CONFIG, 0)
    assert found["fate"].tolist() == ["kept", "deduplicate.perceptual", "kept", "kept"]
    assert metrics["decontamination_left"] == 0
    assert metrics["probe_recall"] == 1
    assert metrics["dropped_for_heldout"] == 1
    page = describe(found, families, metrics, ledger, shards, CONFIG)
    assert "3 of 4 pictures are kept" in page
    assert "1 training pictures gave way to a held-out one" in page
    assert "and 0 are one picture" in page
    assert "100.0000%" in page


def test_embeddings_that_are_missing_or_strange_are_named(corpus, tmp_path):
    shards, embeddings, ledger, verdicts = corpus
    prints = take_fingerprints(shards, ledger, verdicts, EngineConfig(processes=1))
    one = tmp_path / "00000.parquet"
    one.write_bytes((embeddings / "00000.parquet").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"00001.parquet; run the pipeline `embed` again"):
        deduplicate(ledger, verdicts, tmp_path, prints, CONFIG, 0)
    half = np.ones((2, 8), np.float16)
    write_embeddings(tmp_path / "00001.parquet", Embeddings(np.array(UIDS[3:]), half, half, "other/b"))
    with pytest.raises(ValueError, match=r"different embedders .*clip/a"):
        deduplicate(ledger, verdicts, tmp_path, prints, CONFIG, 0)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_vector_that_has_no_direction_is_refused_by_name(corpus, tmp_path, value, monkeypatch):
    """As another tool may have written it: our own does not."""
    monkeypatch.setattr("unclip_pipeline.corpus.embeddings._not_finite", lambda embeddings: "")
    shards, _, ledger, verdicts = corpus
    prints = take_fingerprints(shards, ledger, verdicts, EngineConfig(processes=1))
    for shard, uids in (("00000", UIDS[:3]), ("00001", UIDS[3:])):
        vectors = np.ones((len(uids), 8), np.float16)
        vectors[[uid == UIDS[1] for uid in uids]] = value
        write_embeddings(
            tmp_path / f"{shard}.parquet", Embeddings(np.array(uids), vectors, vectors, "clip/a")
        )
    with pytest.raises(ValueError, match=f"1 of 4 .* zero or not finite .{UIDS[1]}.*`embed` again"):
        deduplicate(ledger, verdicts, tmp_path, prints, CONFIG, 0)
